"""So many patients an hour, for services without slots, on a real PostgreSQL."""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.bookings import BookingConfirmed, BookingDisplaced
from contracts.directory import DAYS, OpeningHours, OpeningPeriod, Service
from contracts.placements import BookingRequested
from services.booking.horizon import roll
from tests.booking_processes import Booking, Clock, booking, confirmed, exhausted, false_fulls, faults, until
from tests.booking_requests import NOON, requested, service, session, withdrawn

pytestmark = pytest.mark.backing

HOUR = timedelta(hours=1)
NOON_AND_TWENTY = NOON + timedelta(minutes=20)


def team(service_id: str = "S1", patients: int | None = 2, opens: str = "00:00", closes: str = "24:00") -> Service:
    """A team that is asked to accept, takes so many patients an hour, and is open between these times every day."""
    hours = OpeningHours(periods=(OpeningPeriod(days=DAYS, opens=opens, closes=closes),))
    return service(service_id, booking="acceptance", accept_within_minutes=30, patients_an_hour=patients, hours=hours)


def asked(placement: int, *services: str, **changes: Any) -> BookingRequested:
    """A placement that may be acted on for an hour."""
    return requested(placement, *services, **{"answer_by": NOON + HOUR} | changes)


def hours_of(outcomes: list[Any]) -> list[tuple[int, int]]:
    """Of those that got a place: the hour of the day, and how many it holds."""
    return [(one.data.hour.begins.hour, one.data.hour.taken) for one in confirmed(outcomes) if one.data.hour]


async def told(process: Booking, kind: type[Any]) -> list[int]:
    """Of which placements the outbox tells this."""
    return sorted(event.data.placement_id.int for event in await process.put_out() if isinstance(event, kind))


async def given(process: Booking) -> list[tuple[int, int]]:
    """Who waited and is given a place: the placement, and the hour of the day."""
    events = [event for event in await process.put_out() if isinstance(event, BookingConfirmed)]
    return [(event.data.brief.placement_id.int, event.data.hour.begins.hour) for event in events if event.data.hour]


async def test_the_hour_that_runs_is_held_and_then_the_next(database: str) -> None:
    """Within the patient's two hours; whom none of them takes is told so, and the answer is told again as it was."""
    async with booking(database, Clock(NOON_AND_TWENTY)) as process:
        await process.lists(team())
        requests = [asked(number, "S1", minutes=120) for number in range(1, 9)]
        outcomes = await process.settles(*requests)
        assert [(12, 1), (12, 2), (13, 1), (13, 2), (14, 1), (14, 2)] == hours_of(outcomes)
        assert [NOON + HOUR, NOON + 2 * HOUR, NOON_AND_TWENTY + 2 * HOUR] == [
            outcome.data.hour.come_by for outcome in outcomes[0:6:2]
        ]
        assert {"place_held"} == {outcome.data.outcome for outcome in confirmed(outcomes)}
        assert [["no place this hour"]] * 2 == [[one.why for one in each.data.tried] for each in exhausted(outcomes)]
        again = await process.settles(*requests)
        assert [one.to_json() for one in outcomes] == [one.to_json() for one in again]
        assert [] == await faults(process)


async def test_an_hour_that_is_nearly_over_is_not_held(database: str) -> None:
    """Nobody comes within the lead."""
    async with booking(database, Clock(NOON + timedelta(minutes=50))) as process:
        await process.lists(team())
        assert [(13, 1)] == hours_of(await process.settles(asked(1, "S1")))


async def test_only_hours_in_which_it_is_open_are_held(database: str) -> None:
    """It opens in the afternoon, and closes amid an hour, which takes its share."""
    async with booking(database) as process:
        await process.lists(team(opens="13:00", closes="14:30"))
        outcomes = await process.settles(*(asked(number, "S1", minutes=240) for number in range(1, 6)))
        assert [(13, 1), (13, 2), (14, 1)] == hours_of(outcomes)
        assert NOON + timedelta(minutes=150) == outcomes[2].data.hour.come_by
        assert [] == await faults(process)


async def test_a_place_that_is_given_back_is_free_in_its_hour(database: str) -> None:
    """Also in the hour that runs."""
    async with booking(database, Clock(NOON_AND_TWENTY)) as process:
        await process.lists(team(patients=1))
        [first, second] = await process.settles(asked(1, "S1"), asked(2, "S1"))
        [released] = await process.releases_of(withdrawn(first))
        assert NOON == released.data.starts_at
        assert [(12, 1)] == hours_of(await process.settles(asked(3, "S1")))
        assert [(13, 1)] == hours_of([second])
        assert [] == await faults(process)


