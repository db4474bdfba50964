"""What is withdrawn is given back once, on a real PostgreSQL, and told the same for ever."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.envelope import effect_id
from services.chassis.failures import Poison, is_transient
from tests.booking_processes import Booking, booking, confirmed, faults, stranger, waiting
from tests.booking_requests import NOON, requested, service, session, withdrawn

pytestmark = pytest.mark.backing

HALF_PAST = NOON + timedelta(minutes=30)


@pytest.fixture
async def process(database: str) -> AsyncIterator[Booking]:
    """Booking with a diary, S1, of a slot for one patient every half hour, and S2, which takes everyone."""
    async with booking(database) as one:
        await one.lists(service("S1", session()), service("S2"))
        yield one


async def test_a_slot_that_is_given_back_is_the_next_ones(process: Booking) -> None:
    """Its count, the booking and what is told agree; the reference can still be found."""
    [outcome] = await process.settles(requested(1, "S1"))
    [released] = await process.releases_of(withdrawn(outcome))
    held = released.data
    assert (outcome.data.brief.placement_id, outcome.data.reference, "S1", HALF_PAST) == (
        held.placement_id,
        held.reference,
        held.service_id,
        held.starts_at,
    )
    assert [(NOON, released.to_json().decode())] == await process.rows("select released_at, released from bookings")
    assert [] == await faults(process)
    [again] = await process.settles(requested(2, "S1"))
    assert HALF_PAST == again.data.starts_at
    assert [] == await faults(process)


async def test_a_release_is_the_one_effect_of_its_withdrawal(process: Booking) -> None:
    """On the key of its referral, in the same transaction."""
    [outcome] = await process.settles(requested(1, "S1"))
    cause = withdrawn(outcome)
    [released] = await process.releases_of(cause)
    assert (effect_id(cause.id, "booking.released"), cause.id, cause.correlationid, outcome.partitionkey) == (
        released.id,
        released.causationid,
        released.correlationid,
        released.partitionkey,
    )


async def test_a_withdrawal_that_comes_again_gives_nothing_back_twice(process: Booking) -> None:
    """In one batch, in the next, and for another reason: told as it was, though the slot is held by another now."""
    [outcome] = await process.settles(requested(1, "S1"))
    first = withdrawn(outcome)
    [released] = await process.releases_of(first, first, withdrawn(outcome, "rebooked"))
    await process.settles(requested(2, "S1"))
    repeats = [await process.releases_of(one) for one in (first, withdrawn(outcome, "rejected"))]
    assert [[released.to_json()]] * 2 == [[one.to_json() for one in told] for told in repeats]
    assert (HALF_PAST, 1) in [(begins, held) for begins, _, _, held, _ in await process.slots("S1")]
    assert [] == await faults(process)


async def test_a_batch_is_given_back_together(process: Booking) -> None:
    """Several of one slot, several slots, and a service without slots: in the order in which they were withdrawn."""
    await process.lists(service("S3", session(capacity=3)))
    outcomes = await process.settles(*(requested(number, f"S{number % 3 + 1}") for number in range(1, 10)))
    process.changed.clear()
    released = await process.releases_of(*map(withdrawn, reversed(outcomes)))
    assert [one.data.reference for one in reversed(outcomes)] == [one.data.reference for one in released]
    assert [(0,)] == await process.rows("select sum(held) from slots")
    assert [(9,)] == await process.rows("select count(*) from bookings where released_at is not null")
    assert {"S1", "S3"} == process.changed
    assert [] == await faults(process)


@pytest.mark.parametrize("change", [{"reference": "999999999999"}, {"placement_id": UUID(int=7)}], ids=str)
async def test_a_withdrawal_of_what_was_never_booked_is_poison(process: Booking, change: dict[str, Any]) -> None:
    """An unknown reference, or another placement's: named, so that the rest of its batch goes on without it."""
    first, second = await process.settles(requested(1, "S1"), requested(2, "S1"))
    wrong = withdrawn(first, **change)
    with pytest.raises(Poison) as poison:
        await process.releases_of(withdrawn(second), wrong)
    assert wrong.id == poison.value.event_id
    assert [(2,)] == await process.rows("select count(*) from bookings where released_at is null")


async def test_a_release_waits_for_who_settles_in_that_diary(database: str) -> None:
    """And two processes that release the same batch, each in an order of its own, give it back once."""
    async with booking(database) as one, booking(database) as other, stranger(database) as third:
        await one.lists(service("S1", session(capacity=3)), service("S2", session(capacity=3)), service("S3"))
        outcomes = await one.settles(*(requested(number, f"S{number % 3 + 1}") for number in range(1, 10)))
        async with third.transaction():
            await third.execute("select from diaries where service_id = 'S1' for no key update")
            releasing = [
                asyncio.create_task(one.releases_of(*map(withdrawn, outcomes))),
                asyncio.create_task(other.releases_of(*map(withdrawn, reversed(outcomes)))),
            ]
            await waiting(third, 2)
            assert [(0,)] == await one.rows("select count(*) from bookings where released_at is not null")
        first, second = await asyncio.gather(*releasing)
        assert [event.to_json() for event in first] == [event.to_json() for event in reversed(second)]
        assert [] == await faults(one)


@pytest.mark.parametrize("size", [1, 20])
async def test_releases_race_settlements_and_no_place_is_lost_or_doubled(database: str, size: int) -> None:
    """Four writers over five diaries that are too small: each gives back what it was given, in an order of its own."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(booking(database)) for _ in range(4)]
        names = [f"S{number}" for number in range(5)]
        await processes[0].lists(*(service(name, session("13:00", "15:00", capacity=2)) for name in names))

        async def write(number: int) -> int:
            chance, process, placed = random.Random(number), processes[number], 0
            for first in range(number * 1000, number * 1000 + 200, size):
                asked = [requested(first + one, *chance.sample(names, 3), minutes=600) for one in range(1, size + 1)]
                mine = confirmed(await process.settles(*asked))
                placed += len(mine)
                chance.shuffle(mine)
                await process.releases_of(*map(withdrawn, mine[: len(mine) * 4 // 5 + 1]))
            return placed

        placed = await asyncio.gather(*map(write, range(4)))
        room = 5 * 4 * 2
        assert sum(placed) > room
        assert [] == await faults(processes[0])


async def test_a_database_that_goes_away_amid_a_release_gives_back_once(database: str) -> None:
    """The connection is cut while the release waits for its diary; the next try gives it back."""
    async with booking(database) as process, stranger(database) as other:
        await process.lists(service("S1", session()))
        [outcome] = await process.settles(requested(1, "S1"))
        async with other.transaction():
            await other.execute("select from diaries for no key update")
            releasing = asyncio.create_task(process.releases_of(withdrawn(outcome)))
            await waiting(other, 1)
            await other.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'")
            with pytest.raises(Exception) as failure:
                await releasing
        assert is_transient(failure.value)
        assert 1 == len(await process.releases_of(withdrawn(outcome)))
        assert [] == await faults(process)
