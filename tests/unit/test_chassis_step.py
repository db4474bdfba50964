"""The step by itself: what is handled, buried, told and committed, and what a failure means."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from contracts.directory import CapacityReported, DeskListed
from contracts.envelope import Event
from services.chassis import log, step
from services.chassis.decoding import Record
from services.chassis.failures import Poison, Transient, Unfinished
from services.chassis.step import Breaker, EffectsShareId, Handler, Step
from tests.chassis_examples import desk, effect, tell_effects, until
from tests.recording import RecordingGraveyard, RecordingPublisher, record_of

P0, P1 = TopicPartition("desks", 0), TopicPartition("desks", 1)


class Log:
    """A group's partitions as a consumer sees them: what it may read, and from where."""

    def __init__(self, *records: Record) -> None:
        self.records = list(records)
        self.assigned = {P0, P1}
        self.positions = {P0: 0, P1: 0}
        self.stopped: set[TopicPartition] = set()
        self.committed: dict[TopicPartition, int] = {}
        self.refusal: KafkaError | None = None
        self.polls = 0

    def assignment(self) -> set[TopicPartition]:
        return set(self.assigned)

    def pause(self, *partitions: TopicPartition) -> None:
        assert self.assigned >= set(partitions)
        self.stopped |= set(partitions)

    def paused(self) -> set[TopicPartition]:
        return self.stopped & self.assigned

    def resume(self, *partitions: TopicPartition) -> None:
        self.stopped -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition in self.assigned
        self.positions[partition] = offset

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        self.polls += 1
        got: dict[TopicPartition, list[ConsumerRecord]] = {}
        for record in self.records:
            partition = TopicPartition(record.topic, record.partition)
            if (
                partition in self.assigned - self.stopped
                and record.offset >= self.positions[partition]
                and sum(map(len, got.values())) < max_records
            ):
                got.setdefault(partition, []).append(raw(record))
                self.positions[partition] = record.offset + 1
        return got

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self.refusal is not None:
            raise self.refusal
        assert self.assigned >= offsets.keys()
        self.committed |= offsets


def raw(record: Record) -> ConsumerRecord:
    """As aiokafka hands it over."""
    return ConsumerRecord(
        record.topic, record.partition, record.offset, 0, 1, record.key, record.value, None, 0, 0, record.headers
    )


def at(event: Event, offset: int, partition: int = 0) -> Record:
    """The event's record at an offset."""
    whole = record_of(event)
    return Record(whole.topic, partition, offset, whole.key, whole.value, whole.headers)


class Reader:
    """A step over desks, with everything that it told and buried, polled and consumed as FastStream does it."""

    def __init__(self, handler: Handler, *records: Record) -> None:
        self.publisher = RecordingPublisher()
        self.graveyard = RecordingGraveyard()
        self.breaker = Breaker()
        self.handler = handler
        self.log = Log(*records)
        self.step = Step(
            reader="booking",
            topic="desks",
            types=[DeskListed],
            handler=handler,
            publisher=self.publisher,
            graveyard=self.graveyard,
            breaker=self.breaker,
        )
        self.step.consumer = self.log

    @property
    def told(self) -> list[UUID]:
        return [event.id for event in self.publisher.told]

    @property
    def waiting_for(self) -> str:
        return str(self.step.waiting_for)

    async def join(self) -> None:
        await self.step.on_partitions_assigned(self.log.assigned)

    async def turn(self) -> int:
        """Poll once and consume what came. Returns how many records came."""
        polled = await self.step.poll(self.log, 500)
        if polled:
            await self.step.consume(polled, self.handler)
        return len(polled)

    async def settle(self) -> None:
        """Poll and consume until nothing comes and nothing is put off."""
        deadline = time.monotonic() + 20
        while await self.turn() or self.step.waiting_for:
            assert time.monotonic() < deadline, self.step.waiting_for


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged while the test runs."""
    to = io.StringIO()
    log.configure(to=to)
    yield to
    log.configure()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses before a retry last no time."""
    monkeypatch.setattr(step, "FIRST_PAUSE", 0.0)