@pytest.mark.parametrize("freed", ["given back", "more an hour", "open longer"])
async def test_whatever_frees_a_place_gives_it_to_who_waits(database: str, freed: str) -> None:
    """A release, more patients an hour, and other opening hours."""
    async with booking(database) as process:
        await process.lists(team(patients=1, opens="12:00", closes="13:00"))
        [first] = await process.settles(asked(1, "S1"))
        assert [] == await process.settles(asked(2, "S1", wait_until=NOON + 6 * HOUR))
        if freed == "given back":
            await process.releases_of(withdrawn(first))
        else:
            patients, closes = (2, "13:00") if freed == "more an hour" else (1, "14:00")
            await process.lists(team(patients=patients, opens="12:00", closes=closes), version=2)
        assert [(2, 13 if freed == "open longer" else 12)] == await given(process)
        assert [] == await faults(process)


async def test_who_waits_is_given_a_new_hour_as_the_horizon_moves(database: str) -> None:
    """All hours up to the horizon are full; days later there are others before the end of the wait."""
    clock = Clock()
    async with booking(database, clock, horizon=HOUR) as process:
        await process.lists(team(patients=1, opens="12:00", closes="13:00"))
        full = [asked(number, "S1", minutes=3 * 24 * 60) for number in (1, 2)]
        assert [(12, 1), (12, 1)] == hours_of(await process.settles(*full))
        assert [] == await process.settles(asked(3, "S1", wait_until=NOON + 5 * 24 * HOUR))
        clock.now = NOON + 25 * HOUR
        rolling = asyncio.create_task(roll(process.listings))
        try:

            async def one() -> bool:
                return [(3, 12)] == await given(process)

            await until(one)
        finally:
            rolling.cancel()
            await asyncio.gather(rolling, return_exceptions=True)
        assert [] == await faults(process)


async def test_a_listing_that_changes_no_hours_leaves_them_alone(database: str) -> None:
    """Another telephone; and the hours of a service by slots make no diary."""
    async with booking(database) as process:
        first = team()
        await process.lists(first, service("S2", session()))
        before = await process.rows("select xmin, ctid, * from slots")
        other = {"telephone": "01632 960101"}
        await process.lists(
            first.model_copy(update=other), service("S2", session(), hours=OpeningHours(always=False)), version=2
        )
        assert before == await process.rows("select xmin, ctid, * from slots")


CHANGES: dict[str, tuple[Service, list[int]]] = {
    "fewer an hour": (team(patients=1), [4, 6]),
    "closed in the afternoon": (team(closes="14:00"), [5, 6]),
    "delisted": (team().model_copy(update={"active": False}), [3, 4, 5, 6]),
    "more an hour": (team(patients=3), []),
    "as many as come": (team(patients=None), []),
}


@pytest.mark.parametrize(("change", "displaced"), CHANGES.values(), ids=CHANGES)
async def test_a_change_displaces_who_no_longer_fits(database: str, change: Service, displaced: list[int]) -> None:
    """Of hours to come, the last to be settled first; those of the hour that runs stay, and nobody is told twice."""
    async with booking(database, Clock(NOON_AND_TWENTY)) as process:
        await process.lists(team())
        for number in range(1, 7):
            await process.settles(asked(number, "S1"))
        await process.lists(change, version=2)
        await process.lists(change, version=2)
        assert displaced == await told(process, BookingDisplaced)
        assert [] == await faults(process)


async def test_as_many_as_come_are_taken_when_the_limit_is_lifted(database: str) -> None:
    """And from when it is set again, what is held since counts for no hour."""
    async with booking(database) as process:
        await process.lists(team(patients=1))
        await process.settles(asked(1, "S1"))
        await process.lists(team(patients=None), version=2)
        outcomes = await process.settles(*(asked(number, "S1") for number in range(2, 12)))
        assert [None] * 10 == [outcome.data.hour for outcome in confirmed(outcomes)]
        await process.lists(team(patients=1), version=3)
        assert [(13, 1)] == hours_of(await process.settles(asked(12, "S1")))
        assert [] == await faults(process)


