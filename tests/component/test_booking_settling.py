"""A placement is settled once, on a real PostgreSQL: held, kept, and told the same for ever."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from services.chassis.failures import Unfinished, is_transient
from tests.booking_processes import PATIENCE, Booking, Clock, booking, confirmed, exhausted, faults, stranger, waiting
from tests.booking_requests import NOON, candidate, listed, requested, service, session

pytestmark = pytest.mark.backing

HALF_PAST = NOON + timedelta(minutes=30)
HOUR = timedelta(hours=1)


@pytest.fixture
async def process(database: str) -> AsyncIterator[Booking]:
    """Booking with a diary, S1, of a slot for one patient every half hour, and S2, which takes everyone."""
    async with booking(database) as one:
        await one.lists(service("S1", session()), service("S2"))
        yield one


async def test_a_placement_holds_the_first_free_slot(process: Booking) -> None:
    """Earliest first; the slot's count, the booking and what is told agree."""
    [first, second] = await process.settles(requested(1, "S1"), requested(2, "S1"))
    assert [HALF_PAST, HALF_PAST + timedelta(minutes=30)] == [first.data.starts_at, second.data.starts_at]
    held = [(begin, held) for begin, _, _, held, _ in await process.slots("S1") if held]
    assert [(HALF_PAST, 1), (HALF_PAST + timedelta(minutes=30), 1)] == held
    assert [(first.data.reference, "S1", HALF_PAST)] == await process.rows(
        "select reference, service_id, starts_at from bookings where placement_id = $1",
        first.data.brief.placement_id,
    )
    assert [] == await faults(process)


async def test_what_is_told_is_what_is_stored(process: Booking) -> None:
    """Byte for byte, with its type, the referral and when."""
    request = requested(1, "S1")
    [outcome] = await process.settles(request)
    assert [("booking.confirmed", outcome.to_json().decode(), request.subject, NOON)] == await process.rows(
        "select told_type, told, referral_id, settled_at from placements"
    )


async def test_nobody_is_sent_to_a_slot_that_is_about_to_begin(database: str) -> None:
    """The earliest begins when the lead is over, to the minute."""
    clock = Clock(NOON + timedelta(minutes=20))
    async with booking(database, clock, lead=timedelta(minutes=10)) as process:
        await process.lists(service("S1", session(capacity=2)))
        [at_once] = await process.settles(requested(1, "S1", answer_by=NOON + HOUR))
        clock.now += timedelta(seconds=1)
        [later] = await process.settles(requested(2, "S1", answer_by=NOON + HOUR))
    assert (HALF_PAST, NOON + HOUR) == (at_once.data.starts_at, later.data.starts_at)


async def test_the_slot_in_the_last_minute_is_found(process: Booking) -> None:
    """The reading of free slots reaches as far as the longest disposition of the batch, that minute included."""
    outcomes = await process.settles(requested(1, "S1", minutes=30), requested(2, "S1", minutes=60))
    assert [HALF_PAST, NOON + HOUR] == [outcome.data.starts_at for outcome in outcomes]


async def test_no_slot_in_time_falls_through_to_the_next_candidate(process: Booking) -> None:
    """And says what was tried."""
    [outcome] = await process.settles(requested(1, "S1", "S2", minutes=20))
    assert ("delivered", "S2", [("S1", "no free slot in time")]) == (
        outcome.data.outcome,
        outcome.data.service.service_id,
        [(tried.service_id, tried.why) for tried in outcome.data.tried],
    )
    assert [("S2", None)] == await process.rows("select service_id, starts_at from bookings")
    assert [] == await faults(process)


async def test_an_exhausted_placement_is_kept_without_a_booking(process: Booking) -> None:
    """It ended too, once."""
    [outcome] = await process.settles(requested(1, "S1", minutes=20, catch_all=candidate("ED")))
    assert ("none could take the patient", "ED") == (outcome.data.why, outcome.data.proposal.service_id)
    assert [("booking.exhausted",)] == await process.rows("select told_type from placements")
    assert [] == await process.rows("select * from bookings")


@pytest.mark.parametrize("late", [timedelta(0), timedelta(minutes=16)], ids=["to a clinician", "past answer_by"])
async def test_nothing_is_held_where_nobody_may_be_booked(database: str, late: timedelta) -> None:
    """For a clinician, or past its time: no slot, and no diary locked."""
    clock = Clock(NOON + late)
    async with booking(database, clock) as process, stranger(database) as other, other.transaction():
        await process.lists(service("S1", session()))
        await other.execute("select from diaries for update")
        [outcome] = await process.settles(requested(1, "S1", to_clinician=not late))
        assert ("past answer_by" if late else "to a clinician") == outcome.data.why
        assert [] == [row for row in await process.slots("S1") if row[3]]