# One batch


async def test_what_the_handler_tells_of_a_batch_is_published() -> None:
    """Events in, effects out, in order."""
    first, second = desk(), desk()
    reader = Reader(tell_effects)
    await reader.step.run([at(first, 0), at(second, 1)])
    assert [effect(first).id, effect(second).id] == reader.told


async def test_poison_buries_that_record_and_the_rest_is_told() -> None:
    """A declared fault of one record costs only that record."""
    good, bad, also_good = desk(), desk(), desk()

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        if bad in events:
            raise Poison(bad.id, "no such service")
        return await tell_effects(events)

    reader = Reader(handler)
    await reader.step.run([at(good, 0), at(bad, 1), at(also_good, 2)])
    assert [effect(good).id, effect(also_good).id] == reader.told
    assert [(at(bad, 1), "no such service")] == reader.graveyard.dead


async def test_several_poisons_of_one_batch_are_buried_one_after_another() -> None:
    """The handler is asked again without each, until it tells of what is left."""
    events = [desk(version=n + 1) for n in range(6)]

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        for event in batch:
            if event.data.version % 2:
                raise Poison(event.id, "odd")
        return await tell_effects(batch)

    reader = Reader(handler)
    await reader.step.run([at(event, n) for n, event in enumerate(events)])
    assert [effect(event).id for event in events[1::2]] == reader.told
    assert [0, 2, 4] == [record.offset for record, _ in reader.graveyard.dead]


async def test_a_batch_that_is_all_poison_asks_the_handler_no_more() -> None:
    """A handler is never given an empty batch."""

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Poison(events[0].id, "no")

    reader = Reader(handler)
    await reader.step.run([at(desk(), 0), at(desk(), 1)])
    assert 2 == len(reader.graveyard.dead)


async def test_an_unreadable_record_is_buried_and_the_rest_is_told() -> None:
    """What cannot be decoded never reaches the handler."""
    good = desk()
    bad = Record("desks", 0, 1, b"RX1", b"junk", (("type", b"desk.listed"),))
    reader = Reader(tell_effects)
    await reader.step.run([at(good, 0), bad])
    assert [effect(good).id] == reader.told
    assert [bad] == [record for record, _ in reader.graveyard.dead]


async def test_poison_of_a_record_that_is_not_in_the_batch_is_a_bug() -> None:
    """Otherwise the handler would be asked for ever."""

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Poison(uuid4(), "whose?")

    with pytest.raises(RuntimeError, match="not in its batch"):
        await Reader(handler).step.run([at(desk(), 0)])


async def test_an_event_that_comes_twice_in_a_batch_is_handled_once() -> None:
    """A duplicate is normal life; what stands beside it is handled too, in order."""
    first, second = desk(), desk()
    handled: list[UUID] = []

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        handled.extend(event.id for event in events)
        return await tell_effects(events)

    reader = Reader(handler)
    await reader.step.run([at(first, 0), at(second, 1), at(first, 2)])
    assert [first.id, second.id] == handled
    assert [effect(first).id, effect(second).id] == reader.told


async def test_two_effects_under_one_id_are_a_bug() -> None:
    """Readers deduplicate by id and would lose one of them, so nothing is told."""

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        return [effect(events[0]), effect(events[0])]

    reader = Reader(handler)
    with pytest.raises(EffectsShareId):
        await reader.step.run([at(desk(), 0)])
    assert [] == reader.told


# A failure


async def test_processed_offsets_are_committed_and_no_others(at_once: None) -> None:
    """What failed is not committed, what went before it is."""
    events = [desk(version=n + 1) for n in range(2)]
    failing = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if failing and batch[0].data.version == 2:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(events[0], 0))
    await reader.join()
    await reader.turn()
    reader.log.records.append(at(events[1], 1))
    await reader.turn()
    await reader.step.commit()
    assert {P0: 1} == reader.log.committed
    failing = False
    await reader.settle()
    await reader.step.commit()
    assert {P0: 2} == reader.log.committed


