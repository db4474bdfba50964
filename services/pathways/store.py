"""The directory as pathways remembers it, and what is told of its changes, in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import BinaryIO
from uuid import UUID

import asyncpg
from pydantic import BaseModel

from contracts.directory import DeskListed, DeskListedData, Service, ServiceListed, ServiceListedData
from contracts.envelope import Event
from contracts.people import Desk
from services.chassis.audit import audit
from services.chassis.database import Connection, Database
from services.chassis.identity import Caller
from services.chassis.outbox import Outbox
from services.pathways.handlers import SOURCE

ONE_AT_A_TIME = """
-- One load at a time: two that share services or delist each other's would wait for each other in a circle.
-- Readers are not held up.
lock table services, desks in share row exclusive mode
"""

STAGE = """
-- What a load brings, and what it changes, both gone with the transaction: nothing of them is ever half there.
create temporary table staged (
    number bigint generated always as identity, kind text, id text, active boolean, body text
) on commit drop;
create temporary table changed (
    number bigint generated always as identity, kind text, id text, version integer, delisted boolean
) on commit drop;
"""

LIST_SERVICES = """
-- List each service: a new one with version 1, a changed one with its next version. One that stands as it was is not
-- among the changed, and so is not told again.
with listed as (
  insert into services as known (service_id, version, active, body)
  select id, 1, active, body from staged where kind = 'service' order by number
  on conflict (service_id) do update
    set version = known.version + 1, active = excluded.active, body = excluded.body
    where known.body <> excluded.body
  returning service_id, version
)
insert into changed (kind, id, version, delisted) select 'service', service_id, version, false from listed
"""

DELIST_MISSING = """
-- Delist the active services that the load does not bring. The body is JSON without blanks, in which these words can
-- stand for nothing else: inside a text they would be escaped.
with delisted as (
  update services set version = version + 1, active = false, body = replace(body, '"active":true', '"active":false')
  where active and not exists (select from staged where kind = 'service' and id = service_id)
  returning service_id, version
)
insert into changed (kind, id, version, delisted) select 'service', service_id, version, true from delisted
"""

LIST_DESKS = """
-- The same as for services.
with listed as (
  insert into desks as known (organisation, version, body)
  select id, 1, body from staged where kind = 'desk' order by number
  on conflict (organisation) do update set version = known.version + 1, body = excluded.body
    where known.body <> excluded.body
  returning organisation, version
)
insert into changed (kind, id, version, delisted) select 'desk', organisation, version, false from listed
"""

COUNT = """
-- How many entries of a kind the load brought, and what came of them.
select
  (select count(*) from staged where kind = $1) as given,
  count(*) filter (where version = 1) as added,
  count(*) filter (where version > 1 and not delisted) as changed,
  count(*) filter (where delisted) as delisted
from changed where kind = $1
"""

CHANGED = """
-- What is to be told, in the load's order, services before desks.
select changed.kind, changed.version, coalesce(services.body, desks.body) as body
from changed
left join services on changed.kind = 'service' and service_id = id
left join desks on changed.kind = 'desk' and organisation = id
order by number
"""

AFTER = """
-- A page of one kind, after the last one of the page before.
select service_id as id, body from services where service_id > $1 order by service_id limit $2
"""

DESKS_AFTER = """
select organisation as id, body from desks where organisation > $1 order by organisation limit $2
"""

SERVICE = """
select version, body from services where service_id = $1
"""


PAGE = 1000
"""Entries that are in memory at a time."""
LOAD_SECONDS = 600
"""For each statement of a load: a nation's directory has a hundred thousand services."""
AUDITED = 1000
"""Ids of a load that its row of the audit names; the count is whole."""


class Counted(BaseModel):
    """How many entries of a load were new, changed, as they stood, or taken off the list for not being in it."""

    added: int
    changed: int
    unchanged: int
    delisted: int = 0


class Loaded(BaseModel):
    """What a load changed."""

    services: Counted
    desks: Counted


