"""Diaries on a real PostgreSQL: what the directory lists, and the slots that follow from it as time goes by."""

import asyncio
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from services.booking.horizon import roll
from tests.booking_processes import Booking, Clock, booking, confirmed, exhausted, faults, stranger, until, waiting
from tests.booking_requests import NOON, listed, requested, service, session

pytestmark = pytest.mark.backing

HALF_PAST = NOON + timedelta(minutes=30)
DAY = timedelta(days=1)
NIGHT = session("00:00", "01:00")
"""Two slots a day, of half an hour for one patient."""


async def begins(process: Booking, service_id: str = "S1") -> list[datetime]:
    """When the slots of a diary begin."""
    return [row[0] for row in await process.slots(service_id)]


async def test_a_listed_service_has_its_slots_up_to_the_horizon(database: str) -> None:
    """And never fewer, until the next look a day later: so one day more."""
    async with booking(database, horizon=DAY) as process:
        await process.lists(service("S1", session(capacity=3)))
        expected = [(NOON + timedelta(minutes=30 * number), 30, 3, 0, False) for number in range(96)]
        assert expected == await process.slots("S1")


async def test_a_service_that_books_without_slots_has_none(database: str) -> None:
    """By acceptance or by delivery."""
    async with booking(database) as process:
        by_acceptance = service("S1", booking="acceptance", accept_within_minutes=45)
        await process.lists(by_acceptance, service("S2"))
        [accepting, delivered] = await process.settles(requested(1, "S1"), requested(2, "S2"))
        assert ("place_held", NOON + timedelta(minutes=45)) == (accepting.data.outcome, accepting.data.acceptance_due)
        assert "delivered" == delivered.data.outcome
        assert [] == await process.rows("select * from slots")


@pytest.mark.parametrize("order", permutations((1, 2, 3)), ids=str)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
async def test_the_newest_version_wins_in_any_order(database: str, order: tuple[int, ...], together: bool) -> None:
    """And each may come twice."""
    entries = {number: service("S1", session("12:00", "13:00", slot_minutes=10 * number)) for number in (1, 2, 3)}
    events = [listed(entries[version], version) for version in (*order, *order)]
    async with booking(database, horizon=timedelta(hours=2)) as process:
        for batch in [events] if together else [[event] for event in events]:
            await process.listings.list_services(batch)
        assert [(3,)] == await process.rows("select version from diaries")
        assert [30] * 4 == [minutes for _, minutes, *_ in await process.slots("S1")]


async def test_a_new_template_replaces_free_slots_and_withdraws_held_ones(database: str) -> None:
    """The patient's slot stays, and takes nobody more; the others are those of the new template."""
    async with booking(database, horizon=timedelta(hours=1)) as process:
        await process.lists(service("S1", session("12:00", "14:00", capacity=2)))
        await process.settles(requested(1, "S1"))
        await process.lists(service("S1", session("12:20", "14:00", slot_minutes=20)), version=2)
        today = [row for row in await process.slots("S1") if row[0] < NOON + timedelta(hours=1)]
        assert [
            (NOON + timedelta(minutes=20), 20, 1, 0, False),
            (HALF_PAST, 30, 2, 1, True),
            (NOON + timedelta(minutes=40), 20, 1, 0, False),
        ] == today
        outcomes = await process.settles(*(requested(number, "S1", minutes=50) for number in (2, 3, 4)))
        assert [20, 20] == [outcome.data.slot_minutes for outcome in confirmed(outcomes)]
        assert 1 == len(exhausted(outcomes))
        assert [] == await faults(process)


async def test_a_held_slot_that_fits_the_new_template_stays_in_use(database: str) -> None:
    """With the new number of patients."""
    async with booking(database) as process:
        await process.lists(service("S1", session(capacity=1)))
        await process.settles(requested(1, "S1"))
        await process.lists(service("S1", session(capacity=2)), version=2)
        assert (HALF_PAST, 30, 2, 1, False) in await process.slots("S1")
        [outcome] = await process.settles(requested(2, "S1"))
        assert HALF_PAST == outcome.data.starts_at


