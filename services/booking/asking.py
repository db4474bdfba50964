"""Placements whose next candidate keeps its own diary, in PostgreSQL: who asks for which, and what they were given.

Settling stores such a placement with nothing told. Whoever takes it has a lease, asks outside any transaction
(`askers.py`), and comes back with what was booked, or why nothing was: then the placement ends, or goes on to its next
candidate, here or elsewhere, in the usual transaction. The key of a booking is stored before it is asked for. Every key
that is not held in the end is given back, until the receiver says so.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from contracts.bookings import Refusal
from contracts.placements import BookingRequested
from services.booking.answers import Got, NotGot, Offers, Ours, Wanted, choose, double_booked
from services.booking.diary import (
    Asks,
    Diary,
    Given,
    Refused,
    Waiter,
    give_freed,
    last_time,
    not_taken,
    place,
)
from services.booking.ending import Ending
from services.booking.leases import Asked, quiet_at
from services.booking.locks import lock_diaries
from services.booking.settings import BookingSettings
from services.booking.waiting import ALONE, WaitingList
from services.chassis.database import Connection, Database
from services.chassis.lean import lean
from services.chassis.metrics import DOUBLE_BOOKED
from services.chassis.outbox import Outbox

ADMIT = """
-- They ask from now on, at the address that is listed. One that another process has settled meanwhile is found out when
-- the batch is stored.
insert into asking (placement_id, referral_id, request, tried, place, service_id, receiver, address, since,
    latest_start, last_at, wait_until, give_up_at, due_at)
select n.placement_id, n.referral_id, n.request, n.tried, n.place, n.service_id, d.receiver, d.address, n.since,
    n.latest_start, n.last_at, n.wait_until, $2, $1
from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::timestamptz[],
    $10::timestamptz[], $11::timestamptz[], $12::timestamptz[])
    n (placement_id, referral_id, request, tried, place, service_id, since, latest_start, last_at, wait_until)
join diaries d using (service_id)
on conflict do nothing
"""

LISTED = """
-- Still listed there. Locked, so that of our own placements one at a time chooses a slot of this service.
select from diaries where service_id = $1 and address = $2 and active for no key update
"""

STILL_OURS = """
select placement_id, over, key from asking a join unnest($1::uuid[], $2::uuid[]) o (placement_id, lease)
    using (placement_id, lease)
order by placement_id for update of a
"""

OURS = """
select starts_at, count(*) filter (where state = 'asked') as asked, count(*) filter (where state = 'held') as held
from elsewhere where service_id = $1 and starts_at = any($2::timestamptz[]) and state in ('asked', 'held')
group by starts_at
"""

STORE_KEY = """
with stored as (
    insert into elsewhere (key, placement_id, service_id, receiver, address, starts_at, minutes, state, quiet_at)
    select $1, placement_id, service_id, receiver, address, $3, $4, 'asked', $5 from asking where placement_id = $2
)
update asking set key = $1 where placement_id = $2
"""

GIVE_UP = """
-- Whatever the receiver makes of these, nobody wants them any more.
update elsewhere set state = 'undoing', due_at = $1, lease = null, given_up_at = coalesce(given_up_at, $1)
where key = any($2::uuid[]) and state = any($3::text[])
"""

GO_ON = """
update asking a set tried = n.tried, place = n.place, service_id = n.service_id, receiver = d.receiver,
    address = d.address, give_up_at = $2, key = null, lease = null, due_at = $1
