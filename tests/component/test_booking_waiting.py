"""Who waits for a place is given the next that is freed, in order, on a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.brief import Acuity
from contracts.people import Referrer
from contracts.placements import BookingRequested
from contracts.referrals import CancelledData, ReferralCancelled, Standing
from tests.booking_processes import Booking, Clock, booking, confirmed, exhausted, faults, stranger, waiting
from tests.booking_requests import DESK, NOON, requested, service, session, withdrawn

pytestmark = pytest.mark.backing

HOUR = timedelta(hours=1)
EVENING = NOON + 6 * HOUR
ONE_SLOT = session("13:00", "13:30")
"""At one o'clock, for one patient, every day."""


def waits(placement: int, *services: str, until: datetime = EVENING, **changes: Any) -> BookingRequested:
    """A placement that waits where it finds none."""
    return requested(placement, *services, wait_until=until, **changes)


def cancelled(request: BookingRequested, was: Literal["waiting", "placed"] = "waiting") -> ReferralCancelled:
    """The referrer's desk took the referral back."""
    brief = request.data.brief
    standing = Standing(
        version=5,
        state="cancelled",
        owner=DESK,
        due=NOON,
        next_step="Nothing.",
        desk=DESK,
        referrer=brief.referrer,
        patient=brief.patient,
    )
    by = Referrer(organisation="ONW01", practitioner="P2", role="dispatcher")
    data = CancelledData(standing=standing, was=was, by=by, reason="patient-better")
    return ReferralCancelled.first(data, id=uuid4(), source="onward/referrals", subject=request.subject, time=NOON)


async def told(process: Booking) -> list[tuple[int, str]]:
    """Of which placements the outbox tells what: the service that was given, or why none was."""
    events = [event for event in await process.put_out() if isinstance(event, BookingConfirmed | BookingExhausted)]
    return [
        (
            event.data.brief.placement_id.int,
            event.data.service.service_id if isinstance(event, BookingConfirmed) else event.data.why,
        )
        for event in events
    ]


@pytest.fixture
async def process(database: str) -> AsyncIterator[Booking]:
    """Booking with two diaries of one slot a day, at one o'clock."""
    async with booking(database, horizon=timedelta(hours=2)) as one:
        await one.lists(service("S1", ONE_SLOT), service("S2", ONE_SLOT))
        yield one


async def test_who_finds_a_place_does_not_wait(process: Booking) -> None:
    """Told at once, also when it could have waited; and up to `wait_until`, where that is later than its time."""
    [outcome] = await process.settles(waits(1, "S1", minutes=30))
    assert NOON + HOUR == outcome.data.starts_at
    assert [] == await process.rows("select * from waiting")


async def test_nothing_is_told_of_one_that_waits(process: Booking) -> None:
    """Nor of its repeat, in the same batch or later; others are told beside it."""
    await process.settles(requested(1, "S1"))
    waiting_one = waits(2, "S1")
    assert [3] == [
        event.data.brief.placement_id.int
        for event in await process.settles(waiting_one, requested(3, "S1"), waiting_one)
    ]
    assert [] == await process.settles(waiting_one)
    assert [(UUID(int=2), None)] == await process.rows("select placement_id, told from placements where told is null")
    assert [] == await faults(process)


@pytest.mark.parametrize("change", [{"to_clinician": True}, {"answer_by": NOON - HOUR}, {"until": NOON}], ids=str)
async def test_who_may_not_be_booked_does_not_wait(process: Booking, change: dict[str, Any]) -> None:
    """For a clinician, past its time to be acted on, or past the end of the wait."""
    await process.settles(requested(1, "S1"))
    assert 1 == len(await process.settles(waits(2, "S1", **change)))
    assert [] == await process.rows("select * from waiting")


