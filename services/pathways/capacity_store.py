"""Capacity reports as pathways remembers them, and what is told of them, in one transaction."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from contracts.directory import CapacityReported, CapacityReportedData, Service
from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.identity import Caller
from services.chassis.outbox import Outbox
from services.pathways.capacity import Reported, Standing, standing
from services.pathways.handlers import SOURCE

LOCK_SERVICE = """
-- The service's row is the lock of its reports: versions are given, and the outbox is written, one after the other.
select body from services where service_id = $1 for no key update
"""

KEEP = """
-- The next version. In a statement of its own after the lock, so that it sees what was committed before it.
insert into capacity_reports
    (service_id, version, capacity, reported_at, resets_at, reported_by, practitioner, role, notes)
select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, $8 from capacity_reports where service_id = $1
returning *
"""

NEWEST = """
-- A service's last report, if it has made one; no row where there is no such service.
select s.body, r.* from services s left join lateral (
    select * from capacity_reports where service_id = s.service_id order by version desc limit 1
) r on true where s.service_id = $1
"""

HISTORY = """
-- A page of a service's reports, the newest first; one more than is shown, to know whether there are others.
select * from capacity_reports where service_id = $1 and ($2::integer is null or version < $2)
order by version desc limit $3
"""


class NoSuchService(Exception):
    """The directory has no entry of this id."""


class NotItsOwn(Exception):
    """Only a service's own organisation may report for it."""


class Report(BaseModel):
    """A capacity report as it was made."""

    model_config = ConfigDict(frozen=True)

    version: int
    capacity: Reported
    reported_at: datetime = Field(description="when it was received")
    resets_at: datetime = Field(description="from then on the service is unknown, until it reports again")
    reported_by: str = Field(description="the organisation")
    practitioner: str | None = Field(description="who made it; told to the service's own organisation only")
    role: str | None
    notes: str | None = Field(description="told to the service's own organisation only")

    @classmethod
    def of(cls, row: asyncpg.Record, *, whole: bool) -> "Report":
        """What is shown of a row: all of it, or what concerns others too."""
        report = cls(**{name: row[name] for name in cls.model_fields})
        return report if whole else report.model_copy(update={"practitioner": None, "role": None, "notes": None})


class History(BaseModel):
    """How full a service is, and what it reported before."""

    service_id: str
    status: str = Field(description="red, amber, green, or unknown: never reported, or its report has run out")
    since: datetime | None = Field(description="since when; none where it never reported")
    until: datetime | None = Field(description="when the report runs out")
    reports: list[Report] = Field(description="the newest first")
    before: int | None = Field(description="ask with this `before` for older ones; none where there are none")


class CapacityReports:
    """The table of capacity reports. Each is told through the outbox under its version."""

    def __init__(
        self, database: Database, outbox: Outbox, *, clock: Callable[[], datetime], new_id: Callable[[], UUID]
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._new_id = new_id

    async def report(
        self, service_id: str, capacity: Reported, *, reset_in: timedelta, notes: str, by: Caller
    ) -> Report:
        """Keep a report and tell it. Its time is that of receipt. Raises NoSuchService or NotItsOwn."""
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            body = await connection.fetchval(LOCK_SERVICE, service_id)
            if body is None:
                raise NoSuchService
            if not _is_its_own(body, by):
                raise NotItsOwn
            now = self._clock()
            row = await connection.fetchrow(
                KEEP,
                service_id,
                capacity,
                now,
                now + reset_in,
                by.organisation,
                by.practitioner,
                by.role,
                notes,
            )
            assert row is not None
            told = CapacityReported.first(_data(row), id=self._new_id(), source=SOURCE, subject=service_id, time=now)
            await self._outbox.put(connection, [told])
            await audit(connection, by, "capacity reported", [service_id])
        self._outbox.wake()
        return Report.of(row, whole=True)

    async def history(self, service_id: str, *, before: int | None, limit: int, by: Caller) -> History:
        """How full a service is now, and a page of its reports. Raises NoSuchService."""
        async with self._database.pool.acquire() as connection:
            newest = await connection.fetchrow(NEWEST, service_id)
            if newest is None:
                raise NoSuchService
            rows = await connection.fetch(HISTORY, service_id, before, limit + 1)
            await audit(connection, by, "capacity read", [service_id])
        now_it_is = self._standing(newest)
        whole = _is_its_own(newest["body"], by)
        shown = [Report.of(row, whole=whole) for row in rows[:limit]]
        return History(
            service_id=service_id,
            status=now_it_is.status,
            since=now_it_is.since,
            until=now_it_is.until,
            reports=shown,
            before=shown[-1].version if len(rows) > limit else None,
        )

    def _standing(self, newest: asyncpg.Record) -> Standing:
        return standing(_data(newest) if newest["version"] is not None else None, self._clock())


def _is_its_own(body: str, caller: Caller) -> bool:
    return Service.model_validate_json(body).organisation == caller.organisation


def _data(row: asyncpg.Record) -> CapacityReportedData:
    return CapacityReportedData(**{name: row[name] for name in CapacityReportedData.model_fields})