from unnest($3::uuid[], $4::text[], $5::integer[], $6::text[]) n (placement_id, tried, place, service_id)
join diaries d using (service_id)
where a.placement_id = n.placement_id
"""

LEAVE = """
delete from asking where placement_id = any($1::uuid[])
"""

MAY_ASK_AGAIN = """
-- Who waits for a service that keeps its own diary, and has not asked it for a while.
select w.placement_id, w.services, w.latest_start from waiting w
where coalesce(w.asked_at, w.since) <= $1 and w.wait_until > $2 and w.services && array(
    select service_id from diaries where receiver is not null and active
)
order by w.acuity, w.since limit $3
"""

WAIT_STILL = """
select placement_id, request, latest_start from waiting where placement_id = any($1::uuid[]) order by placement_id
"""

ASKED_NOW = """
update waiting set asked_at = $1 where placement_id = any($2::uuid[])
"""

WAIT_NO_MORE = """
delete from waiting where placement_id = any($1::uuid[])
"""

_REQUESTED = lean(BookingRequested)
GIVEN_UP = ["undoing", "undone"]
ANY_BUT_HELD = ["asked", *GIVEN_UP]
AT_ONCE = 200


class Asking:
    """Placements that ask receivers."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        waiting: WaitingList,
        changed: set[str],
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID],
        lead: timedelta,
        settings: BookingSettings,
    ) -> None:
        """`changed` is told of the diaries that slots were taken of."""
        self._database = database
        self._ending = Ending(outbox, "asking")
        self._waiting = waiting
        self._changed = changed
        self._clock = clock
        self._new_id = new_id
        self._lead = lead
        DOUBLE_BOOKED.labels("booking")  # counted from zero
        self._settings = settings
        self.woken = asyncio.Event()
        """Set when there is something new to ask, or to give back."""

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            yield connection

    def _give_up_at(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._settings.receiver_patience_seconds)

    async def admit(
        self, connection: Connection, asks: Sequence[tuple[BookingRequested, Asks, datetime]], now: datetime
    ) -> None:
        """Let these ask, for slots that begin by then at the latest."""
        rows = [
            (
                request.data.brief.placement_id,
                request.subject,
                request.to_json().decode(),
                msgspec.json.encode(ask.tried).decode(),
                ask.place,
                ask.service.service_id,
                request.time,
                latest_start,
                last_time(request),
                last_time(request) if request.data.wait_until else None,
            )
            for request, ask, latest_start in asks
        ]
        if rows:
            await connection.execute(ADMIT, now, self._give_up_at(now), *zip(*rows, strict=True))

    def earliest(self) -> datetime:
        """No slot that begins sooner is asked for."""
        return self._clock() + self._lead

    def seconds_for(self, asked: Asked) -> float:
        """For how long it may ask, at most."""
        return min(self._settings.receiver_ask_seconds, (asked.last_at - self._clock()).total_seconds())

    async def choose(self, asked: Asked, offers: Offers, before: Wanted | None) -> Wanted | None:
        """Choose one of the slots that are offered, and store under which key it will be asked for, before it is. What
        was asked for before is given up. None where there is none for us, or nothing more is to be asked for."""
        async with self._transaction() as connection:
            now = self._clock()
            listed = await connection.fetch(LISTED, asked.service_id, asked.address)
            mine = await connection.fetch(STILL_OURS, [asked.placement_id], [asked.lease])
            if not listed or not mine or mine[0]["over"]:
                return None
            if before is not None:
                await connection.execute(GIVE_UP, now, [before.key], ANY_BUT_HELD)
            starts = [offer.starts_at for offer in offers.slots]
            rows = await connection.fetch(OURS, asked.service_id, starts)
            ours = {starts_at: Ours(asked_for, held) for starts_at, asked_for, held in rows}
            if double_booked(offers, ours):
                DOUBLE_BOOKED.labels("booking").inc()
            offer = choose(offers, ours)
            if offer is None:
                return None
            wanted = Wanted(self._new_id(), asked.service_id, offer.starts_at, offer.minutes)
            await connection.execute(
                STORE_KEY,
                wanted.key,
                asked.placement_id,
                wanted.starts_at,
                wanted.minutes,
                quiet_at(now, self._settings),
            )
        return wanted

    async def finish(self, found: Sequence[tuple[Asked, Got | NotGot]]) -> None:
        """End each placement with what was booked, or let it go on to its next candidate. What another has taken over
        meanwhile is left to them."""
        if not found:
            return
        async with self._transaction() as connection:
            now = self._clock()
            diaries = await self._lock(connection, found, now)
            if any(asked.request.data.wait_until for asked, _ in found):
                await connection.execute(ALONE)
            placements, leases = [asked.placement_id for asked, _ in found], [asked.lease for asked, _ in found]
            rows = await connection.fetch(STILL_OURS, placements, leases)
            over = {row["placement_id"]: row["over"] for row in rows}
            mine = [(asked, what) for asked, what in found if asked.placement_id in over]
            decided = [
                (asked, _decide(asked, what, diaries, now, over=over[asked.placement_id])) for asked, what in mine
            ]
            held = {decision.elsewhere for _, decision in decided if isinstance(decision, Given) and decision.elsewhere}
            dropped = [row["key"] for row in rows if row["key"] is not None and row["key"] not in held]
            await connection.execute(GIVE_UP, now, dropped, ANY_BUT_HELD)
            # Whoever took over decides about these; what they gave up may have been booked just now.
            late = [what.wanted.key for asked, what in found if what.wanted and asked.placement_id not in over]
            await connection.execute(GIVE_UP, now, late, GIVEN_UP)
            ended = await self._go_on(connection, decided, now)
            await self._ending.end(connection, ended, now)
        self._ending.wake()
        self._changed.update(
            decision.service.service_id
            for _, decision in ended
            if isinstance(decision, Given) and decision.starts_at is not None and decision.elsewhere is None
        )

    async def _lock(
        self, connection: Connection, found: Sequence[tuple[Asked, Got | NotGot]], now: datetime
    ) -> dict[str, Diary]:
        """Lock the diaries of what may be tried next; of one that may wait, of all that it could wait for."""
        wanted = Counter(
            candidate.service_id
            for asked, what in found
            if isinstance(what, NotGot)
            for candidate in asked.request.data.candidates[0 if asked.request.data.wait_until else asked.place + 1 :]
        )
        if not wanted:
            return {}
        latest = max(asked.latest_start for asked, _ in found)
        return await lock_diaries(connection, wanted, now, self._lead, latest)

    async def _go_on(
        self, connection: Connection, decided: Sequence[tuple[Asked, Given | Refused | Asks]], now: datetime
    ) -> list[tuple[BookingRequested, Given | Refused]]:
        """Let go on who has another to ask, and wait who waits. Returns those that end."""
        ended = []
        on: list[tuple[UUID, str, int, str]] = []
        wait: list[tuple[BookingRequested, Refused, datetime]] = []
        for asked, decision in decided:
            if isinstance(decision, Asks):
                tried = msgspec.json.encode(decision.tried).decode()
                on.append((asked.placement_id, tried, decision.place, decision.service.service_id))
            elif isinstance(decision, Refused) and decision.waits:
                wait.append((asked.request, decision, asked.latest_start))
            else:
                ended.append((asked.request, decision))
        if on:
            await connection.execute(GO_ON, now, self._give_up_at(now), *zip(*on, strict=True))
        if wait:
            over = await self._waiting.admit(connection, wait, now)
            left = []
            for request, refused, _ in wait:
                if request.data.brief.placement_id in over:
                    ended.append((request, Refused(refused.tried, why="no longer wanted")))
                else:
                    left.append(request.data.brief.placement_id)
            await connection.execute(LEAVE, left)
        return ended

    async def ask_again(self) -> int:
        """Let those who wait ask again. Returns how many were looked at, some at a time: call again until none is."""
        again = timedelta(minutes=self._settings.receiver_again_minutes)
        async with self._transaction() as connection:
            now = self._clock()
            rows = await connection.fetch(MAY_ASK_AGAIN, now - again, now, AT_ONCE)
            if not rows:
                return 0
            wanted = Counter(service_id for row in rows for service_id in row["services"])
            latest = max(row["latest_start"] for row in rows)
            diaries = await lock_diaries(connection, wanted, now, self._lead, latest)
            await connection.execute(ALONE)
            placements = [row["placement_id"] for row in rows]
            still = [
                (row["placement_id"], _REQUESTED.read(row["request"].encode()), row["latest_start"])
                for row in await connection.fetch(WAIT_STILL, placements)
            ]
            decisions = [place(request, diaries, latest_start, now) for _, request, latest_start in still]
            asks = [
                (request, decision, latest_start)
                for (_, request, latest_start), decision in zip(still, decisions, strict=True)
                if isinstance(decision, Asks)
            ]
            await self.admit(connection, asks, now)
            await connection.execute(WAIT_NO_MORE, [request.data.brief.placement_id for request, *_ in asks])
            await connection.execute(ASKED_NOW, now, placements)
        return len(rows)


