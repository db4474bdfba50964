"""The waiting list: who waits for a place to come free, and who is given it.

A placement whose request says `wait_until` waits where none of its candidates has a place. Whatever frees a place (a
release, new slots, a service that is active again) gives it on in the same transaction, under the lock of its diary: to
the most urgent who wait for that service and can still use it, of these to who has waited the longest. So nobody else
is shown or given a place while somebody who could use it waits for it. Who waits may be given a slot that begins by
`wait_until`, or within the disposition's minutes of the request where that is later. Past `wait_until` the wait was in
vain; when the referral is cancelled or arranged elsewhere the place is no longer wanted. Each ends the placement once,
and is told through the outbox.

One transaction at a time changes the list. It takes the list's lock after the locks of its diaries, and none of those
after it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

import asyncpg
import msgspec

from contracts.bookings import Tried, WhyExhausted
from contracts.brief import Acuity
from contracts.placements import BookingRequested
from contracts.referrals import ReferralArrangedElsewhere, ReferralCancelled
from services.booking.diary import Given, LeanTried, Refused, Waiter, give_freed
from services.booking.ending import Ending
from services.booking.locks import lock_diaries
from services.chassis.database import Connection, Database
from services.chassis.lean import lean
from services.chassis.outbox import Outbox

ANYBODY = """
select exists (select from waiting where services && $1::text[])
"""

ALONE = """
-- To the end of the transaction nobody else changes the list.
select pg_advisory_xact_lock(hashtextextended(current_schema() || '/waiting', 0))
"""

ADMIT = """
-- They wait from now on. One that another process has settled meanwhile is found out when the batch is stored.
insert into waiting
select placement_id, referral_id, request, tried, string_to_array(services, ' '), acuity, since, latest_start,
    wait_until, $10
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[],
    $7::timestamptz[], $8::timestamptz[], $9::timestamptz[]) w
    (placement_id, referral_id, request, tried, services, acuity, since, latest_start, wait_until)
