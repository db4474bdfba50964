"""Word, within a process, that there are new facts."""

import asyncio


class News:
    """Wakes whoever waits for facts, once they can be read."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    @property
    def bell(self) -> asyncio.Event:
        """Rings at the next news. Taken before a look at the tables, it misses none between the look and the wait."""
        return self._bell

    def ring(self) -> None:
        """There are new facts."""
        self._bell.set()
        self._bell = asyncio.Event()


async def heard(bell: asyncio.Event, *, within: float) -> bool:
    """Whether the bell rings within so many seconds."""
    try:
        async with asyncio.timeout(within):
            await bell.wait()
    except TimeoutError:
        return False
    return True