@pytest.mark.parametrize("error", [Transient("away"), KafkaTimeoutError(), ConnectionResetError(), TimeoutError()])
async def test_a_transient_failure_loses_and_reorders_nothing(at_once: None, error: Exception) -> None:
    """Everything is told in the order in which it came, after as many attempts as it takes."""
    events = [desk(version=n + 1) for n in range(8)]
    attempts = 0

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        nonlocal attempts
        attempts += 1
        if attempts < 5:
            raise error
        return await tell_effects(batch)

    in_order = [*events[0::2], *events[1::2]]  # a poll gives each partition's records together
    reader = Reader(handler, *(at(event, n // 2, partition=n % 2) for n, event in enumerate(events)))
    await reader.join()
    await reader.settle()
    assert 5 == attempts
    assert [effect(event).id for event in in_order] == reader.told
    assert [] == reader.graveyard.dead
    await reader.step.commit()
    assert {P0: 4, P1: 4} == reader.log.committed


async def test_while_it_waits_it_is_not_ready_and_polls_on_paused() -> None:
    """The group keeps this member, and whoever asks learns why nothing goes on."""

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Transient("away")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    assert "None" == reader.waiting_for
    await reader.turn()
    assert "desks: waiting to try again (1 times so far)" == reader.waiting_for
    polls = reader.log.polls
    await reader.turn()
    assert polls + 1 == reader.log.polls
    assert {P0, P1} == reader.log.paused()


async def test_after_the_pause_everything_is_read_again() -> None:
    """Also what did not fail: nothing stays paused."""
    failed, later = desk(), desk()
    away = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if away:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(failed, 0))
    await reader.join()
    await reader.turn()
    await reader.turn()
    away = False
    reader.log.records.append(at(later, 0, partition=1))
    await reader.settle()
    assert [effect(failed).id, effect(later).id] == reader.told
    assert set() == reader.log.paused()


async def test_pauses_grow_to_a_bound_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency that comes back is not met by everyone at once; thousands of failures overflow nothing."""
    clock = 1000.0
    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: clock))

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Transient("away")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    pauses = []
    for _ in range(1200):
        await reader.turn()
        pauses.append(reader.step._resume_at - clock)
        clock = reader.step._resume_at
    assert step.FIRST_PAUSE >= pauses[0] >= step.FIRST_PAUSE / 2
    assert step.LONGEST_PAUSE >= max(pauses[-500:]) > step.LONGEST_PAUSE * 0.9
    assert step.LONGEST_PAUSE / 2 <= min(pauses[-500:]) < step.LONGEST_PAUSE * 0.6


async def test_what_is_ready_is_told_while_the_rest_of_its_batch_waits(at_once: None) -> None:
    """Nothing of the batch is committed or buried before all of it is told."""
    waits, ready = events = [desk(), desk()]
    told_at_once: list[UUID] = []

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if not told_at_once:
            told_at_once.append(effect(ready).id)
            raise Unfinished([effect(ready)], "one must wait")
        return await tell_effects(batch)

    reader = Reader(handler, *(at(event, offset) for offset, event in enumerate(events)))
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert (told_at_once, {}) == (reader.told, reader.log.committed)
    await reader.settle()
    await reader.step.commit()
    assert [effect(ready).id, effect(waits).id, effect(ready).id] == reader.told
    assert {P0: 2} == reader.log.committed


async def test_what_waits_in_part_is_looked_at_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it must not wait for long."""
    clock = 1000.0
    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: clock))

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Unfinished([], "all must wait")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    for _ in range(50):
        await reader.turn()
        pause = reader.step._resume_at - clock
        clock = reader.step._resume_at
        assert step.LONGEST_PAUSE_UNFINISHED >= pause


