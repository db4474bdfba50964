"""A burst: submissions written to the topic in the gateway's place, drained to the last message."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream.kafka import KafkaBroker

from contracts.envelope import new_id
from contracts.people import Desk, Position, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData
from contracts.topics import PARTITIONS, Topic
from loadtests.history import History
from services.chassis.kafka import Kafka
from services.chassis.publishing import MAX_BATCH_BYTES, KafkaPublisher
from services.cli.connection import TRUST
from services.cli.local import LocalSystem
from services.device.shift import shift

MIDDLE = Position(latitude=52.90, longitude=-1.20)
PATIENCE_SECONDS = 180.0
LOOK_SECONDS = 0.05
QUIET_SECONDS = 2.0
SUBMISSIONS, OUTCOMES, MESSAGES = Topic.SUBMISSIONS, Topic.BOOKINGS, Topic.NOTIFICATIONS


@dataclass(frozen=True)
class Burst:
    """What came of a burst."""

    submitted: int
    outcomes: int
    placed: int
    messages: int
    lost: int
    doubled: int
    seconds: float
    """From the first submission on the log to the last message."""
    stored_seconds: float
    """To the last fact in the history, which nobody waits for."""

    @property
    def per_second(self) -> float:
        """Referrals a second, from the first event to the last message."""
        return self.submitted / self.seconds


def submissions(count: int, seed: int) -> list[ReferralSubmitted]:
    """Events as the gateway would tell them."""
    now = datetime.now(UTC)
    desk = Desk(organisation=TRUST, name="Clinical hub", telephone="01632 960000")
    referrer = Referrer(organisation=TRUST, practitioner="bench", role="paramedic")
    events = []
    for incident in islice(shift(seed, [MIDDLE], lambda _: now), count):
        data = ReferralSubmittedData(
            submission=incident.submission, referrer=referrer, desk=desk, answer_by=now + timedelta(minutes=15)
        )
        event = ReferralSubmitted.first(
            data, id=new_id(), source=f"onward/gateway/{TRUST}", subject=str(new_id()), time=now
        )
        event.to_json()
        events.append(event)
    return events


async def burst(system: LocalSystem, count: int, seed: int) -> Burst:
    """Write the submissions as fast as the broker takes them, and wait for the last message that they lead to."""
    events = submissions(count, seed)
    broker = KafkaBroker(
        system.kafka.bootstrap_servers,
        security=system.kafka.security(),
        enable_idempotence=True,
        acks="all",
        max_batch_size=MAX_BATCH_BYTES,
        allow_auto_create_topics=False,
        logger=None,
    )
    await broker.connect()
    publisher = KafkaPublisher("bench", broker, "")
    log = await _Log.at_its_end(system.kafka)
    history = await History.at_its_end(system.database_url)
    try:
        writing = asyncio.create_task(_write(publisher, events))
        seen = await _drain(log, events)
        await writing
        stored = await history.whole(len(events), seen.messages.total())
        return _accounted(events, seen, stored, system)
    finally:
        await history.close()
        await log.close()
        await broker.stop()


async def _write(publisher: KafkaPublisher, events: list[ReferralSubmitted]) -> None:
    for start in range(0, len(events), 1000):
        await publisher.tell(events[start : start + 1000])


class _Log:
    """What a burst leaves on the topics. Until it is over only offsets are asked for: to read the records along with
    the services would take from the machine what is measured.
    """

    def __init__(self, consumer: Any, begins: dict[TopicPartition, int]) -> None:
        self._consumer = consumer
        self._begins = begins

    @classmethod
    async def at_its_end(cls, kafka: Kafka) -> "_Log":
        """The log from now on."""
        consumer = AIOKafkaConsumer(**kafka.client(), max_partition_fetch_bytes=8_000_000)
        await consumer.start()
        partitions = [
            TopicPartition(topic, number) for topic in (SUBMISSIONS, OUTCOMES, MESSAGES) for number in range(PARTITIONS)
        ]
        return cls(consumer, await consumer.end_offsets(partitions))

    async def wait_for(self, topic: str, count: int) -> None:
        """Wait until so many records were added to the topic, or until it is plain that they will not come."""
        begins = {partition: offset for partition, offset in self._begins.items() if partition.topic == topic}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while sum((await self._consumer.end_offsets(list(begins))).values()) - sum(begins.values()) < count:
                    await asyncio.sleep(LOOK_SECONDS)

    async def wait_until_quiet(self, topic: str) -> None:
        """Wait until nothing was added to the topic for some time."""
        partitions = [partition for partition in self._begins if partition.topic == topic]
        last, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            ends = sum((await self._consumer.end_offsets(partitions)).values())
            if ends != last:
                last, since = ends, time.monotonic()

    async def records(self, topic: str) -> AsyncIterator[Any]:
        """Every record that was added to the topic up to now."""
        begins = {partition: offset for partition, offset in self._begins.items() if partition.topic == topic}
        left = await self._consumer.end_offsets(list(begins))
        self._consumer.assign(list(begins))
        for partition, offset in begins.items():
            self._consumer.seek(partition, offset)
        while any([await self._consumer.position(partition) < end for partition, end in left.items()]):
            for records in (await self._consumer.getmany(timeout_ms=200, max_records=5000)).values():
                for record in records:
                    yield record
        self._consumer.unsubscribe()

    async def close(self) -> None:
        """Leave it."""
        await self._consumer.stop()


@dataclass
class _Seen:
    """What a burst led to. By referral: the record's key. Times in milliseconds, of the broker."""

    outcomes: Counter[bytes]
    messages: Counter[bytes]
    wanted_messages: int = 0
    placed: int = 0
    first: int = 0
    last: int = 0