async def test_a_repeat_is_told_the_same_bytes(process: Booking) -> None:
    """A confirmed and an exhausted one, in any order, alone or with new ones."""
    requests = requested(1, "S1"), requested(2, "S1", minutes=20)
    first, second = [outcome.to_json() for outcome in await process.settles(*requests)]
    again, third, once_more = await process.settles(requests[1], requested(3, "S1"), requests[0])
    assert (second, first) == (again.to_json(), once_more.to_json())
    assert ["booking.exhausted", "booking.confirmed", "booking.confirmed"] == [
        one.type for one in (again, third, once_more)
    ]
    assert [] == await faults(process)


async def test_a_repeat_waits_for_nobody(process: Booking, database: str) -> None:
    """What was told is read without a lock, although the diary is held and another candidate is not known yet."""
    [first] = await process.settles(requested(1, "S1"))
    async with stranger(database) as other, other.transaction():
        await other.execute("select from diaries for update")
        async with asyncio.timeout(PATIENCE):
            [again] = await process.settles(requested(1, "S1", "S9"))
    assert first.to_json() == again.to_json()


async def test_a_repeat_is_told_the_same_after_a_restart_when_everything_has_changed(database: str) -> None:
    """Another process, hours later, past `answer_by`, the service gone and the placement asked for otherwise."""
    requests = requested(1, "S1"), requested(2, "S1", minutes=20)
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        before = [outcome.to_json() for outcome in await process.settles(*requests)]
    async with booking(database, Clock(NOON + timedelta(hours=5))) as process:
        await process.lists(service("S1", session(slot_minutes=20), active=False), service("S2"), version=2)
        after = await process.settles(requested(1, "S2", "S1"), requested(2, "S2"))
        assert before == [outcome.to_json() for outcome in after]
        assert [] == await faults(process)


async def test_a_placement_twice_in_a_batch_is_settled_once(process: Booking) -> None:
    """The first of the two is answered."""
    one, other = requested(1, "S1"), requested(1, "S2")
    outcomes = await process.settles(one, other, requested(2, "S1"))
    assert [("S1", HALF_PAST), ("S1", NOON + HOUR)] == [
        (outcome.data.service.service_id, outcome.data.starts_at) for outcome in outcomes
    ]
    assert [] == await faults(process)


async def test_two_processes_that_began_the_same_placements_tell_one_outcome(database: str) -> None:
    """Both found nothing told, both wait for the diary: one settles, the other finds it and tells the same."""
    requests = [requested(number, "S1", minutes=240) for number in range(1, 6)]
    async with booking(database) as one, booking(database) as other, stranger(database) as third:
        await one.lists(service("S1", session()))
        async with third.transaction():
            await third.execute("select from diaries for no key update")
            both = asyncio.gather(one.settles(*requests), other.settles(*reversed(requests)))
            await waiting(third, 2)
        here, there = await both
        assert [outcome.to_json() for outcome in here] == [outcome.to_json() for outcome in reversed(there)]
        assert 5 == len({outcome.data.starts_at for outcome in here})
        assert [] == await faults(one)


async def test_two_processes_that_began_the_same_exhausted_placements_tell_one_outcome(database: str) -> None:
    """There is no diary to wait for: the placements' own rows decide, and another `now` is not told."""
    requests = [requested(number) for number in range(1, 6)]
    async with (
        booking(database, Clock(NOON)) as one,
        booking(database, Clock(NOON + timedelta(minutes=1))) as other,
        stranger(database) as third,
    ):
        async with third.transaction():
            await third.execute("lock table placements in share mode")
            both = asyncio.gather(one.settles(*requests), other.settles(*reversed(requests)))
            await waiting(third, 2)
        here, there = await both
        assert [outcome.to_json() for outcome in here] == [outcome.to_json() for outcome in reversed(there)]
        assert 1 == len({outcome.time for outcome in here})
        assert [(5,)] == await one.rows("select count(*) from placements")


async def test_two_processes_that_share_placements_do_not_wait_crosswise(database: str) -> None:
    """Each in an order of its own, both held up half way: the second waits for the first, and not the first for it."""
    requests = [requested(number) for number in range(1, 6)]
    async with booking(database) as one, booking(database) as other, stranger(database) as third:
        holding = third.transaction()
        await holding.start()
        await third.execute(
            "insert into placements values ($1, '', '', '', now())", requests[2].data.brief.placement_id
        )
        first = asyncio.create_task(one.settles(*requests))
        await waiting(third, 1)
        second = asyncio.create_task(other.settles(*reversed(requests)))
        await waiting(third, 2)
        await holding.rollback()
        here, there = await asyncio.gather(first, second)
        assert [outcome.to_json() for outcome in here] == [outcome.to_json() for outcome in reversed(there)]