async def test_a_held_slot_with_more_patients_than_the_new_template_takes_is_withdrawn(database: str) -> None:
    """Nobody is turned away by a change of the diary, and nobody more is sent."""
    async with booking(database) as process:
        await process.lists(service("S1", session(capacity=3)))
        await process.settles(requested(1, "S1"), requested(2, "S1"))
        await process.lists(service("S1", session(capacity=1)), version=2)
        assert (HALF_PAST, 30, 3, 2, True) in await process.slots("S1")
        [outcome] = await process.settles(requested(3, "S1"))
        assert NOON + timedelta(hours=1) == outcome.data.starts_at
        assert [] == await faults(process)


async def test_a_template_that_comes_back_takes_its_held_slots_back(database: str) -> None:
    """A mistake in the directory that is put right costs no room."""
    first, second = service("S1", session(capacity=2)), service("S1", session(slot_minutes=20))
    async with booking(database) as process:
        await process.lists(first)
        await process.settles(requested(1, "S1"))
        before = await process.slots("S1")
        await process.lists(second, version=2)
        await process.lists(first, version=3)
        assert before == await process.slots("S1")


async def test_a_new_version_with_the_same_sessions_leaves_the_slots_alone(database: str) -> None:
    """Another telephone is no other diary."""
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        before = await process.rows("select xmin, ctid, * from slots")
        await process.lists(service("S1", session(), telephone="01632 960101"), version=2)
        assert before == await process.rows("select xmin, ctid, * from slots")


async def test_an_inactive_service_is_not_booked(database: str) -> None:
    """From the moment that its delisting is read; what it holds stays."""
    async with booking(database) as process:
        await process.lists(service("S1", session()), service("S2"))
        await process.settles(requested(1, "S1"))
        await process.lists(service("S1", session(), active=False), service("S2", active=False), version=2)
        [outcome] = await process.settles(requested(2, "S1", "S2"))
        assert [("S1", "not active"), ("S2", "not active")] == [(one.service_id, one.why) for one in outcome.data.tried]
        assert [] == await faults(process)


async def test_a_service_that_was_never_active_is_not_active(database: str) -> None:
    """It has no slots, and that is not the reason."""
    async with booking(database) as process:
        await process.lists(service("S1", session(), active=False))
        [outcome] = await process.settles(requested(1, "S1"))
        assert ["not active"] == [one.why for one in outcome.data.tried]
        assert [] == await process.rows("select * from slots")


async def test_a_service_that_is_active_again_has_slots_at_once(database: str) -> None:
    """After weeks at rest, with the same sessions; and none for the time that is over."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", NIGHT))
        await process.lists(service("S1", NIGHT, active=False), version=2)
        clock.now += 30 * DAY
        await process.lists(service("S1", NIGHT), version=3)
        tomorrow = clock.now + timedelta(hours=12)
        assert [tomorrow, tomorrow + DAY] == [
            begin for begin in await begins(process) if begin > NOON + 3 * DAY and begin.minute == 0
        ]


async def test_the_horizon_rolls_as_the_clock_goes_on(database: str) -> None:
    """However often it is looked at, and however late: each slot once, and always the horizon's worth ahead."""
    clock = Clock()
    async with booking(database, clock, horizon=2 * DAY) as process:
        await process.lists(service("S1", session(slot_minutes=60)))
        for hours in (1, 5, 11, 13, 24, 24, 24, 1, 49):
            clock.now += timedelta(hours=hours)
            while await process.listings.extend():
                pass
            made = await begins(process)
            assert clock.now + 2 * DAY <= made[-1] + timedelta(hours=1)
        assert [NOON + timedelta(hours=number) for number in range(len(made))] == made


async def test_a_look_before_a_day_has_passed_finds_nothing_due(database: str) -> None:
    """Diaries are not written to at every look."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", NIGHT))
        clock.now += DAY
        assert 0 == await process.listings.extend()
        clock.now += timedelta(seconds=1)
        assert (1, 0) == (await process.listings.extend(), await process.listings.extend())


async def test_a_held_slot_is_not_touched_by_the_rolling_horizon(database: str) -> None:
    """It is still held, by the same patient, as often as the diary is extended."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", session()))
        await process.settles(requested(1, "S1"))
        for _ in range(3):
            clock.now += timedelta(hours=30)
            await process.listings.extend()
        assert (HALF_PAST, 30, 1, 1, False) == (await process.slots("S1"))[1]
        assert [] == await faults(process)