async def test_records_of_a_partition_that_came_during_a_pause_are_not_lost() -> None:
    """A rebalance may bring partitions while others wait; what is polled of them is handled."""
    late = desk()
    failing = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if failing:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(desk(), 0))
    reader.log.assigned = {P0}
    await reader.join()
    await reader.turn()
    failing = False
    getmany = reader.log.getmany

    async def rebalanced(**arguments: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        reader.log.getmany = getmany  # type: ignore[method-assign]
        reader.log.assigned = {P1}
        await reader.step.on_partitions_assigned({P1})
        return await getmany(**arguments)

    reader.log.getmany = rebalanced  # type: ignore[method-assign]
    reader.log.records.append(at(late, 0, partition=1))
    await reader.settle()
    assert [effect(late).id] == reader.told


async def test_a_partition_that_went_while_it_waited_is_left_alone(at_once: None) -> None:
    """Only what is still assigned is sought and resumed; the other's records are another member's."""
    kept, gone = desk(), desk()
    failing = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if failing:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(kept, 0), at(gone, 0, partition=1))
    await reader.join()
    await reader.turn()
    failing = False
    reader.log.assigned = {P0}
    await reader.settle()
    assert [effect(kept).id] == reader.told


async def test_a_new_assignment_ends_the_waiting() -> None:
    """Whoever has the partitions now tries them; one without work is not held to be waiting for ever."""

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Transient("away")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    await reader.turn()
    await reader.step.on_partitions_assigned(set())
    assert "None" == reader.waiting_for


async def test_a_publish_that_fails_is_tried_again(at_once: None) -> None:
    """The effects are made again under the same ids, and nothing is committed before they are told."""
    event = desk()
    reader = Reader(tell_effects, at(event, 0))
    reader.publisher.failure = KafkaConnectionError()
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert {} == reader.log.committed
    await reader.settle()
    assert [effect(event).id] == reader.told


async def test_a_dead_letter_that_cannot_be_published_holds_its_batch_back(at_once: None) -> None:
    """Nothing is told or committed of a batch whose dead are not buried."""
    reader = Reader(tell_effects, at(desk(), 0), Record("desks", 0, 1, None, b"junk"))

    async def refuse(_: Sequence[tuple[Record, str]]) -> None:
        raise KafkaConnectionError

    bury, reader.graveyard.bury = reader.graveyard.bury, refuse  # type: ignore[method-assign]
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert ([], {}) == (reader.told, reader.log.committed)
    assert "waiting to try again" in reader.waiting_for
    reader.graveyard.bury = bury  # type: ignore[method-assign]
    await reader.settle()
    assert (1, 1) == (len(reader.told), len(reader.graveyard.dead))


