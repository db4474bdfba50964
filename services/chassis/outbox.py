"""The outbox: events that a transaction decided without a cause on the log, told after it, in order."""

import asyncio
import contextlib
from collections.abc import Sequence

from contracts.envelope import Event
from services.chassis.database import Connection, Database
from services.chassis.metrics import OUTBOX as TOLD
from services.chassis.publishing import KafkaPublisher

BATCH = 1000
POLL_SECONDS = 1.0
"""How often to look for what another replica put there; what this process puts is told at once."""

PUT = """
-- Part of the deciding transaction. An event that waits already (a repeat) stays as it is.
insert into outbox (event_id, type, key, body)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
on conflict (event_id) do nothing
"""

WAITING = """
-- How many are untold, and for how long the oldest. What was told is deleted, so this is as small as the backlog.
select count(*), coalesce(extract(epoch from clock_timestamp() - min(put_at)), 0) from outbox
"""

UNTOLD = """
-- What is still to be told, oldest first. Only the holder of the advisory lock asks: two would break the order.
-- The limit is a subquery so that the planner does not know it: it believes that few are untold, and would read and
-- sort all of a long backlog for each batch, rather than walk the index.
select position, type, key, body from outbox order by position limit (select $1::bigint)
"""

FORGET = """
-- After the acknowledgement: the log has them now. A crash before this tells them again, under the same ids.
delete from outbox where position = any($1::bigint[])
"""


class Outbox:
    """One schema's outbox. One replica at a time drains it, by an advisory lock."""

    def __init__(self, database: Database, publisher: KafkaPublisher) -> None:
        self._database = database
        self._publisher = publisher
        self._woken = asyncio.Event()

    async def put(self, connection: Connection, events: Sequence[Event]) -> None:
        """Store the events in the caller's transaction."""
        await self.put_json(
            connection, [(event.id, type(event).TYPE, event.partitionkey, event.to_json().decode()) for event in events]
        )

    async def put_json(
        self,
        connection: Connection,
        events: Sequence[tuple[object, str, str, str]],
    ) -> None:
        """Store events given as (id, type, key, JSON text), in the caller's transaction."""
        if events:
            await connection.execute(PUT, *(list(column) for column in zip(*events, strict=True)))

    async def count(self) -> tuple[float, float]:
        """How many events are untold, and the age of the oldest in seconds."""
        (row,) = await self._database.pool.fetch(WAITING)
        return row[0], float(row[1])

    def wake(self) -> None:
        """There is something new: drain at once."""
        self._woken.set()

    async def drain(self) -> None:
        """Tell what is in the outbox, for ever, while this replica holds the lock."""
        while True:
            async with self._database.alone("outbox") as connection:
                while connection is not None:
                    self._woken.clear()
                    while await self._drain_once(connection) == BATCH:
                        pass
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS):
                            await self._woken.wait()
            await asyncio.sleep(POLL_SECONDS)

    async def _drain_once(self, connection: Connection) -> int:
        rows = await connection.fetch(UNTOLD, BATCH)
        if rows:
            await self._publisher.tell_json(
                [(Event.KNOWN[row["type"]], row["key"], row["body"].encode()) for row in rows]
            )
            await connection.execute(FORGET, [row["position"] for row in rows])
            TOLD.labels(self._database.schema).inc(len(rows))
        return len(rows)
