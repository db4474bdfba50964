"""A step over desks without Kafka: a log as a consumer sees it, and what was told and buried."""

import time
from collections.abc import Sequence
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from contracts.directory import DeskListed
from contracts.envelope import Event
from services.chassis.decoding import Record
from services.chassis.giving_way import GivingWay
from services.chassis.step import Breaker, Handler, Step
from tests.chassis_examples import desk
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

    def __init__(
        self,
        handler: Handler,
        *records: Record,
        giving_way: GivingWay | None = None,
        waited_for: Sequence[type[Event]] = (),
    ) -> None:
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
            giving_way=giving_way,
            waited_for=waited_for,
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


def numbered(count: int) -> list[DeskListed]:
    """Desks with versions 1, 2, ..."""
    return [desk(version=n + 1) for n in range(count)]


def records_of(events: Sequence[Event]) -> list[Record]:
    """Their records, on one partition, in order."""
    return [at(event, offset) for offset, event in enumerate(events)]