async def test_a_handler_past_its_deadline_is_tried_again(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never answers would be expelled from its group; it is cancelled first."""
    monkeypatch.setattr(step, "HANDLER_SECONDS", 0.05)
    event = desk()
    attempts = 0

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        nonlocal attempts
        attempts += 1
        await until(lambda: attempts > 1)
        return await tell_effects(batch)

    reader = Reader(handler, at(event, 0))
    await reader.join()
    await reader.settle()
    assert [effect(event).id] == reader.told


# A bug


class Buggy:
    """A handler that raises where it is told to, and counts how often each version was tried by itself."""

    def __init__(self, fails: Callable[[list[int]], bool]) -> None:
        self._fails = fails
        self.alone: Counter[int] = Counter()

    async def __call__(self, events: Sequence[DeskListed]) -> list[CapacityReported]:
        versions = [event.data.version for event in events]
        if len(versions) == 1:
            self.alone.update(versions)
        if self._fails(versions):
            raise KeyError("Ada SENTINEL 9000000009")
        return await tell_effects(events)


def numbered(count: int) -> list[DeskListed]:
    """Desks with versions 1, 2, ..."""
    return [desk(version=n + 1) for n in range(count)]


def records_of(events: Sequence[Event]) -> list[Record]:
    """Their records, on one partition, in order."""
    return [at(event, offset) for offset, event in enumerate(events)]


async def test_a_record_that_meets_a_bug_is_buried_and_the_rest_is_told_in_order() -> None:
    """The batch is halved until it is alone, and it is tried three times before it is given up."""
    events = numbered(100)
    handler = Buggy(lambda versions: 37 in versions)
    reader = Reader(handler, *records_of(events))
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert [effect(event).id for event in events if event.data.version != 37] == reader.told
    assert [36] == [record.offset for record, _ in reader.graveyard.dead]
    assert 3 == handler.alone[37]
    assert {P0: 100} == reader.log.committed
    assert "None" == reader.waiting_for


async def test_why_a_bug_buried_a_record_quotes_nothing(logged: io.StringIO) -> None:
    """Kind and place of the error, not a word of the exception, which may quote a patient."""
    reader = Reader(Buggy(lambda _: True), at(desk(), 0))
    await reader.turn()
    ((_, why),) = reader.graveyard.dead
    assert why.startswith("a bug, 3 times alone: KeyError at test_chassis_step.py:")
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert ["bug", "bug", "bug", "buried"] == [line["event"] for line in lines]
    assert "SENTINEL" not in logged.getvalue() + why


async def test_records_that_fail_only_together_are_told_apart() -> None:
    """No record is at fault, so none is buried."""
    events = numbered(8)
    reader = Reader(Buggy(lambda versions: {2, 7} <= set(versions)), *records_of(events))
    await reader.turn()
    assert [effect(event).id for event in events] == reader.told
    assert [] == reader.graveyard.dead


async def test_a_record_that_succeeds_at_its_third_try_is_told() -> None:
    """What fails now and then is not given up at once."""
    event = desk(version=1)
    handler = Buggy(lambda _: handler.alone[1] < 3)
    reader = Reader(handler, at(event, 0))
    await reader.turn()
    assert ([effect(event).id], []) == (reader.told, reader.graveyard.dead)


async def test_a_handler_that_fails_on_everything_stops_the_service() -> None:
    """Not ready with a reason, offsets kept, nothing buried: it is the release that is bad, and not 500 records."""
    handler = Buggy(lambda _: True)
    reader = Reader(handler, *records_of(numbered(500)))
    await reader.join()
    await reader.turn()
    await reader.turn()
    await reader.step.commit()
    assert ([], [], {}) == (reader.told, reader.graveyard.dead, reader.log.committed)
    assert "booking failed on desks: KeyError at test_chassis_step.py:" in str(reader.breaker.reason)
    assert "SENTINEL" not in str(reader.breaker.reason)
    assert {1: 3, 2: 3, 3: 3, 4: 3, 5: 3, 6: 3} == handler.alone
    assert {P0, P1} == reader.log.paused()


async def test_bugs_that_come_one_by_one_stop_the_service_at_the_sixth() -> None:
    """Five in a minute are buried; the sixth record is kept for the next release."""
    reader = Reader(Buggy(lambda _: True))
    await reader.join()
    for record in records_of(numbered(8)):
        reader.log.records.append(record)
        await reader.turn()
        await reader.step.commit()
    assert [0, 1, 2, 3, 4] == [record.offset for record, _ in reader.graveyard.dead]
    assert {P0: 5} == reader.log.committed
    assert "KeyError" in str(reader.breaker.reason)


async def test_bugs_of_more_than_a_minute_ago_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day's odd record now and then must not stop the service in the end."""
    clock = 1000.0
    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: clock))
    reader = Reader(Buggy(lambda _: True))
    for record in records_of(numbered(20)):
        clock += 12.1
        reader.log.records.append(record)
        await reader.turn()
    assert 20 == len(reader.graveyard.dead)
    assert reader.breaker.reason is None


async def test_bugs_count_for_the_whole_service() -> None:
    """Its readers share a breaker: six bugs on six topics are a bad release too, and it stops as one."""
    first, second = (Reader(Buggy(lambda _: True), *records_of(numbered(5))) for _ in range(2))
    second.step._breaker = first.breaker
    whole = Reader(tell_effects, at(desk(), 0))
    whole.step._breaker = first.breaker
    for reader in (first, second, whole):
        await reader.turn()
    assert (5, 0) == (len(first.graveyard.dead), len(second.graveyard.dead))
    assert [] == whole.told