class Listings:
    """The directory's tables. What changes is told through the outbox, each entry under its next version."""

    def __init__(
        self, database: Database, outbox: Outbox, *, clock: Callable[[], datetime], new_id: Callable[[], UUID]
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._new_id = new_id

    async def load(self, rows: BinaryIO, *, by: Caller, delist_missing: bool = False) -> Loaded:
        """List all that is in these rows (`directory_file.write_rows`), and delist other services where asked for."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute(ONE_AT_A_TIME, timeout=LOAD_SECONDS)
            await connection.execute(STAGE)
            columns = ["kind", "id", "active", "body"]
            await connection.copy_to_table("staged", source=rows, columns=columns, format="csv", timeout=LOAD_SECONDS)
            await connection.execute(LIST_SERVICES, timeout=LOAD_SECONDS)
            if delist_missing:
                await connection.execute(DELIST_MISSING, timeout=LOAD_SECONDS)
            await connection.execute(LIST_DESKS, timeout=LOAD_SECONDS)
            loaded = Loaded(
                services=await self._counted(connection, "service"), desks=await self._counted(connection, "desk")
            )
            changed = await self._tell(connection)
            await audit(connection, by, "directory loaded", changed)
        self._outbox.wake()
        return loaded

    async def _counted(self, connection: Connection, kind: str) -> Counted:
        row = await connection.fetchrow(COUNT, kind, timeout=LOAD_SECONDS)
        assert row is not None
        given, added, changed, delisted = row
        return Counted(added=added, changed=changed, unchanged=given - added - changed, delisted=delisted)

    async def _tell(self, connection: Connection) -> list[str]:
        """Put what changed into the outbox, page by page; returns the first ids."""
        now = self._clock()
        changed: list[str] = []
        cursor = await connection.cursor(CHANGED, timeout=LOAD_SECONDS)
        while rows := await cursor.fetch(PAGE):
            # In a thread: the loop has searches to answer meanwhile.
            events = await asyncio.to_thread(self._events, rows, now)
            await self._outbox.put_json(connection, events)
            changed += [key for _, _, key, _ in events[: AUDITED - len(changed)]]
        return changed

    def _events(self, rows: Sequence[asyncpg.Record], now: datetime) -> list[tuple[UUID, str, str, str]]:
        return [self._event(row, now) for row in rows]

    def _event(self, row: asyncpg.Record, now: datetime) -> tuple[UUID, str, str, str]:
        """What is told of a changed entry: id, type, key and JSON."""
        event: Event
        if row["kind"] == "service":
            service = Service.model_validate_json(row["body"])
            listed = ServiceListedData(version=row["version"], service=service)
            event = ServiceListed.first(listed, id=self._new_id(), source=SOURCE, subject=service.service_id, time=now)
        else:
            desk = Desk.model_validate_json(row["body"])
            data = DeskListedData(version=row["version"], desk=desk)
            event = DeskListed.first(data, id=self._new_id(), source=SOURCE, subject=desk.organisation, time=now)
        return event.id, type(event).TYPE, event.partitionkey, event.to_json().decode()

    async def pages(self) -> AsyncIterator[bytes]:
        """All that is listed, delisted services too, as JSON lines, a page at a time: services, then desks.

        Each page is read by itself, so that a slow reader holds nothing up; a load meanwhile may be seen in part.
        """
        for statement in (AFTER, DESKS_AFTER):
            last = ""
            while rows := await self._database.pool.fetch(statement, last, PAGE):
                last = rows[-1]["id"]
                yield "".join(f"{row['body']}\n" for row in rows).encode()

    async def service(self, service_id: str) -> ServiceListedData | None:
        """A service as it is listed, delisted ones too; none where nobody listed it."""
        row = await self._database.pool.fetchrow(SERVICE, service_id)
        if row is None:
            return None
        return ServiceListedData(version=row["version"], service=Service.model_validate_json(row["body"]))
