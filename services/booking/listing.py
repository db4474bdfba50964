"""Diaries as the directory lists them: their slots as time goes by, and who loses a held one by a change."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import asyncpg
from pydantic import TypeAdapter

from contracts.bookings import BookingDisplaced, DisplacedData
from contracts.directory import OpeningHours, Service, ServiceListed, SlotSession
from contracts.envelope import effect_id
from contracts.opening_hours import Timetable
from services.booking.hours import hour_of, hours_between
from services.booking.outcome import SOURCE
from services.booking.slots import Slot, slots_between
from services.booking.waiting import WaitingList
from services.chassis.database import Connection, Database
from services.chassis.outbox import Outbox

LIST = """
-- Keep each service's newest version; a change makes its diary due for new slots.
insert into diaries
    (service_id, version, active, booking, accept_within_minutes, sessions, patients_an_hour, hours, address)
select * from unnest(
    $1::text[], $2::bigint[], $3::boolean[], $4::text[], $5::integer[], $6::text[], $7::integer[], $8::text[],
    $9::text[]
)
on conflict (service_id) do update set
    version = excluded.version, active = excluded.active, booking = excluded.booking,
    accept_within_minutes = excluded.accept_within_minutes, sessions = excluded.sessions,
    patients_an_hour = excluded.patients_an_hour, hours = excluded.hours, address = excluded.address,
    slots_until = case
        when (diaries.sessions, diaries.active, diaries.booking, diaries.patients_an_hour, diaries.hours)
            is not distinct from
            (excluded.sessions, excluded.active, excluded.booking, excluded.patients_an_hour, excluded.hours)
        then diaries.slots_until
    end
where diaries.version < excluded.version
"""

RECEIVERS = """
-- Each receiver that keeps its own diary has a row to be counted by.
insert into receivers (receiver)
select distinct receiver from diaries where service_id = any($1::text[]) and receiver is not null order by receiver
on conflict do nothing
"""

CLOSED = """
-- Those that have no slots any more, or never had.
select service_id from diaries where service_id = any($1::text[]) and not (active and has_slots)
"""

DUE = """
-- Diaries whose slots do not reach the horizon, of those named or of all, locked in the order that settling locks them.
select service_id, sessions, patients_an_hour, hours, slots_until from diaries
where has_slots and active and (slots_until is null or slots_until < $1)
    and ($3::text[] is null or service_id = any($3))