async def _drain(log: _Log, events: list[ReferralSubmitted]) -> _Seen:
    """Wait for as many outcomes as were submitted, then for the messages that these want; then look at each."""
    reachable = {event.subject.encode(): _reachable(event) for event in events}
    seen = _Seen(Counter(), Counter())
    await log.wait_for(OUTCOMES, len(events))
    await log.wait_until_quiet(MESSAGES)  # what is read before takes from the machine what is measured
    async for record in log.records(OUTCOMES):
        if record.key in reachable:
            seen.outcomes[record.key] += 1
            if seen.outcomes[record.key] == 1:
                confirmed = dict(record.headers)["type"] == b"booking.confirmed"
                seen.placed += confirmed
                seen.wanted_messages += 1 + confirmed + reachable[record.key]
    await log.wait_for(MESSAGES, seen.wanted_messages)
    async for record in log.records(MESSAGES):
        if record.key in reachable:
            seen.messages[record.key] += 1
            seen.last = max(seen.last, record.timestamp)
    seen.first = min([record.timestamp async for record in log.records(SUBMISSIONS)])
    return seen


def _reachable(event: ReferralSubmitted) -> bool:
    return event.data.submission.patient.contact.mobile is not None


def _accounted(events: list[ReferralSubmitted], seen: _Seen, stored: float, system: LocalSystem) -> Burst:
    with psycopg.connect(system.database_url) as connection:
        doubled = connection.execute(
            "select count(*) from (select placement_id from booking.bookings where released_at is null"
            " group by placement_id having count(*) > 1) d"
        ).fetchone()
    assert doubled is not None
    return Burst(
        submitted=len(events),
        outcomes=len(seen.outcomes),
        placed=seen.placed,
        messages=seen.messages.total(),
        lost=len(events) - len(seen.outcomes) + max(0, seen.wanted_messages - seen.messages.total()),
        doubled=doubled[0] + sum(count - 1 for count in seen.outcomes.values()),
        seconds=(seen.last - seen.first) / 1000,
        stored_seconds=stored - seen.first / 1000,
    )