async def test_new_ones_beside_a_placement_that_another_settled_are_settled_too(database: str) -> None:
    """The batch rolls back and begins again: nothing is lost, nothing is held twice."""
    async with booking(database) as one, booking(database) as other, stranger(database) as third:
        await one.lists(service("S1", session()))
        async with third.transaction():
            await third.execute("select from diaries for no key update")
            both = asyncio.gather(
                one.settles(requested(1, "S1"), requested(2, "S1")),
                other.settles(requested(2, "S1"), requested(3, "S1")),
            )
            await waiting(third, 2)
        (first, second), (again, last) = await both
        assert second.to_json() == again.to_json()
        assert 3 == len({first.data.starts_at, second.data.starts_at, last.data.starts_at})
        assert 3 == len({first.data.reference, second.data.reference, last.data.reference})
        assert [] == await faults(one)


async def test_a_diary_that_another_process_holds_is_waited_for_and_read_after_it(database: str) -> None:
    """The last slot is gone when the lock is got: free slots are read after the lock, not before."""
    async with booking(database) as process, stranger(database) as third:
        await process.lists(service("S1", session("12:30", "13:00")), service("S2"))
        async with third.transaction():
            await third.execute("select from diaries where service_id = 'S1' for no key update")
            settling = asyncio.create_task(process.settles(requested(1, "S1", "S2")))
            await waiting(third, 1)
            await third.execute("update slots set held = 1 where starts_at = $1", HALF_PAST)
        [outcome] = await settling
        assert ("S2", ["S1"]) == (
            outcome.data.service.service_id,
            [tried.service_id for tried in outcome.data.tried],
        )


async def test_a_diary_that_was_listed_after_the_lock_is_not_held_unlocked(database: str) -> None:
    """While one waits for S1, S9 is listed and another holds its only slot: it is put off, then finds S9 full."""
    async with booking(database) as process, booking(database) as lister, stranger(database) as third:
        await process.lists(service("S1", session(days=("mon",))), service("S2"))
        async with third.transaction():
            await third.execute("select from diaries where service_id = 'S1' for no key update")
            settling = asyncio.create_task(process.settles(requested(1, "S1", "S9", "S2")))
            await waiting(third, 1)
            await lister.lists(service("S9", session("12:30", "13:00")))
            [other] = await lister.settles(requested(2, "S9"))
        with pytest.raises(Unfinished):
            await settling
        [outcome] = await process.settles(requested(1, "S1", "S9", "S2"))
        assert ("S9", "S2") == (other.data.service.service_id, outcome.data.service.service_id)
        assert [] == await faults(process)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_whatever_the_server_defaults_to_each_statement_sees_what_was_committed(
    database: str, isolation: str
) -> None:
    """A given server may isolate more by default; then free slots would be read from before the lock."""
    async with stranger(database) as other:
        name = await other.fetchval("select current_database()")
        await other.execute(f"alter database {name} set default_transaction_isolation = '{isolation}'")
    async with booking(database) as process, stranger(database) as third:
        await process.lists(service("S1", session("12:30", "13:00")))
        async with third.transaction(isolation="read_committed"):
            await third.execute("select from diaries for no key update")
            settling = asyncio.create_task(process.settles(requested(1, "S1")))
            await waiting(third, 1)
            await third.execute("update slots set held = 1 where starts_at = $1", HALF_PAST)
        assert 1 == len(exhausted(await settling))


async def test_a_service_that_booking_has_not_read_of_yet_is_waited_for(process: Booking) -> None:
    """Pathways knew it a moment ago: who names it is put off until the listing is read, and nobody else."""
    waits = requested(2, "S9", time=NOON - timedelta(seconds=29))
    requests = requested(1, "S1"), waits, requested(3, "S1")
    with pytest.raises(Unfinished) as put_off:
        await process.settles(*requests)
    first, last = [outcome.to_json() for outcome in put_off.value.told]
    assert {(first.decode(),), (last.decode(),)} == set(await process.rows("select told from placements"))
    await process.lists(service("S9", session()))
    told = await process.settles(*requests)
    assert (first, "S9", last) == (told[0].to_json(), told[1].data.service.service_id, told[2].to_json())
    assert [] == await faults(process)


async def test_who_asks_in_the_future_is_not_waited_for(process: Booking) -> None:
    """By a clock that is far ahead, the request would else hold its partition up until that time has come."""
    [outcome] = await process.settles(requested(1, "S9", time=NOON + timedelta(days=365)))
    assert ["no diary"] == [tried.why for tried in outcome.data.tried]


async def test_what_follows_on_the_key_of_one_that_waits_does_not_overtake_it(process: Booking) -> None:
    """Outcomes of one referral are told in the order of its placements."""
    waits, other = requested(1, "S9"), requested(3, "S1")
    follows = requested(2, "S1").model_copy(update={"partitionkey": waits.partitionkey})
    with pytest.raises(Unfinished) as put_off:
        await process.settles(waits, follows, other)
    assert [other.id] == [outcome.causationid for outcome in put_off.value.told]


