"""Free slots: told of each diary that changed, and read by whoever asks. To be shown; nothing is held by them.

Settling only notes which diaries it took slots of, in memory. About once a second those are looked at together, and
what differs from what was told is told through the outbox. A process that dies forgets its notes: at its start it looks
at all diaries.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from contracts.diaries import MOST_FREE_SLOTS, DiaryReported, DiaryReportedData, FreeSlot
from contracts.placements import BookingKind
from services.booking.outcome import SOURCE
from services.chassis.database import Connection, Database
from services.chassis.outbox import Outbox

EVERY_SECONDS = 1.0
DIARIES_AT_ONCE = 500
"""However many diaries change: what is shown may wait, and settling must not."""
COUNTED_AHEAD = timedelta(hours=24)
"""So far ahead free places are counted. Counting all that diaries hold would cost seven times as much."""

ALL = """
select service_id from diaries where has_slots and receiver is null
"""

STALE = """
-- Diaries of which a slot was told that can no longer be held, the longest ago first.
select service_id from diary_reports where stale_at < $1 order by stale_at limit $2
"""

ADD_REPORTS = """
-- A diary's first report: version 0 says nothing yet. Sorted, as everything here that locks several rows.
insert into diary_reports (service_id)
select service_id from diaries where service_id = any($1::text[]) and has_slots and receiver is null order by service_id
on conflict do nothing
"""

LOCK_REPORTS = """
-- Two processes that tell of one diary do it one after the other, and the second sees what the first told.
select service_id, version, said from diary_reports where service_id = any($1::text[]) order by service_id for update
"""

FREE = """
-- The next free slots of each diary, and how many patients it still takes for a while. In a statement of its own after
-- the lock: a report under a higher version never says something older.
select d.service_id, d.patients_an_hour, n.begins, n.minutes, n.free, c.places
from unnest($1::text[]) w (service_id) join diaries d using (service_id)
cross join lateral (
    select array_agg(f.starts_at) begins, array_agg(f.minutes) minutes, array_agg(f.free) free from (
        select s.starts_at, s.minutes, s.free from free_slots(d.service_id, d.patients_an_hour, $2) s
        where d.active order by s.starts_at limit $4
    ) f
) n
cross join lateral (
    select coalesce(sum(s.free), 0)::integer places from free_slots(d.service_id, d.patients_an_hour, $2) s
    where s.starts_at < $3 and d.active
) c
where d.has_slots
"""

TOLD = """
update diary_reports r set version = t.version, said = t.said, stale_at = t.stale_at
from unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[]) t (service_id, version, said, stale_at)
where r.service_id = t.service_id
"""

DIARY = """
select booking, active, patients_an_hour from diaries where service_id = $1
"""

PAGE = """
select starts_at, minutes, free from free_slots($1, $5, $2)
where starts_at < $3 and ($6::timestamptz is null or starts_at >= $6)
order by starts_at limit $4
"""

_SAID = TypeAdapter(tuple[tuple[FreeSlot, ...], int])


class Page(NamedTuple):
    """A page of a diary's free slots."""

    booking: BookingKind
    as_of: datetime
    slots: Sequence[FreeSlot]
    more_from: datetime | None
    """When the first slot of the next page begins, if there is one."""


class FreeSlots:
    """The free slots of diaries, told of when they change."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        changed: set[str],
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID],
        lead: timedelta,
    ) -> None:
        """`changed` are the services of diaries to look at, added to by others; a slot within the lead is not free."""
        self._database = database
        self._outbox = outbox
        self._changed = changed
        self._clock = clock
        self._new_id = new_id
        self._lead = lead

    async def look_at_all(self) -> None:
        """Every diary may have changed."""
        self._changed.update(row["service_id"] for row in await self._database.pool.fetch(ALL))

    async def tell(self) -> int:
        """Tell of diaries that changed, and of those whose next slot has gone by. Returns how many were looked at."""
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            now = self._clock()
            taken = [self._changed.pop() for _ in range(min(len(self._changed), DIARIES_AT_ONCE))]
            stale = await connection.fetch(STALE, now, DIARIES_AT_ONCE - len(taken))
            service_ids = sorted({*taken, *(row["service_id"] for row in stale)})
            told = await self._tell(connection, service_ids, now) if service_ids else []
        if told:
            self._outbox.wake()
        return len(service_ids)

    async def _tell(self, connection: Connection, service_ids: list[str], now: datetime) -> list[DiaryReported]:
        await connection.execute(ADD_REPORTS, service_ids)
        before = {row["service_id"]: row for row in await connection.fetch(LOCK_REPORTS, service_ids)}
        until = now + COUNTED_AHEAD
        told, rows = [], []
        for diary in await connection.fetch(FREE, list(before), now + self._lead, until, MOST_FREE_SLOTS):
            service_id = diary["service_id"]
            next_free = _slots(diary)
            said = _SAID.dump_json((next_free, diary["places"])).decode()
            if said == before[service_id]["said"]:
                continue
            version = before[service_id]["version"] + 1
            data = DiaryReportedData(
                version=version,
                service_id=service_id,
                as_of=now,
                next_free=next_free,
                free=diary["places"],
                until=until,
            )
            told.append(DiaryReported.first(data, id=self._new_id(), source=SOURCE, subject=service_id, time=now))
            rows.append((service_id, version, said, self._stale_at(diary, next_free)))
        if told:
            await connection.execute(TOLD, *(list(column) for column in zip(*rows, strict=True)))
            await self._outbox.put(connection, told)
        return told

    def _stale_at(self, diary: asyncpg.Record, next_free: Sequence[FreeSlot]) -> datetime | None:
        """From when on the first of these slots can no longer be held."""
        if not next_free:
            return None
        over = next_free[0].minutes if diary["patients_an_hour"] is not None else 0
        return next_free[0].begins + timedelta(minutes=over) - self._lead

    async def page(self, service_id: str, *, begin: datetime | None, until: datetime, limit: int) -> Page | None:
        """Free slots that begin from `begin` until before `until`; none where booking knows no such service."""
        now = self._clock()
        earliest = now + self._lead
        async with self._database.pool.acquire() as connection:
            diary = await connection.fetchrow(DIARY, service_id)
            if diary is None:
                return None
            found: list[asyncpg.Record] = []
            if diary["active"]:
                an_hour = diary["patients_an_hour"]
                found = await connection.fetch(PAGE, service_id, earliest, until, limit + 1, an_hour, begin)
        slots = [FreeSlot(begins=row["starts_at"], minutes=row["minutes"], free=row["free"]) for row in found]
        return Page(diary["booking"], now, slots[:limit], slots[limit].begins if len(slots) > limit else None)


def _slots(diary: asyncpg.Record) -> tuple[FreeSlot, ...]:
    columns = (diary["begins"] or (), diary["minutes"] or (), diary["free"] or ())
    return tuple(
        FreeSlot(begins=begins, minutes=minutes, free=free) for begins, minutes, free in zip(*columns, strict=True)
    )


async def tell_of(free_slots: FreeSlots) -> None:
    """Tell of free slots as diaries change, for ever."""
    await free_slots.look_at_all()
    while True:
        await free_slots.tell()
        await asyncio.sleep(EVERY_SECONDS)
