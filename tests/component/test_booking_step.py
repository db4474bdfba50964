"""Booking as a step: placements in, as records; what is told out, without Kafka and on a real PostgreSQL."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from contracts.directory import ServiceListed
from contracts.envelope import Event
from contracts.placements import BookingRequested
from contracts.topics import Topic
from services.booking.handlers import keep_diaries, place
from services.chassis.decoding import Record
from services.chassis.failures import Transient, Unfinished
from services.chassis.step import Breaker, Handler, Step
from tests.booking_processes import Booking, booking, faults
from tests.booking_requests import listed, requested, service, session
from tests.recording import RecordingGraveyard, RecordingPublisher, record_of

pytestmark = pytest.mark.backing


class Reader:
    """A step of booking, with everything that it told and buried."""

    def __init__(self, topic: Topic, contract: type[Event], handler: Handler) -> None:
        self.publisher = RecordingPublisher()
        self.graveyard = RecordingGraveyard()
        self._step = Step(
            reader="booking",
            topic=topic,
            types=(contract,),
            handler=handler,
            publisher=self.publisher,
            graveyard=self.graveyard,
            breaker=Breaker(),
        )

    async def reads(self, *records: Record) -> list[bytes]:
        """Every value that was told so far, once these records are read."""
        await self._step.run(records)
        return [event.to_json() for event in self.publisher.told]


@pytest.fixture
async def process(database: str) -> AsyncIterator[Booking]:
    """Booking with one diary."""
    async with booking(database) as one:
        await one.lists(service("S1", session()))
        yield one


@pytest.fixture
def placements(process: Booking) -> Reader:
    """The reader of placements."""
    return Reader(Topic.PLACEMENTS, BookingRequested, partial(place, diaries=process.diaries))


async def test_a_batch_of_placements_is_told_in_its_order(placements: Reader) -> None:
    """One outcome each, on the key of its referral."""
    requests = [requested(number, "S1", minutes=1000) for number in range(1, 21)]
    await placements.reads(*(record_of(one, offset=number) for number, one in enumerate(requests)))
    assert [(one.id, one.partitionkey) for one in requests] == [
        (told.causationid, told.partitionkey) for told in placements.publisher.told
    ]


async def test_what_could_not_be_told_is_told_the_same_at_the_next_try(placements: Reader, process: Booking) -> None:
    """The broker does not answer: the batch is put off, and its repeat tells what was stored."""
    records = [record_of(requested(number, "S1"), offset=number) for number in (1, 2)]
    placements.publisher.failure = Transient("the broker does not answer")
    with pytest.raises(Transient):
        await placements.reads(*records)
    stored = await process.rows("select told from placements order by placement_id")
    assert [told.encode() for (told,) in stored] == await placements.reads(*records)
    assert [] == await faults(process)


async def test_a_record_that_comes_twice_in_a_batch_is_told_once(placements: Reader) -> None:
    """And a third time in the next, the same again."""
    record = record_of(requested(1, "S1"))
    [first] = await placements.reads(record, record)
    assert [first, first] == await placements.reads(record)


async def test_a_record_that_is_no_placement_is_buried_alone(placements: Reader) -> None:
    """The rest of its batch is settled."""
    junk = Record(Topic.PLACEMENTS, 0, 1, None, b'{"data": {}}', (("type", b"booking.requested"),))
    told = await placements.reads(record_of(requested(1, "S1")), junk, record_of(requested(2, "S1"), offset=2))
    assert 2 == len(told)
    assert [junk] == [record for record, _ in placements.graveyard.dead]


async def test_a_placement_that_must_wait_for_a_listing_holds_nobody_up(placements: Reader, process: Booking) -> None:
    """The others are told at once and nothing is buried; once the listing is read it is told, and they again."""
    junk = Record(Topic.PLACEMENTS, 0, 3, None, b'{"data": {}}', (("type", b"booking.requested"),))
    others = [record_of(requested(number, "S1"), offset=number) for number in (0, 2)]
    records = [others[0], record_of(requested(1, "S9"), offset=1), others[1], junk]
    with pytest.raises(Unfinished):
        await placements.reads(*records)
    at_once = [told.to_json() for told in placements.publisher.told]
    assert (2, []) == (len(at_once), placements.graveyard.dead)
    services = Reader(Topic.SERVICES, ServiceListed, partial(keep_diaries, listings=process.listings))
    assert [] == await services.reads(record_of(listed(service("S9", session()))))
    told = await placements.reads(*records)
    assert (at_once, at_once) == (told[:2], [told[2], told[4]])
    assert [junk] == [record for record, _ in placements.graveyard.dead]


async def test_a_listing_is_kept_and_tells_nothing(process: Booking) -> None:
    """The diary has its slots before the record is acknowledged; a repeat changes nothing."""
    services = Reader(Topic.SERVICES, ServiceListed, partial(keep_diaries, listings=process.listings))
    record = record_of(listed(service("S2", session())))
    assert [] == await services.reads(record)
    slots = await process.slots("S2")
    assert 96 == len(slots)
    assert [] == await services.reads(record)
    assert slots == await process.slots("S2")
