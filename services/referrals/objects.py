"""The object store: where the content of documents lies. PostgreSQL is it, unless another takes its place here."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from uuid import UUID

from services.chassis.database import Database

PIECE_BYTES = 256 * 1024
"""The longest piece: what is in memory of a document at a time."""

WRITE = """
insert into pieces (object_id, number, content) values ($1, $2, $3)
"""

READ = """
select content from pieces where object_id = $1 and number = $2
"""

DROP = """
delete from pieces where object_id = any($1::uuid[])
"""


class ObjectStore(Protocol):
    """Keeps objects in pieces, each written once. What it holds is known to whoever writes to it, by its id."""

    async def write(self, object_id: UUID, number: int, piece: bytes) -> None:
        """Keep a piece, numbered from 0, of at most PIECE_BYTES. It is there when this returns."""

    def read(self, object_id: UUID) -> AsyncIterator[bytes]:
        """The pieces, in order. Nothing is locked or held while somebody takes them slowly."""

    async def drop(self, object_ids: Sequence[UUID]) -> None:
        """Keep these no more; those that are not there are passed over."""


class PostgresObjects:
    """Objects in a table, beside what is known of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, object_id: UUID, number: int, piece: bytes) -> None:
        """Keep a piece."""
        await self._database.pool.execute(WRITE, object_id, number, piece)

    async def read(self, object_id: UUID) -> AsyncIterator[bytes]:
        """The pieces, in order: a statement each, so that no transaction lasts as long as the slowest reader."""
        number = 0
        while (piece := await self._database.pool.fetchval(READ, object_id, number)) is not None:
            yield piece
            number += 1

    async def drop(self, object_ids: Sequence[UUID]) -> None:
        """Keep these no more."""
        await self._database.pool.execute(DROP, list(object_ids))
