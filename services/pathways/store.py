"""The directory as pathways remembers it, and what is told of its changes, in one transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

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

LIST_SERVICES = """
-- List each service: a new one with version 1, a changed one with its next version. One that stands as it was is not
-- returned, and so is not told again.
insert into services as known (service_id, version, active, body)
select service_id, 1, active, body from unnest($1::text[], $2::boolean[], $3::text[]) new (service_id, active, body)
on conflict (service_id) do update
  set version = known.version + 1, active = excluded.active, body = excluded.body
  where known.body <> excluded.body
returning service_id, version
"""

LIST_DESKS = """
-- The same for desks.
insert into desks as known (organisation, version, body)
select organisation, 1, body from unnest($1::text[], $2::text[]) new (organisation, body)
on conflict (organisation) do update set version = known.version + 1, body = excluded.body
  where known.body <> excluded.body
returning organisation, version
"""

ACTIVE_BESIDES = """
-- The active services that a load does not name.
select body from services where active and service_id <> all($1::text[])
"""

SERVICE = """
select version, body from services where service_id = $1
"""


class Counted(BaseModel):
    """How many entries of a load were new, changed, as they stood, or taken off the list for not being in it."""

    added: int
    changed: int
    unchanged: int
    delisted: int = 0

    @classmethod
    def of(cls, versions: Sequence[int], given: int, delisted: int = 0) -> "Counted":
        """Counts, from the versions of what was told and the number of entries given."""
        added = sum(version == 1 for version in versions)
        return cls(
            added=added,
            changed=len(versions) - added - delisted,
            unchanged=given - (len(versions) - delisted),
            delisted=delisted,
        )


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

    async def load(
        self, services: Sequence[Service], desks: Sequence[Desk], *, by: Caller, delist_missing: bool = False
    ) -> Loaded:
        """List all of these, and delist active services that are not among them where that is asked for."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute(ONE_AT_A_TIME)
            missing = await self._missing(connection, services) if delist_missing else []
            told_services = await self.list_services(connection, [*services, *missing])
            told_desks = await self.list_desks(connection, desks)
            changed = [event.subject for event in (*told_services, *told_desks)]
            await audit(connection, by, "directory loaded", changed)
        self._outbox.wake()
        return Loaded(
            services=Counted.of([event.data.version for event in told_services], len(services), len(missing)),
            desks=Counted.of([event.data.version for event in told_desks], len(desks)),
        )

    async def list_services(self, connection: Connection, services: Sequence[Service]) -> list[ServiceListed]:
        """List services, each id once, in the caller's transaction. Returns what will be told of those that changed."""
        by_id = {service.service_id: service for service in services}
        rows = await connection.fetch(
            LIST_SERVICES,
            list(by_id),
            [service.active for service in by_id.values()],
            [service.model_dump_json() for service in by_id.values()],
        )
        now = self._clock()
        told = [
            ServiceListed.first(
                ServiceListedData(version=row["version"], service=by_id[row["service_id"]]),
                id=self._new_id(),
                source=SOURCE,
                subject=row["service_id"],
                time=now,
            )
            for row in rows
        ]
        await self._put(connection, told)
        return told

    async def list_desks(self, connection: Connection, desks: Sequence[Desk]) -> list[DeskListed]:
        """The same for desks, each organisation once."""
        by_organisation = {desk.organisation: desk for desk in desks}
        rows = await connection.fetch(
            LIST_DESKS, list(by_organisation), [desk.model_dump_json() for desk in by_organisation.values()]
        )
        now = self._clock()
        told = [
            DeskListed.first(
                DeskListedData(version=row["version"], desk=by_organisation[row["organisation"]]),
                id=self._new_id(),
                source=SOURCE,
                subject=row["organisation"],
                time=now,
            )
            for row in rows
        ]
        await self._put(connection, told)
        return told

    async def service(self, service_id: str) -> ServiceListedData | None:
        """A service as it is listed, delisted ones too; none where nobody listed it."""
        row = await self._database.pool.fetchrow(SERVICE, service_id)
        if row is None:
            return None
        return ServiceListedData(version=row["version"], service=Service.model_validate_json(row["body"]))

    async def _missing(self, connection: Connection, services: Sequence[Service]) -> list[Service]:
        rows = await connection.fetch(ACTIVE_BESIDES, [service.service_id for service in services])
        return [Service.model_validate_json(row["body"]).model_copy(update={"active": False}) for row in rows]

    async def _put(self, connection: Connection, told: Sequence[Event]) -> None:
        if told:
            await self._outbox.put(connection, told)
