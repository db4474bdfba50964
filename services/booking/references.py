"""References: the numbers that patients are told."""

from collections import deque

from services.chassis.database import Connection

REFERENCES_A_BLOCK = 1000


class References:
    """Numbers for patients, from blocks that this process took from the sequence. What a stop leaves is lost."""

    def __init__(self) -> None:
        self._numbers: deque[int] = deque()

    async def reserve(self, connection: Connection, count: int) -> None:
        """Have so many at hand."""
        while len(self._numbers) < count:
            block: int = await connection.fetchval("select nextval('reference_blocks')")
            self._numbers.extend(range(block * REFERENCES_A_BLOCK, (block + 1) * REFERENCES_A_BLOCK))

    def next(self) -> str:
        """A number that nobody else has."""
        return str(self._numbers.popleft())
