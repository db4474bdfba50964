"""Who holds a slot that its service no longer runs is told so, once, on a real PostgreSQL."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.bookings import BookingDisplaced
from contracts.directory import Service
from tests.booking_processes import Booking, Clock, booking, confirmed, faults
from tests.booking_requests import NOON, listed, requested, service, session, withdrawn

pytestmark = pytest.mark.backing

HALF_PAST = NOON + timedelta(minutes=30)


async def displaced(process: Booking) -> list[Any]:
    """Who was told, in the order of their placements."""
    told = [event for event in await process.put_out() if isinstance(event, BookingDisplaced)]
    return sorted(told, key=lambda event: event.data.placement_id)


async def placements(process: Booking) -> list[int]:
    """The numbers of the placements that lost their slot."""
    return [event.data.placement_id.int for event in await displaced(process)]


async def test_who_is_displaced_is_told_with_what_they_held(database: str) -> None:
    """Of the referral, on its key; the slot is held until the booking is withdrawn, and nobody else is given it."""
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        [outcome] = await process.settles(requested(1, "S1"))
        await process.lists(service("S1", session("15:00", "16:00")), version=2)
        [told] = await displaced(process)
        assert (outcome.subject, outcome.partitionkey, NOON) == (told.subject, told.partitionkey, told.time)
        assert (UUID(int=1), outcome.data.reference, "S1", HALF_PAST, "ONW02") == (
            told.data.placement_id,
            told.data.reference,
            told.data.service_id,
            told.data.starts_at,
            told.data.organisation,
        )
        assert (HALF_PAST, 30, 1, 1, True) in await process.slots("S1")
        await process.releases_of(withdrawn(outcome))
        [another] = await process.settles(requested(2, "S1", minutes=300))
        assert NOON + timedelta(hours=3) == another.data.starts_at
        assert [] == await faults(process)


GONE: dict[str, Service] = {
    "without the session": service("S1", session("15:00", "16:00")),
    "with slots of another length": service("S1", session(slot_minutes=20)),
    "delisted": service("S1", session(), active=False),
    "by delivery": service("S1"),
    "by acceptance": service("S1", booking="acceptance", accept_within_minutes=30),
}


@pytest.mark.parametrize("change", GONE.values(), ids=GONE)
async def test_a_change_that_leaves_no_such_slot_displaces(database: str, change: Service) -> None:
    """Once: read again, listed again as it was, and changed again, nobody is told a second time."""
    async with booking(database) as process:
        before = service("S1", session())
        await process.lists(before)
        await process.settles(requested(1, "S1"), requested(2, "S1"))
        await process.lists(change, version=2)
        await process.lists(change, version=2)
        assert [1, 2] == await placements(process)
        await process.lists(before, version=3)
        await process.lists(change, version=4)
        assert [1, 2] == await placements(process)
        assert [] == await faults(process)


async def test_a_change_that_keeps_the_slot_displaces_nobody(database: str) -> None:
    """Another telephone, more room, another session beside it."""
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        await process.settles(requested(1, "S1"))
        for version, entry in enumerate(
            (
                service("S1", session(), telephone="01632 960101"),
                service("S1", session(capacity=3)),
                service("S1", session(capacity=3), session("12:10", "13:00", slot_minutes=50)),
            ),
            2,
        ):
            await process.lists(entry, version=version)
        assert [] == await displaced(process)


async def test_of_a_slot_with_less_room_the_last_to_come_are_displaced(database: str) -> None:
    """Four patients, room for two from now on: the first two keep their place, and nobody more is sent."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", session(capacity=4)))
        outcomes = []
        for number in (4, 3, 2, 1):
            clock.now += timedelta(seconds=1)
            outcomes += await process.settles(requested(number, "S1"))
        await process.lists(service("S1", session(capacity=2)), version=2)
        assert [1, 2] == await placements(process)
        await process.releases_of(*map(withdrawn, outcomes[2:]))
        [another] = await process.settles(requested(5, "S1"))
        assert HALF_PAST + timedelta(minutes=30) == another.data.starts_at
        assert [] == await faults(process)


async def test_nobody_is_displaced_from_a_slot_that_has_begun(database: str) -> None:
    """The patient is there, or was; who comes later today is told."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", session()))
        await process.settles(requested(1, "S1"), requested(2, "S1"))
        clock.now = HALF_PAST
        await process.lists(service("S1", session(), active=False), version=2)
        assert [2] == await placements(process)


async def test_who_was_released_is_not_displaced(database: str) -> None:
    """They hold nothing any more."""
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        [outcome] = await process.settles(requested(1, "S1"))
        await process.releases_of(withdrawn(outcome))
        await process.lists(service("S1", session(), active=False), version=2)
        assert [] == await displaced(process)


async def test_an_older_version_displaces_nobody(database: str) -> None:
    """That the service was not active once is over."""
    async with booking(database) as process:
        await process.lists(service("S1", session()), version=3)
        await process.settles(requested(1, "S1"))
        await process.lists(service("S1", session(), active=False), version=2)
        assert [] == await displaced(process)
        assert (HALF_PAST, 30, 1, 1, False) in await process.slots("S1")


async def test_what_is_withdrawn_is_told_in_the_same_transaction(database: str) -> None:
    """Where telling cannot be stored, the change is not kept either, and the next try does both."""
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        await process.settles(requested(1, "S1"))
        await process.database.pool.execute("alter table outbox rename to away")
        change = service("S1", session(), active=False)
        with pytest.raises(Exception, match="outbox"):
            await process.lists(change, version=2)
        assert [(1, True)] == await process.rows("select version, active from diaries")
        assert (HALF_PAST, 30, 1, 1, False) in await process.slots("S1")
        await process.database.pool.execute("alter table away rename to outbox")
        await process.lists(change, version=2)
        assert [1] == await placements(process)


async def test_nobody_who_settles_while_the_diary_changes_is_forgotten(database: str) -> None:
    """Two processes settle while a third delists and lists again: who holds a slot of a resting diary was told."""
    names = [f"S{number}" for number in range(6)]
    async with booking(database) as one, booking(database) as other, booking(database) as lister:
        await lister.lists(*(service(name, session(capacity=2)) for name in names))

        async def settle(process: Booking, first: int) -> None:
            for number in range(first, first + 300, 10):
                asked = [
                    requested(number + step, *names[step % 6 :], *names[: step % 6], minutes=1440) for step in range(10)
                ]
                for outcome in confirmed(await process.settles(*asked))[::3]:
                    await process.releases_of(withdrawn(outcome))

        async def relist() -> None:
            for version in range(2, 22):
                entries = [service(name, session(capacity=2), active=version % 2 == 1) for name in names]
                await lister.listings.list_services([listed(entry, version) for entry in entries])

        await asyncio.gather(settle(one, 1), settle(other, 1001), relist())
        await lister.lists(*(service(name, session(capacity=2), active=False) for name in names), version=30)
        holding = await one.rows("select placement_id from bookings where released_at is null")
        told = {event.data.placement_id for event in await displaced(one)}
        assert len(holding) > 50
        assert set() == {placement for (placement,) in holding} - told
        assert [] == await faults(one)