async def test_a_service_that_was_waited_for_in_vain_is_not_waited_for_again(process: Booking) -> None:
    """Until it is listed: then it is booked like any other."""
    await process.settles(requested(1, "S9", time=NOON - timedelta(seconds=30)))
    [outcome] = await process.settles(requested(2, "S9", "S1"))
    assert ("S1", [("S9", "no diary")]) == (
        outcome.data.service.service_id,
        [(tried.service_id, tried.why) for tried in outcome.data.tried],
    )
    with pytest.raises(Unfinished):
        await process.settles(requested(3, "S9", "S8", "S1"))
    await process.lists(service("S9", session()))
    assert ["S9"] == [outcome.data.service.service_id for outcome in await process.settles(requested(4, "S9", "S1"))]


async def test_a_service_that_booking_never_reads_of_has_no_diary(process: Booking) -> None:
    """After half a minute the next candidate is tried."""
    [outcome] = await process.settles(requested(1, "S9", "S1", time=NOON - timedelta(seconds=30)))
    assert ("S1", [("S9", "no diary")]) == (
        outcome.data.service.service_id,
        [(tried.service_id, tried.why) for tried in outcome.data.tried],
    )


async def test_who_may_not_be_booked_waits_for_no_service(process: Booking) -> None:
    """A placement for a clinician names one that booking has not read of: it ends at once."""
    assert 1 == len(exhausted(await process.settles(requested(1, "S9", to_clinician=True))))


async def test_a_slot_never_holds_more_than_its_capacity(process: Booking) -> None:
    """Whatever the code does, and by hand: PostgreSQL refuses."""
    await process.settles(requested(1, "S1"))
    for change in ("held = held + 1", "held = -1", "capacity = 0"):
        with pytest.raises(asyncpg.CheckViolationError):
            await process.database.pool.execute(f"update slots set {change} where held = 1")


async def test_a_placement_never_has_two_active_bookings(process: Booking) -> None:
    """By hand: a second is refused until the first is released."""
    await process.settles(requested(1, "S1"))
    second = "insert into bookings select 'second', placement_id, service_id, starts_at from bookings"
    with pytest.raises(asyncpg.UniqueViolationError):
        await process.database.pool.execute(second)
    await process.database.pool.execute("update bookings set released_at = now(), released = 'told'")
    await process.database.pool.execute(second)
    assert [(2,)] == await process.rows("select count(*) from bookings")


async def test_references_are_unique_across_processes_and_blocks(database: str) -> None:
    """More than a block of a thousand for one process, and another process beside it."""
    async with booking(database) as one, booking(database) as other:
        await one.lists(service("S2"))
        outcomes = []
        for batch in range(0, 2400, 600):
            outcomes += await one.settles(*(requested(number, "S2") for number in range(batch + 1, batch + 601)))
        outcomes += await other.settles(*(requested(number, "S2") for number in range(9001, 9101)))
        assert 2500 == len({outcome.data.reference for outcome in confirmed(outcomes)})
        assert [] == await faults(one)


async def test_a_database_that_goes_away_puts_the_batch_off(database: str) -> None:
    """A terminated connection is transient, and the next try has another."""
    async with booking(database) as process, stranger(database) as other:
        await process.lists(service("S1", session()))
        async with other.transaction():
            await other.execute("select from diaries for no key update")
            settling = asyncio.create_task(process.settles(requested(1, "S1")))
            await waiting(other, 1)
            await other.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'")
            with pytest.raises(Exception) as failure:
                await settling
        assert is_transient(failure.value)
        assert [HALF_PAST] == [outcome.data.starts_at for outcome in await process.settles(requested(1, "S1"))]
        assert [] == await faults(process)


async def test_listing_and_settling_at_once_never_fails(database: str) -> None:
    """Templates change while placements are settled: no deadlock, and every hold is of a slot that is there."""
    services = [f"S{number}" for number in range(12)]
    async with booking(database) as one, booking(database) as other, booking(database) as lister:
        await lister.lists(*(service(name, session(capacity=2)) for name in services))

        async def settle(process: Booking, first: int) -> None:
            for number in range(first, first + 400, 20):
                names = [services[(number + step * 5) % 12] for step in range(4)]
                await process.settles(*(requested(number + step, *names, minutes=1440) for step in range(20)))

        async def relist() -> None:
            for version in range(2, 12):
                minutes = (20, 30, 15)[version % 3]
                entries = [service(name, session(slot_minutes=minutes, capacity=2)) for name in reversed(services)]
                await lister.listings.list_services([listed(entry, version) for entry in entries])

        await asyncio.gather(settle(one, 1), settle(other, 1001), relist())
        assert [(800,)] == await one.rows("select count(*) from placements")
        assert [] == await faults(one)