async def test_hours_with_room_are_told_of_and_shown(database: str) -> None:
    """The one that runs too, until it is nearly over."""
    clock = Clock(NOON_AND_TWENTY)
    async with booking(database, clock) as process:
        await process.lists(team())
        await process.settles(asked(1, "S1"))
        page = await process.free_slots.page("S1", begin=None, until=NOON + 3 * HOUR, limit=10)
        assert page is not None
        assert [(NOON, 1), (NOON + HOUR, 2), (NOON + 2 * HOUR, 2)] == [(slot.begins, slot.free) for slot in page.slots]
        later = await process.free_slots.page("S1", begin=NOON_AND_TWENTY, until=NOON + 3 * HOUR, limit=1)
        assert later is not None
        assert ([NOON + HOUR], NOON + 2 * HOUR) == ([slot.begins for slot in later.slots], later.more_from)
        assert 1 == await process.free_slots.tell()
        clock.now = NOON + timedelta(minutes=51)
        assert 1 == await process.free_slots.tell()
        reports = [event for event in await process.put_out() if event.type == "diary.reported"]
        assert [NOON, NOON + HOUR] == [report.data.next_free[0].begins for report in reports]
        assert 1 + 2 * 23 + 2 == reports[0].data.free


@pytest.mark.parametrize("writers", [2, 4])
@pytest.mark.parametrize("size", [1, 25])
async def test_writers_over_few_hours_fill_them_and_no_more(database: str, writers: int, size: int) -> None:
    """Two hours of three teams, for half of those who come: no place too many, and nobody is told *full* in vain."""
    names = ["S1", "S2", "S3"]
    chance = random.Random(writers * size)
    async with AsyncExitStack() as stack:
        clock = Clock(NOON_AND_TWENTY)
        processes = [await stack.enter_async_context(booking(database, clock)) for _ in range(writers)]
        await processes[0].lists(*(team(name, 20, "12:00", "14:00") for name in names))
        requests = [asked(number, *chance.sample(names, 3), minutes=100) for number in range(1, 241)]

        async def settle(number: int) -> list[Any]:
            mine = requests[number::writers]
            return [
                outcome
                for first in range(0, len(mine), size)
                for outcome in await processes[number].settles(*mine[first : first + size])
            ]

        outcomes = [one for part in await asyncio.gather(*map(settle, range(writers))) for one in part]
        assert (120, 120) == (len(confirmed(outcomes)), len(exhausted(outcomes)))
        assert [(20, 20)] * 6 == await processes[0].rows("select capacity, held from slots where held > 0")
        assert sorted([*range(1, 21)] * 6) == sorted(taken for _, taken in hours_of(outcomes))
        assert [] == await false_fulls(processes[0], outcomes)
        assert [] == await faults(processes[0])


async def test_writers_and_releases_at_once_leave_nobody_waiting_beside_room(database: str) -> None:
    """Places are given back while others are asked for, and some wait: each freed place is held again, once."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(booking(database)) for _ in range(3)]
        await processes[0].lists(team("S1", 30, "12:00", "14:00"))
        held = await processes[0].settles(*(asked(number, "S1") for number in range(1, 61)))
        waiters = [asked(number, "S1", wait_until=NOON + 6 * HOUR) for number in range(101, 141)]

        async def give_back() -> None:
            for one in held[:50]:
                await processes[0].releases_of(withdrawn(one))

        async def wait(number: int) -> None:
            for one in waiters[number::2]:
                await processes[1 + number].settles(one)

        await asyncio.gather(give_back(), wait(0), wait(1))
        assert [(UUID(int=number),) for number in range(101, 141)] == await processes[0].rows(
            "select placement_id from bookings join placements using (placement_id) "
            "where released_at is null and placement_id > $1 order by 1",
            UUID(int=100),
        )
        assert [(10 + 40,)] == await processes[0].rows("select sum(held) from slots")
        assert [] == await faults(processes[0])


async def test_the_clock_of_the_hour_that_runs(database: str) -> None:
    """Listed a minute past the hour or amid it, the hour that runs is there, and none before it."""
    for number, minute in enumerate((0, 1, 49), 1):
        async with booking(database, Clock(NOON + timedelta(minutes=minute))) as process:
            await process.lists(team(f"S{number}"))
            first: datetime = (await process.slots(f"S{number}"))[0][0]
            assert NOON == first