async def test_a_place_that_is_given_back_is_the_waiting_ones(process: Booking) -> None:
    """In the same transaction: told through the outbox as the one effect of its request; nobody else is given it."""
    [first] = await process.settles(requested(1, "S1"))
    request = waits(2, "S2", "S1")
    await process.settles(requested(9, "S2"), request)
    await process.releases_of(withdrawn(first))
    [event] = await process.put_out()
    assert (request.id, request.partitionkey, "S1", NOON + HOUR) == (
        event.causationid,
        event.partitionkey,
        event.data.service.service_id,
        event.data.starts_at,
    )
    assert [("S2", "no free slot in time")] == [(one.service_id, one.why) for one in event.data.tried]
    assert [event.to_json()] == [again.to_json() for again in await process.settles(request)]
    [other] = await process.settles(requested(3, "S1"))
    assert [other] == exhausted([other])
    assert [] == await faults(process)


async def test_the_most_urgent_is_first_and_then_who_waits_the_longest(process: Booking) -> None:
    """Whatever the order in which they came."""
    outcomes = await process.settles(requested(1, "S1"), requested(2, "S2"))
    came: list[tuple[int, Acuity, int]] = [(3, "low", 0), (4, "urgent", 2), (5, "urgent", 1), (6, "standard", 0)]
    for placement, acuity, minutes in came:
        asked = NOON + timedelta(minutes=minutes)
        await process.settles(waits(placement, "S1", "S2", acuity=acuity, time=asked))
    for outcome in outcomes:
        await process.releases_of(withdrawn(outcome))
    assert [(5, "S1"), (4, "S2")] == await told(process)
    assert [] == await faults(process)


async def test_who_cannot_use_what_is_freed_is_passed_over(database: str) -> None:
    """It begins after the end of their wait: the next is given it, and they wait on."""
    async with booking(database, horizon=timedelta(hours=8)) as process:
        await process.lists(service("S1", session("17:00", "17:30")))
        [late] = await process.settles(requested(1, "S1", minutes=600))
        await process.settles(waits(2, "S1", acuity="immediate", until=NOON + 3 * HOUR), waits(3, "S1"))
        await process.releases_of(withdrawn(late))
        assert [(3, "S1")] == await told(process)
        assert [(UUID(int=2),)] == await process.rows("select placement_id from waiting")


async def test_a_new_session_is_for_those_who_wait(process: Booking) -> None:
    """Another template, and a service that is active again."""
    await process.settles(requested(1, "S1"), requested(2, "S2"), waits(3, "S1"), waits(4, "S1"), waits(5, "S2"))
    await process.lists(service("S1", ONE_SLOT, session("14:00", "14:30")), version=2)
    assert [(3, "S1")] == await told(process)
    await process.lists(service("S2", ONE_SLOT, active=False), version=2)
    await process.lists(service("S2", session("12:00", "14:00")), version=3)
    assert [(3, "S1"), (5, "S2")] == [one for one in await told(process) if one[0] in (3, 4, 5)]
    assert [] == await faults(process)


async def test_a_day_that_comes_within_the_horizon_is_for_those_who_wait(database: str) -> None:
    """Slots that are made as time goes by."""
    clock = Clock()
    async with booking(database, clock, horizon=timedelta(hours=2)) as process:
        await process.lists(service("S1", ONE_SLOT))
        await process.settles(
            requested(1, "S1"), requested(2, "S1", minutes=2000), waits(3, "S1", until=NOON + 72 * HOUR)
        )
        clock.now += timedelta(hours=25)
        while await process.listings.extend():
            pass
        assert [(3, "S1")] == await told(process)
        assert [] == await faults(process)


async def test_past_its_time_the_wait_was_in_vain(database: str) -> None:
    """Told once; a place that is freed afterwards is not given, even before the end of the wait was looked for."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", ONE_SLOT))
        [first] = await process.settles(requested(1, "S1"))
        await process.settles(waits(2, "S1", until=NOON + timedelta(minutes=20)))
        assert 0 == await process.waiting.end_in_vain()
        clock.now += timedelta(minutes=20)
        await process.releases_of(withdrawn(first))
        assert (1, 0) == (await process.waiting.end_in_vain(), await process.waiting.end_in_vain())
        [event] = await process.put_out()
        assert ("waited in vain", [("S1", "no free slot in time")]) == (
            event.data.why,
            [(one.service_id, one.why) for one in event.data.tried],
        )
        assert [] == await faults(process)


async def test_the_wait_of_a_cancelled_referral_ends(process: Booking) -> None:
    """Once, however often it is read; the place that is freed then is the next one's."""
    [first] = await process.settles(requested(1, "S1"))
    request = waits(2, "S1", acuity="immediate")
    await process.settles(request, waits(3, "S1"))
    over = cancelled(request)
    await process.waiting.forget([over, over])
    await process.waiting.forget([over])
    await process.releases_of(withdrawn(first))
    assert [(2, "no longer wanted"), (3, "S1")] == await told(process)
    assert [] == await faults(process)


