"""What booking remembers, in SQL: diaries and their slots, and the settling of placements."""

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import TypeAdapter

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.directory import Service, ServiceListed, SlotSession
from contracts.envelope import Event
from contracts.placements import BookingRequested
from services.booking.diary import Diary, Given, Slot, allocate, latest_start, may_be_booked, slots_between
from services.booking.outcome import outcome_of
from services.chassis.database import Connection, Database
from services.chassis.failures import Transient, Unfinished

TOLD = """
-- What was told of each placement of the batch. It never changes, so no transaction is needed.
select placement_id, told_type, told from placements where placement_id = any($1::uuid[])
"""

LOCK_DIARIES = """
-- From here to the commit the free slots of these diaries are ours.
select * from lock_diaries($1::text[], $2::integer[], $3, $4)
"""

STORE = """
-- Keep what is told, hold the slots and keep the bookings, in one statement. Fewer placements than were sent means that
-- another process settled one of them meanwhile: the caller rolls back and begins again.
with placed as (
    insert into placements (placement_id, referral_id, told_type, told, settled_at)
    select p.*, $1 from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) p
    on conflict do nothing
    returning placement_id
), given as (
    select * from unnest($2::uuid[], $6::text[], $7::text[], $8::timestamptz[])
        g(placement_id, reference, service_id, starts_at)
    where reference is not null
), held as (
    update slots s set held = s.held + g.patients
    from (select service_id, starts_at, count(*) patients from given where starts_at is not null group by 1, 2) g
    where s.service_id = g.service_id and s.starts_at = g.starts_at
    returning g.patients
), booked as (
    insert into bookings (reference, placement_id, service_id, starts_at)
    select reference, placement_id, service_id, starts_at from given join placed using (placement_id)
)
select (select count(*) from placed) as placed,
    (select count(starts_at) from given) = (select coalesce(sum(patients), 0) from held) as all_held
"""

LIST = """
-- Keep each service's newest version; a change makes its diary due for new slots.
insert into diaries (service_id, version, active, booking, accept_within_minutes, sessions)
select * from unnest($1::text[], $2::bigint[], $3::boolean[], $4::text[], $5::integer[], $6::text[])
on conflict (service_id) do update set
    version = excluded.version, active = excluded.active, booking = excluded.booking,
    accept_within_minutes = excluded.accept_within_minutes, sessions = excluded.sessions,
    slots_until = case when diaries.sessions = excluded.sessions then diaries.slots_until end
where diaries.version < excluded.version
"""

DUE = """
-- Diaries whose slots do not reach the horizon, of those named or of all, locked in the order that settling locks them.
select service_id, sessions, slots_until from diaries
where booking = 'slots' and active and (slots_until is null or slots_until < $1)
    and ($3::text[] is null or service_id = any($3))
order by service_id limit $2 for no key update
"""

CLEAR = """
-- A new template changes only slots that nobody holds; held ones stay, but take nobody more.
with gone as (delete from slots where service_id = any($1::text[]) and held = 0 and starts_at >= $2)
update slots set withdrawn = true where service_id = any($1::text[]) and held > 0 and starts_at >= $2
"""

ADD_SLOTS = """
-- A slot that is held and fits the new template as it stands is taken back into it.
insert into slots (service_id, starts_at, minutes, capacity)
select * from unnest($1::text[], $2::timestamptz[], $3::integer[], $4::integer[])
on conflict (service_id, starts_at) do update set withdrawn = false, capacity = excluded.capacity
where slots.minutes = excluded.minutes and slots.held <= excluded.capacity
"""

REACHED = """
update diaries set slots_until = $2 where service_id = any($1::text[])
"""

_SESSIONS = TypeAdapter(tuple[SlotSession, ...])
_OUTCOMES: dict[str, type[Event]] = {one.TYPE: one for one in (BookingConfirmed, BookingExhausted)}
DIARIES_AT_ONCE = 10
"""A few, for a thousand slots each take some milliseconds in which nothing else runs."""
ONE_MORE_DAY = timedelta(days=1)
"""Diaries are extended by so much beyond the horizon, and so once a day rather than at every look."""
REFERENCES_A_BLOCK = 1000
NOT_LISTED_YET = timedelta(seconds=30)
"""How long a placement may wait for a service that pathways knows and booking has not read of yet: it alone waits."""


class _References:
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


class SettledMeanwhile(Transient):
    """Another process settled a placement of this batch meanwhile."""


