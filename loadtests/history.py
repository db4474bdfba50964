"""When the history of a burst is whole: nobody waits for it, and it gives way to what people wait for."""

import asyncio
import time
from typing import Any

import asyncpg

FED = "select last from referrals.feed"
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 180.0

FACTS = 4
"""Of each referral, beside a receipt of each message: submitted, triaged, a place asked for, and the outcome."""


class History:
    """How many facts the feed has, looked at along with a burst."""

    def __init__(self, connection: Any, begins: int) -> None:
        self._connection = connection
        self._begins = begins
        self._looks: list[tuple[float, int]] = []
        self._looking = asyncio.create_task(self._look())

    @classmethod
    async def at_its_end(cls, database_url: str) -> "History":
        """The feed from now on."""
        connection = await asyncpg.connect(database_url)
        return cls(connection, await connection.fetchval(FED))

    async def _look(self) -> None:
        while True:
            self._looks.append((time.time(), await self._connection.fetchval(FED) - self._begins))
            await asyncio.sleep(LOOK_SECONDS)

    async def whole(self, referrals: int, messages: int) -> float:
        """When it had all of so many, in seconds since 1970. Raises TimeoutError where that does not come."""
        count = FACTS * referrals + messages
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._looks or self._looks[-1][1] < count:
                await asyncio.sleep(LOOK_SECONDS)
        return next(at for at, added in self._looks if added >= count)

    async def close(self) -> None:
        """Look no more."""
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        await self._connection.close()