async def test_a_wait_that_is_read_after_its_referral_was_cancelled_does_not_begin(process: Booking) -> None:
    """Topics have no common order. Who was not waiting when it was cancelled leaves nothing behind."""
    await process.settles(requested(1, "S1"))
    request = waits(2, "S1")
    await process.waiting.forget([cancelled(request), cancelled(waits(7, "S1"), was="placed")])
    [outcome] = await process.settles(request)
    assert ("no longer wanted", request.subject) == (outcome.data.why, outcome.subject)
    assert [(request.subject,)] == await process.rows("select referral_id from unwanted")
    assert [] == await faults(process)


async def test_who_begins_to_wait_while_a_place_is_freed_is_given_it(database: str) -> None:
    """The release waits for the diary, or the wait does: either way the place is given, and never left over."""
    async with booking(database) as one, booking(database) as other, stranger(database) as third:
        await one.lists(service("S1", ONE_SLOT))
        [first] = await one.settles(requested(1, "S1"))
        async with third.transaction():
            await third.execute("select from diaries for no key update")
            both = [
                asyncio.create_task(one.settles(waits(2, "S1"))),
                asyncio.create_task(other.releases_of(withdrawn(first))),
            ]
            await waiting(third, 2)
        at_once, _ = await asyncio.gather(*both)
        assert [2] == [event.data.brief.placement_id.int for event in [*at_once, *await one.put_out()]]
        assert [] == await faults(one)


LEFT_OVER = """
-- Who waits although one of their services has a slot that they could use.
select w.placement_id from waiting w join slots s on s.service_id = any(w.services)
where s.held < s.capacity and not s.withdrawn and s.starts_at >= $1 and s.starts_at <= w.latest_start
"""


@pytest.mark.parametrize("seed", [1, 2])
async def test_waits_releases_and_cancellations_race_and_nobody_is_left_over(database: str, seed: int) -> None:
    """Four writers, four diaries that are too small: each placement ends once, and no place is free while one waits."""
    names = [f"S{number}" for number in range(4)]
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(booking(database)) for _ in range(4)]
        await processes[0].lists(*(service(name, session("13:00", "14:30", capacity=2)) for name in names))

        async def write(number: int) -> list[Any]:
            chance, process, outcomes = random.Random(seed * 10 + number), processes[number], []
            for first in range(number * 1000 + 1, number * 1000 + 161, 8):
                asked = [
                    waits(first + one, *chance.sample(names, 2), acuity=chance.choice(("urgent", "low")))
                    for one in range(8)
                ]
                new = await process.settles(*asked)
                outcomes += new
                leaving = confirmed(outcomes)
                await process.releases_of(*map(withdrawn, chance.sample(leaving, min(len(leaving), 4))))
                await process.waiting.forget([cancelled(one) for one in asked[:1]])
            return outcomes

        at_once = [outcome for part in await asyncio.gather(*map(write, range(4))) for outcome in part]
        later = await processes[0].put_out()
        ended = [event.data.brief.placement_id for event in [*at_once, *later]]
        assert len(ended) == len(set(ended))
        assert confirmed(later)
        # Six hundred want them, so none of the four times three times two places is left.
        assert [(24,)] == await processes[0].rows("select count(*) from bookings where released_at is null")
        still = {placement for (placement,) in await processes[0].rows("select placement_id from waiting")}
        assert 640 == len(set(ended) | still)
        assert [] == await processes[0].rows(LEFT_OVER, NOON + timedelta(minutes=10))
        assert [] == await faults(processes[0])