def _decide(
    asked: Asked, what: Got | NotGot, diaries: Mapping[str, Diary], now: datetime, *, over: bool
) -> Given | Refused | Asks:
    request = asked.request
    candidate = request.data.candidates[asked.place]
    if over:
        return Refused(asked.tried, why="no longer wanted")
    if isinstance(what, Got) and now <= min(asked.last_at, what.wanted.starts_at):  # an outage may have been long
        slot = what.wanted
        return Given(
            candidate,
            asked.place,
            slot.starts_at,
            slot.minutes,
            tried=asked.tried,
            elsewhere=slot.key,
            receiver_reference=what.reference,
        )
    why: Refusal = what.why if isinstance(what, NotGot) else "its diary did not answer"
    tried = (*asked.tried, not_taken(candidate, why))
    if now > asked.last_at:
        return Refused(tried, why="waited in vain" if request.data.wait_until else None)
    decision = place(request, diaries, asked.latest_start, now, tried=tried, begin=asked.place + 1)
    if isinstance(decision, Refused) and decision.waits:
        # What came free of the candidates before this one meanwhile was given to nobody who asks.
        waiter = Waiter(asked.placement_id, [one.service_id for one in request.data.candidates], asked.latest_start)
        for _, number, room in give_freed([waiter], diaries, now):
            return Given(request.data.candidates[number], number, *room, tried=decision.tried[:number])
    return decision