on conflict do nothing
"""

UNWANTED = """
select referral_id from unwanted where referral_id = any($1::text[])
"""

WAITING = """
-- Who waits for these services, the most urgent first, then who has waited the longest.
select placement_id, services, latest_start from waiting
where services && $1::text[] and wait_until > $2
order by acuity, since, placement_id
"""

REQUESTS = """
select placement_id, request, tried from waiting where placement_id = any($1::uuid[])
"""

IN_VAIN = """
select placement_id, request, tried from waiting where wait_until <= $1 order by wait_until limit $2
"""

OVER = """
-- Those that ask a receiver just now: whoever asks for them gives back what they are given.
update asking set over = true where referral_id = any($1::text[]) returning referral_id
"""

OF_REFERRALS = """
select placement_id, referral_id, request, tried from waiting where referral_id = any($1::text[])
"""

REMEMBER_UNWANTED = """
insert into unwanted select unnest($1::text[]) on conflict do nothing
"""

_REQUESTED = lean(BookingRequested)
_TRIED = msgspec.json.Decoder(tuple[LeanTried, ...])  # type: ignore[valid-type]
URGENCY = {acuity: number for number, acuity in enumerate(get_args(Acuity))}
AT_ONCE = 200
LOOK_SECONDS = 2.0
"""How often it is looked whether somebody has waited in vain."""


class WaitingList:
    """Who waits for a place, in PostgreSQL."""

    def __init__(self, database: Database, outbox: Outbox, *, clock: Callable[[], datetime], lead: timedelta) -> None:
        """A slot that begins sooner than the lead from now is given to nobody."""
        self._database = database
        self._ending = Ending(outbox, "waiting")
        self._clock = clock
        self._lead = lead

    async def admit(
        self, connection: Connection, wait: Sequence[tuple[BookingRequested, Refused, datetime]], now: datetime
    ) -> set[UUID]:
        """Put these on the list, for a place that begins by then at the latest, under the locks of all their diaries.
        Returns whose referral is over already."""
        await connection.execute(ALONE)
        referrals = [request.subject for request, *_ in wait]
        over = {row["referral_id"] for row in await connection.fetch(UNWANTED, referrals)}
        rows = [_row(*one) for one in wait if one[0].subject not in over]
        if rows:
            await connection.execute(ADMIT, *zip(*rows, strict=True), now)
        return {request.data.brief.placement_id for request, *_ in wait if request.subject in over}

    async def give(self, connection: Connection, service_ids: Sequence[str], now: datetime) -> None:
        """Give what came free in these diaries to who waits for it. The caller holds their locks, and wakes the outbox
        after its commit."""
        if not service_ids or not await connection.fetchval(ANYBODY, service_ids):
            return
        await connection.execute(ALONE)
        rows = await connection.fetch(WAITING, service_ids, now)
        if not rows:
            return
        wanted = dict.fromkeys(sorted(service_ids), len(rows))
        latest = max(row["latest_start"] for row in rows)
        diaries = await lock_diaries(connection, wanted, now, self._lead, latest)
        freed = give_freed([Waiter(*row) for row in rows], diaries, now)
        placements = [waiter.placement_id for waiter, *_ in freed]
        requests = {row["placement_id"]: row for row in await connection.fetch(REQUESTS, placements)}
        decided: list[tuple[BookingRequested, Given | Refused]] = []
        for waiter, place, room in freed:
            request, tried = _read(requests[waiter.placement_id])
            decided.append((request, Given(request.data.candidates[place], place, *room, tried=tried[:place])))
        await self._ending.end(connection, decided, now)

    async def end_in_vain(self) -> int:
        """End the waits whose time is over. Returns how many, some at a time: call again until none is."""
        return await self._refuse("waited in vain", IN_VAIN, self._clock(), AT_ONCE)

    async def forget(self, over: Sequence[ReferralCancelled | ReferralArrangedElsewhere]) -> None:
        """End the waits of referrals that are over. One whose request was not read yet will not begin."""
        waited = sorted({event.subject for event in over if event.data.was == "waiting"})
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            await connection.execute(ALONE)
            referrals = sorted({event.subject for event in over})
            rows = await connection.fetch(OF_REFERRALS, referrals)
            found = {row["referral_id"] for row in [*rows, *await connection.fetch(OVER, referrals)]}
            await connection.execute(REMEMBER_UNWANTED, [one for one in waited if one not in found])
            await self._ending.end(connection, [_refused(row, "no longer wanted") for row in rows], self._clock())
        self._ending.wake()

    def wake(self) -> None:
        """What was given is committed: tell it."""
        self._ending.wake()

    async def _refuse(self, why: WhyExhausted, query: str, *arguments: object) -> int:
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            if not await connection.fetch(query, *arguments):
                return 0
            await connection.execute(ALONE)
            rows = await connection.fetch(query, *arguments)
            await self._ending.end(connection, [_refused(row, why) for row in rows], self._clock())
        self._ending.wake()
        return len(rows)


def _row(request: BookingRequested, refused: Refused, latest_start: datetime) -> tuple[object, ...]:
    brief, wait_until = request.data.brief, request.data.wait_until
    return (
        brief.placement_id,
        request.subject,
        request.to_json().decode(),
        msgspec.json.encode(refused.tried).decode(),
        " ".join(candidate.service_id for candidate in request.data.candidates),
        URGENCY[brief.acuity],
        request.time,
        latest_start,
        wait_until,
    )


def _read(row: asyncpg.Record) -> tuple[BookingRequested, tuple[Tried, ...]]:
    return _REQUESTED.read(row["request"].encode()), _TRIED.decode(row["tried"])


def _refused(row: asyncpg.Record, why: WhyExhausted) -> tuple[BookingRequested, Refused]:
    request, tried = _read(row)
    return request, Refused(tried, why=why)


async def end_waits(waiting: WaitingList) -> None:
    """End what was waited for in vain, for ever."""
    while True:
        while await waiting.end_in_vain():
            pass
        await asyncio.sleep(LOOK_SECONDS)
