"""The settling of placements, in SQL: each is told once what it was given, and what it was given is held."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from contracts.placements import BookingRequested
from services.booking.asking import Asking
from services.booking.diary import Asks, Diary, Given, Refused, allocate, latest_start, may_be_booked
from services.booking.locks import lock_diaries
from services.booking.outcome import outcome_of
from services.booking.references import References
from services.booking.waiting import WaitingList
from services.chassis.database import Connection, Database
from services.chassis.failures import Transient, Unfinished
from services.chassis.lean import lean

TOLD = """
-- What was told of each placement of the batch, nothing of one that waits or asks. What is told never
-- changes, so no transaction is needed.
select placement_id, told_type, told from placements where placement_id = any($1::uuid[])
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
    -- All or none: where fewer were placed, nothing of the batch is kept.
    insert into bookings (reference, placement_id, service_id, starts_at)
    select reference, placement_id, service_id, starts_at from given
    where (select count(*) from placed) = cardinality($2::uuid[])
)
select (select count(*) from placed) as placed,
    (select count(starts_at) from given) = (select coalesce(sum(patients), 0) from held) as all_held
"""

_OUTCOMES: dict[str, type[Event]] = {one.TYPE: one for one in (lean(BookingConfirmed), lean(BookingExhausted))}
NOT_LISTED_YET = timedelta(seconds=30)
"""How long a placement may wait for a service that pathways knows and booking has not read of yet: it alone waits."""


class SettledMeanwhile(Transient):
    """Another process settled a placement of this batch meanwhile."""


class Diaries:
    """The settling of placements in diaries."""

    def __init__(
        self,
        database: Database,
        waiting: WaitingList,
        asking: Asking,
        changed: set[str],
        *,
        clock: Callable[[], datetime],
        lead: timedelta,
    ) -> None:
        """A slot that begins sooner than the lead from now is not held. `changed` is told of the services whose free
        slots may be others than they were, for whoever tells of them to take out."""
        self._database = database
        self._waiting = waiting
        self._asking = asking
        self._changed = changed
        self._clock = clock
        self._lead = lead
        self._references = References()
        self._waited_for: set[str] = set()
        """Services that a placement waited for in vain. One that is listed after all has a diary, and is found."""

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        # Said, because a server may have another default: each statement must see what others committed before it.
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            yield connection

    async def settle(self, requests: Sequence[BookingRequested]) -> list[Event]:
        """Settle each placement once; what was told of it before is told again. One event a placement, but for one
        that waits or asks a receiver: of that nothing is told until it ends.

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
        events = [outcome for placement in by_id if (outcome := told.get(placement)) is not None]
        if waiting := len(by_id) - len(told):
            raise Unfinished(events, f"{waiting} placements name services that booking has not read of yet")
        return events

    async def _told(self, placements: list[UUID]) -> dict[UUID, Event | None]:
        """What was told of those that are known; none of one that waits or asks."""
        rows = await self._database.pool.fetch(TOLD, placements)
        return {
            placement: _OUTCOMES[told_type].read(told.encode()) if told_type else None
            for placement, told_type, told in rows
        }

    async def _settle(self, requests: Sequence[BookingRequested]) -> dict[UUID, Event | None]:
        """What is told now of these placements, none of one that waits or asks; those that wait for a listing are left
        out."""
        told: dict[UUID, Event | None] = {}
        rows: list[tuple[UUID, str, str | None, str | None, str | None, str | None, datetime | None]] = []
        async with self._transaction() as connection:
            now = self._clock()
            requests, diaries = await self._lock(connection, requests, now)
            if not requests:
                return {}
            decisions: Sequence[Given | Refused | Asks] = allocate(requests, diaries, now)
            if not all(isinstance(decision, Given) for decision in decisions):
                decisions = await self._put_off(connection, requests, decisions, now)
            await self._references.reserve(connection, len(requests))
            for request, decision in zip(requests, decisions, strict=True):
                placement = request.data.brief.placement_id
                held: tuple[str | None, str | None, datetime | None] = (None, None, None)
                if isinstance(decision, Given):
                    held = self._references.next(), decision.service.service_id, decision.starts_at
                elif isinstance(decision, Asks) or decision.waits:
                    told[placement] = None
                    rows.append((placement, request.subject, None, None, *held))
                    continue
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
        if None in told.values():
            self._asking.woken.set()
        self._changed.update(
            decision.service.service_id
            for decision in decisions
            if isinstance(decision, Given) and decision.starts_at is not None
        )
        return told

    async def _put_off(
        self,
        connection: Connection,
        requests: Sequence[BookingRequested],
        decisions: Sequence[Given | Refused | Asks],
        now: datetime,
    ) -> Sequence[Given | Refused | Asks]:
        """Let those wait that may, under the locks of their diaries, and those ask that must; who is no longer wanted
        does not wait."""
        wait, asks = [], []
        for request, decision in zip(requests, decisions, strict=True):
            if isinstance(decision, Refused) and decision.waits:
                wait.append((request, decision, latest_start(request, now)))
            elif isinstance(decision, Asks):
                asks.append((request, decision, latest_start(request, now)))
        over = await self._waiting.admit(connection, wait, now) if wait else set()
        await self._asking.admit(connection, asks, now)
        return [
            Refused(decision.tried, why="no longer wanted")
            if not isinstance(decision, Given) and request.data.brief.placement_id in over
            else decision
            for request, decision in zip(requests, decisions, strict=True)
        ]

    async def _lock(
        self, connection: Connection, requests: Sequence[BookingRequested], now: datetime
    ) -> tuple[Sequence[BookingRequested], dict[str, Diary]]:
        """Lock the diaries that the requests name. Returns those that need not wait for another, and the diaries."""
        bookable = [request for request in requests if may_be_booked(request, now)]
        wanted = Counter(candidate.service_id for request in bookable for candidate in request.data.candidates)
        if not wanted:
            return requests, {}
        until = max(latest_start(request, now) for request in bookable)
        diaries = await lock_diaries(connection, wanted, now, self._lead, until)
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
            if abs(now - request.time) >= NOT_LISTED_YET:  # who asks in the future has a clock that nobody waits for
                self._waited_for |= services
        waiting = {
            request.partitionkey
            for request, services in zip(requests, named, strict=True)
            if not services <= self._waited_for
        }
        return [request for request in requests if request.partitionkey not in waiting]