order by service_id limit $2 for no key update
"""

CLEAR = """
-- A new template changes only slots that nobody holds; held ones stay, but take nobody more.
with changed as (
    select * from unnest($1::text[], $2::timestamptz[]) c (service_id, begins)
), gone as (
    delete from slots s using changed c where s.service_id = c.service_id and s.starts_at >= c.begins and s.held = 0
)
update slots s set withdrawn = true from changed c
where s.service_id = c.service_id and s.starts_at >= c.begins and s.held > 0
"""

ADD_SLOTS = """
-- A slot that is held and fits the new template as it stands is taken back into it.
insert into slots (service_id, starts_at, minutes, capacity)
select * from unnest($1::text[], $2::timestamptz[], $3::integer[], $4::integer[])
on conflict (service_id, starts_at) do update set withdrawn = false, capacity = excluded.capacity
where slots.minutes = excluded.minutes and slots.held <= excluded.capacity
"""

DISPLACE = """
-- Of each slot to come that was withdrawn: the bookings beyond those that the new template has room for at that time,
-- the last to be settled first. Each is told once, whatever becomes of the template afterwards. A service
-- that no longer says how many it takes an hour takes those whom it has.
with room as (
    select * from unnest($3::text[], $4::timestamptz[], $5::integer[], $6::integer[])
        r (service_id, starts_at, minutes, capacity)
), booked as (
    select b.reference, p.placement_id, p.referral_id, p.told, coalesce(r.capacity, 0) as room,
        row_number() over (partition by s.service_id, s.starts_at order by p.settled_at, p.placement_id) as place
    from slots s
    join diaries d on d.service_id = s.service_id
    join bookings b on b.service_id = s.service_id and b.starts_at = s.starts_at and b.released_at is null
        and b.elsewhere is null
    join placements p on p.placement_id = b.placement_id
    left join room r on r.service_id = s.service_id and r.starts_at = s.starts_at and r.minutes = s.minutes
    where s.service_id = any($1::text[]) and s.withdrawn and s.starts_at > $2
        and (d.has_slots or not d.active or p.told::json #>> '{data,hour}' is null)
)
update bookings b set displaced_at = $2 from booked
where b.reference = booked.reference and booked.place > booked.room and b.displaced_at is null
returning b.reference, b.service_id, b.starts_at, booked.placement_id, booked.referral_id,
    booked.told::json #>> '{data,service,organisation}' as organisation
"""

DISPLACE_ELSEWHERE = """
-- What is booked in diaries that receivers keep themselves, of services that take nobody there any more.
update bookings b set displaced_at = $2
from placements p, diaries d
where p.placement_id = b.placement_id and d.service_id = b.service_id and b.service_id = any($1::text[])
    and not (d.active and d.receiver is not null)
    and b.elsewhere is not null and b.released_at is null and b.displaced_at is null and b.starts_at > $2
returning b.reference, b.service_id, b.starts_at, p.placement_id, p.referral_id,
    p.told::json #>> '{data,service,organisation}' as organisation
"""

REACHED = """
update diaries set slots_until = $2 where service_id = any($1::text[])
"""

_SESSIONS = TypeAdapter(tuple[SlotSession, ...])
_HOURS = TypeAdapter(OpeningHours)
DIARIES_AT_ONCE = 10
"""A few, for a thousand slots each take some milliseconds in which nothing else runs."""
ONE_MORE_DAY = timedelta(days=1)
"""Diaries are extended by so much beyond the horizon, and so once a day rather than at every look."""


class Listings:
    """Diaries as the directory lists them, with their slots up to a rolling horizon."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        waiting: WaitingList,
        changed: set[str],
        *,
        clock: Callable[[], datetime],
        horizon: timedelta,
        public_holidays: frozenset[date] = frozenset(),
    ) -> None:
        """`changed` is told of the diaries whose free slots may be others than they were."""
        self._database = database
        self._outbox = outbox
        self._waiting = waiting
        self._changed = changed
        self._clock = clock
        self._horizon = horizon
        self._public_holidays = public_holidays

    async def list_services(self, events: Sequence[ServiceListed]) -> None:
        """Keep the newest version of each service. A changed diary is never seen without its new slots."""
        newest: dict[str, tuple[int, Service]] = {}
        for event in events:
            version, service = event.data.version, event.data.service
            if version > newest.get(service.service_id, (0, service))[0]:
                newest[service.service_id] = (version, service)
        rows = [newest[service_id] for service_id in sorted(newest)]
        for begin in range(0, len(rows), DIARIES_AT_ONCE):
            await self._list(rows[begin : begin + DIARIES_AT_ONCE])

    async def _list(self, rows: Sequence[tuple[int, Service]]) -> None:
        service_ids = [service.service_id for _, service in rows]
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            await connection.execute(
                LIST,
                service_ids,
                [version for version, _ in rows],
                [service.active for _, service in rows],
                [service.booking for _, service in rows],
                [service.accept_within_minutes for _, service in rows],
                [_SESSIONS.dump_json(service.sessions).decode() for _, service in rows],
                [service.patients_an_hour for _, service in rows],
                [_hours(service) for _, service in rows],
                [service.diary and service.diary.address for _, service in rows],
            )
            await connection.execute(RECEIVERS, service_ids)
            closed = [row["service_id"] for row in await connection.fetch(CLOSED, service_ids)]
            if closed:
                now = self._clock()
                await connection.execute(CLEAR, closed, [now] * len(closed))
                await self._displace(connection, closed, [], now)
            now = self._clock()
            gone = await connection.fetch(DISPLACE_ELSEWHERE, service_ids, now)
            await self._outbox.put(connection, [_displaced(row, now) for row in gone])
            await self._extend(connection, service_ids)
            await self._waiting.give(connection, service_ids, self._clock())
        self._outbox.wake()
        self._changed.update(service_ids)

    async def extend(self) -> int:
        """Give diaries slots up to the horizon. Returns how many diaries were due; call again until none is."""
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            extended = await self._extend(connection, None)
            await self._waiting.give(connection, extended, self._clock())
        self._outbox.wake()
        self._changed.update(extended)
        return len(extended)

    async def _extend(self, connection: Connection, service_ids: list[str] | None) -> list[str]:
        now = self._clock()
        end = now + self._horizon
        due = await connection.fetch(DUE, end, DIARIES_AT_ONCE, service_ids)
        if not due:
            return []
        end += ONE_MORE_DAY
        # What may be held now: a slot that begins, or the hour that runs.
        earliest = {row["service_id"]: now if row["patients_an_hour"] is None else hour_of(now) for row in due}
        changed = {row["service_id"]: earliest[row["service_id"]] for row in due if row["slots_until"] is None}
        if changed:
            await connection.execute(CLEAR, list(changed), list(changed.values()))
        slots: list[tuple[str, Slot]] = []
        for service_id, sessions, an_hour, hours, slots_until in due:
            # A diary that was at rest is given nothing of the past.
            begin = max(earliest[service_id], slots_until or earliest[service_id])
            slots += ((service_id, slot) for slot in self._slots(sessions, an_hour, hours, begin, end))
        await connection.execute(ADD_SLOTS, *_columns(slots))
        if changed:
            await self._displace(connection, list(changed), slots, now)
        extended = [row["service_id"] for row in due]
        await connection.execute(REACHED, extended, end)
        return extended

    def _slots(
        self, sessions: str, patients_an_hour: int | None, hours: str | None, begin: datetime, end: datetime
    ) -> list[Slot]:
        if patients_an_hour is None or hours is None:
            return slots_between(_SESSIONS.validate_json(sessions), begin, end)
        timetable = Timetable(_HOURS.validate_json(hours), self._public_holidays)
        return hours_between(timetable, patients_an_hour, begin, end)

    async def _displace(
        self, connection: Connection, service_ids: list[str], room: Sequence[tuple[str, Slot]], now: datetime
    ) -> None:
        """Tell of those whose slot no longer fits."""
        displaced = await connection.fetch(DISPLACE, service_ids, now, *_columns(room))
        await self._outbox.put(connection, [_displaced(row, now) for row in displaced])


def _hours(service: Service) -> str | None:
    """The opening hours of a service whose diary is made of them."""
    return None if service.patients_an_hour is None else _HOURS.dump_json(service.hours).decode()


def _columns(slots: Sequence[tuple[str, Slot]]) -> tuple[list[str], list[datetime], list[int], list[int]]:
    return (
        [service_id for service_id, _ in slots],
        [slot.starts_at for _, slot in slots],
        [slot.minutes for _, slot in slots],
        [slot.capacity for _, slot in slots],
    )


def _displaced(booked: asyncpg.Record, now: datetime) -> BookingDisplaced:
    placement = booked["placement_id"]
    return BookingDisplaced.first(
        DisplacedData(
            placement_id=placement,
            reference=booked["reference"],
            service_id=booked["service_id"],
            starts_at=booked["starts_at"],
            organisation=booked["organisation"],
        ),
        # A placement has one booking at most that is ever displaced.
        id=effect_id(placement, BookingDisplaced.TYPE),
        source=SOURCE,
        subject=booked["referral_id"],
        time=now,
    )