async def test_what_is_away_amid_a_bug_puts_the_whole_batch_off(at_once: None) -> None:
    """Nothing is buried for a bug, nor counted, before everything else of its batch is told."""
    events = numbered(8)
    away = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        versions = [event.data.version for event in batch]
        if 2 in versions:
            raise KeyError
        if away and 7 in versions:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, *records_of(events))
    await reader.join()
    for _ in range(7):
        await reader.turn()
    assert [] == reader.graveyard.dead
    away = False
    await reader.settle()
    assert [1] == [record.offset for record, _ in reader.graveyard.dead]
    assert {effect(event).id for event in events if event.data.version != 2} == set(reader.told)
    assert reader.breaker.reason is None


async def test_a_record_whose_burial_meets_a_bug_stops_the_service() -> None:
    """It can be neither used nor kept, so it stays where it is."""
    reader = Reader(tell_effects, Record("desks", 0, 0, None, b"junk"))

    async def refuse(_: Sequence[tuple[Record, str]]) -> None:
        raise MessageSizeTooLargeError

    reader.graveyard.bury = refuse  # type: ignore[method-assign]
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert {} == reader.log.committed
    assert "booking failed on desks: MessageSizeTooLargeError" in str(reader.breaker.reason)


# Commits and stopping


async def test_a_failed_commit_is_made_up_for_by_the_next() -> None:
    """What was processed stays to be committed."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    await reader.turn()
    reader.log.refusal = KafkaConnectionError()
    await reader.step.commit()
    reader.log.refusal = None
    await reader.step.commit()
    assert {P0: 1} == reader.log.committed


async def test_offsets_of_a_partition_that_went_are_not_committed() -> None:
    """The member that has it now knows better."""
    reader = Reader(tell_effects, at(desk(), 0), at(desk(), 0, partition=1))
    await reader.join()
    await reader.turn()
    reader.log.assigned = {P1}
    await reader.step.commit()
    assert {P1: 1} == reader.log.committed


async def test_offsets_from_before_a_rebalance_are_forgotten() -> None:
    """A partition that went and came back is read from the group's offset, and no older one is committed over it."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    await reader.turn()
    await reader.join()
    await reader.step.commit()
    assert {} == reader.log.committed


async def test_a_revocation_commits_what_was_processed() -> None:
    """So that the next member repeats nothing."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    await reader.turn()
    await reader.step.on_partitions_revoked({P0})
    assert {P0: 1} == reader.log.committed


async def test_a_revocation_waits_for_the_batch_only_so_long(
    monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    """The group waits for every member: a slow batch is repeated elsewhere rather than everyone held up."""
    monkeypatch.setattr(step, "REVOCATION_SECONDS", 0.01)
    reader = Reader(tell_effects)
    async with reader.step._running:
        await reader.step.on_partitions_revoked({P0})
    assert "revoked_in_mid_batch" == json.loads(logged.getvalue())["event"]


async def test_while_it_drains_it_begins_no_batch() -> None:
    """What is polled after the last commit would be repeated by the next member."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    polled = await reader.step.poll(reader.log, 500)
    reader.step.draining = True
    await reader.step.consume(polled, reader.handler)
    await reader.turn()
    await reader.step.flush()
    assert ([], {}) == (reader.told, reader.log.committed)


# Readiness


async def test_before_it_has_joined_its_group_it_is_not_ready() -> None:
    """The first assignment says that it reads."""
    reader = Reader(tell_effects)
    assert "desks: joining its group" == reader.waiting_for
    await reader.join()
    assert "None" == reader.waiting_for


async def test_one_that_no_longer_polls_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever became of its loop, it says so."""
    reader = Reader(tell_effects)
    await reader.join()
    reader.step.last_alive -= step.ALIVE_SECONDS + 2
    assert "desks: no poll for 7 s" == reader.waiting_for


async def test_a_long_batch_is_not_taken_for_silence() -> None:
    """A handler within its deadline is at work."""
    reader = Reader(tell_effects)
    await reader.join()
    async with reader.step._running:
        reader.step.last_alive -= step.ALIVE_SECONDS + 2
        assert "None" == reader.waiting_for
        reader.step.last_alive -= step.HANDLER_SECONDS
        assert "desks: no poll for 67 s" == reader.waiting_for