class Diaries:
    """Diaries, slots and placements in PostgreSQL."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime], lead: timedelta, horizon: timedelta
    ) -> None:
        """Diaries have slots up to the horizon from now; one that begins sooner than the lead from now is not held."""
        self._database = database
        self._clock = clock
        self._lead = lead
        self._horizon = horizon
        self._references = _References()
        self._waited_for: set[str] = set()
        """Services that a placement waited for in vain. One that is listed after all has a diary, and is found."""
        self.changed: set[str] = set()
        """Services whose free slots may be others than they were, for whoever tells of them to take out."""

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        # Said, because a server may have another default: each statement must see what others committed before it.
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            yield connection

    # Placements

    async def settle(self, requests: Sequence[BookingRequested]) -> list[Event]:
        """Settle each placement once; what was told of it before is told again. One event a placement.

        Raises Unfinished with those of the others while one waits for a service that is not listed yet.
        """
        by_id: dict[UUID, BookingRequested] = {}
        for request in requests:
            by_id.setdefault(request.data.brief.placement_id, request)
        told = await self._told(list(by_id))
        while left := [request for placement, request in by_id.items() if placement not in told]:
            try:
                told |= await self._settle(left)
                break
            except SettledMeanwhile:
                told |= await self._told(list(by_id))
        events = [told[placement] for placement in by_id if placement in told]
        if waiting := len(by_id) - len(events):
            raise Unfinished(events, f"{waiting} placements name services that booking has not read of yet")
        return events

    async def _told(self, placements: list[UUID]) -> dict[UUID, Event]:
        rows = await self._database.pool.fetch(TOLD, placements)
        return {row["placement_id"]: _OUTCOMES[row["told_type"]].read(row["told"].encode()) for row in rows}

    async def _settle(self, requests: Sequence[BookingRequested]) -> dict[UUID, Event]:
        """What is told now of these placements; nothing of those that wait for a listing."""
        told: dict[UUID, Event] = {}
        rows = []
        async with self._transaction() as connection:
            now = self._clock()
            requests, diaries = await self._lock(connection, requests, now)
            if not requests:
                return {}
            decisions = allocate(requests, diaries, now)
            await self._references.reserve(connection, len(requests))
            for request, decision in zip(requests, decisions, strict=True):
                placement = request.data.brief.placement_id
                held: tuple[str | None, str | None, datetime | None] = (None, None, None)
                if isinstance(decision, Given):
                    held = self._references.next(), decision.service.service_id, decision.starts_at
                outcome = told[placement] = outcome_of(request, decision, reference=held[0] or "", now=now)
                rows.append((placement, request.subject, outcome.type, outcome.to_json().decode(), *held))
            # In one order everywhere: two batches that share some placements must not wait for each other crosswise.
            rows.sort(key=lambda row: row[0].int)
            stored = await connection.fetchrow(STORE, now, *zip(*rows, strict=True))
            assert stored is not None
            if stored["placed"] < len(rows):
                raise SettledMeanwhile
            if not stored["all_held"]:
                raise Transient("a slot went away although its diary was locked")
        self.changed.update(
            decision.service.service_id
            for decision in decisions
            if isinstance(decision, Given) and decision.starts_at is not None
        )
        return told

    async def _lock(
        self, connection: Connection, requests: Sequence[BookingRequested], now: datetime
    ) -> tuple[Sequence[BookingRequested], dict[str, Diary]]:
        """Lock the diaries that the requests name. Returns those that need not wait for another, and the diaries."""
        bookable = [request for request in requests if may_be_booked(request, now)]
        wanted = Counter(candidate.service_id for request in bookable for candidate in request.data.candidates)
        if not wanted:
            return requests, {}
        until = max(latest_start(request, now) for request in bookable)
        rows = await connection.fetch(LOCK_DIARIES, list(wanted), list(wanted.values()), now + self._lead, until)
        diaries: dict[str, Diary] = {}
        for service_id, booking, active, accept_within_minutes, starts_at, minutes, free in rows:
            diary = diaries.get(service_id)
            if diary is None:
                diary = diaries[service_id] = Diary(service_id, booking, active, accept_within_minutes)
            if starts_at is not None:
                diary.add(starts_at, minutes, free)
        missing = wanted.keys() - diaries.keys()
        return self._without_waiting(requests, missing, now) if missing else requests, diaries

    def _without_waiting(
        self, requests: Sequence[BookingRequested], missing: set[str], now: datetime
    ) -> list[BookingRequested]:
        """Leave out who names a service that may yet be listed, and what follows on the same key."""
        named = [
            missing.intersection(candidate.service_id for candidate in request.data.candidates)
            if may_be_booked(request, now)
            else set()
            for request in requests
        ]
        for request, services in zip(requests, named, strict=True):
            if now - request.time >= NOT_LISTED_YET:
                self._waited_for |= services
        waiting = {
            request.partitionkey
            for request, services in zip(requests, named, strict=True)
            if not services <= self._waited_for
        }
        return [request for request in requests if request.partitionkey not in waiting]

    # Diaries

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
        async with self._transaction() as connection:
            await connection.execute(
                LIST,
                service_ids,
                [version for version, _ in rows],
                [service.active for _, service in rows],
                [service.booking for _, service in rows],
                [service.accept_within_minutes for _, service in rows],
                [_SESSIONS.dump_json(service.sessions).decode() for _, service in rows],
            )
            await self._extend(connection, service_ids)
        self.changed.update(service_ids)

    async def extend(self) -> int:
        """Give diaries slots up to the horizon. Returns how many diaries were due; call again until none is."""
        async with self._transaction() as connection:
            extended = await self._extend(connection, None)
        self.changed.update(extended)
        return len(extended)

    async def _extend(self, connection: Connection, service_ids: list[str] | None) -> list[str]:
        now = self._clock()
        end = now + self._horizon
        due = await connection.fetch(DUE, end, DIARIES_AT_ONCE, service_ids)
        if not due:
            return []
        end += ONE_MORE_DAY
        changed = [row["service_id"] for row in due if row["slots_until"] is None]
        if changed:
            await connection.execute(CLEAR, changed, now)
        slots: list[tuple[str, Slot]] = []
        for service_id, sessions, slots_until in due:
            begin = max(now, slots_until or now)  # a diary that was at rest is given nothing of the past
            slots += ((service_id, slot) for slot in slots_between(_SESSIONS.validate_json(sessions), begin, end))
        await connection.execute(
            ADD_SLOTS,
            [service_id for service_id, _ in slots],
            [slot.starts_at for _, slot in slots],
            [slot.minutes for _, slot in slots],
            [slot.capacity for _, slot in slots],
        )
        extended = [row["service_id"] for row in due]
        await connection.execute(REACHED, extended, end)
        return extended