async def test_many_diaries_are_extended_by_several_processes_at_once(database: str) -> None:
    """More than one transaction's worth, two processes: each slot once, none missing, no deadlock."""
    clock = Clock()
    async with booking(database, clock) as one, booking(database, clock) as other:
        names = [f"S{number:02}" for number in range(35)]
        await asyncio.gather(
            one.lists(*(service(name, NIGHT) for name in names)),
            other.lists(*(service(name, NIGHT) for name in reversed(names))),
        )
        clock.now += 2 * DAY

        async def reach(process: Booking) -> None:
            while await process.listings.extend():
                pass

        await asyncio.gather(reach(one), reach(other))
        midnight = NOON + timedelta(hours=12)
        expected = [midnight + day * DAY + timedelta(minutes=half) for day in range(4) for half in (0, 30)]
        for name in names:
            assert expected == await begins(one, name)


async def test_the_horizon_is_kept_in_the_background(database: str) -> None:
    """A process that runs gives diaries their slots without being asked."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", NIGHT))
        clock.now += 2 * DAY
        rolling = asyncio.create_task(roll(process.listings))
        try:

            async def extended() -> bool:
                return clock.now + DAY <= max(await begins(process))

            await until(extended)
        finally:
            rolling.cancel()
            await asyncio.gather(rolling, return_exceptions=True)


async def test_two_processes_that_list_the_same_services_do_not_wait_crosswise(database: str) -> None:
    """Each in an order of its own, both held up half way: the second waits for the first, and not the first for it."""
    entries = [service(f"S{number}", NIGHT) for number in range(9)]
    async with booking(database) as one, booking(database) as other, stranger(database) as third:
        await one.lists(*entries)
        async with third.transaction():
            await third.execute("select from diaries where service_id = 'S4' for update")
            first = asyncio.create_task(one.lists(*entries, version=2))
            await waiting(third, 1)
            second = asyncio.create_task(other.lists(*reversed(entries), version=3))
            await waiting(third, 2)
        await asyncio.gather(first, second)
        assert [(3, 9)] == await one.rows("select version, count(*) from diaries group by version")


async def waits_for(connection: Any, what: str) -> None:
    """Return once a connection to this database waits for such a lock."""
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = $1"

    async def so() -> bool:
        return bool(await connection.fetchval(query, what))

    await until(so)


async def test_a_diary_is_never_seen_without_its_slots(database: str) -> None:
    """While a service is being listed it is not there yet, and never *full*; then it has room."""
    an_hour_ago = NOON - timedelta(hours=1)
    async with booking(database) as process, booking(database) as lister, stranger(database) as other:
        await process.lists(service("S2"))
        async with other.transaction():
            await other.execute("lock table slots in share row exclusive mode")
            listing = asyncio.create_task(lister.lists(service("S1", session())))
            await waits_for(other, "relation")  # the listing, half way
            settling = asyncio.create_task(process.settles(requested(1, "S1", "S2", time=an_hour_ago)))
            await waiting(other, 2)
        [outcome] = await settling
        assert [("S1", "no diary")] == [(tried.service_id, tried.why) for tried in outcome.data.tried]
        await listing
        [outcome] = await process.settles(requested(2, "S1", "S2", time=an_hour_ago))
        assert ("S1", HALF_PAST) == (outcome.data.service.service_id, outcome.data.starts_at)


async def test_a_diary_whose_template_changes_is_held_in_the_new_one(database: str) -> None:
    """Settling waits for the change: no slot is held that the change then withdraws."""
    async with booking(database) as process, booking(database) as lister, stranger(database) as other:
        await process.lists(service("S1", session()))
        async with other.transaction():
            await other.execute("lock table slots in share row exclusive mode")
            listing = asyncio.create_task(lister.lists(service("S1", session(slot_minutes=20)), version=2))
            await waits_for(other, "relation")  # the listing, half way
            settling = asyncio.create_task(process.settles(requested(1, "S1")))
            await waits_for(other, "transactionid")  # settling, for the listing
        [outcome] = await settling
        await listing
        assert 20 == outcome.data.slot_minutes
        assert [] == await process.rows("select * from slots where withdrawn")
