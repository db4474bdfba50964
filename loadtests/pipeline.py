"""A burst: submissions written to the topic in the gateway's place, drained to the last message."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream.kafka import KafkaBroker

from contracts.people import Desk, Position, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData
from services.chassis.publishing import MAX_BATCH_BYTES, KafkaPublisher
from services.cli.connection import TRUST
from services.cli.local import LocalSystem
from services.device.incidents import shift

MIDDLE = Position(latitude=52.90, longitude=-1.20)
PATIENCE_SECONDS = 180.0


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
    for incident in islice(shift(seed, MIDDLE), count):
        data = ReferralSubmittedData(
            submission=incident.submission, referrer=referrer, desk=desk, answer_by=now + timedelta(minutes=15)
        )
        event = ReferralSubmitted.first(
            data, id=uuid4(), source=f"onward/gateway/{TRUST}", subject=str(uuid4()), time=now
        )
        event.to_json()
        events.append(event)
    return events


async def burst(system: LocalSystem, count: int, seed: int) -> Burst:
    """Write the submissions as fast as the broker takes them, and wait for the last message that they lead to."""
    events = submissions(count, seed)
    broker = KafkaBroker(
        system.kafka_bootstrap_servers,
        enable_idempotence=True,
        acks="all",
        max_batch_size=MAX_BATCH_BYTES,
        allow_auto_create_topics=False,
        logger=None,
    )
    await broker.connect()
    publisher = KafkaPublisher("bench", broker, "")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=system.kafka_bootstrap_servers, fetch_max_wait_ms=100, max_partition_fetch_bytes=8_000_000
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for topic in ("bookings", "notifications") for number in range(12)]
        consumer.assign(partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, end)
        began = time.perf_counter()
        writing = asyncio.create_task(_write(publisher, events))
        seen = await _drain(consumer, events)
        await writing
        return _accounted(events, seen, system, began)
    finally:
        await consumer.stop()
        await broker.stop()


async def _write(publisher: KafkaPublisher, events: list[ReferralSubmitted]) -> None:
    for start in range(0, len(events), 1000):
        await publisher.tell(events[start : start + 1000])


@dataclass
class _Seen:
    """What was read downstream. By referral: the record's key; a message by its referral and its place among them."""

    outcomes: Counter[bytes]
    messages: Counter[bytes]
    wanted_messages: int = 0
    placed: int = 0
    last: float = 0.0


async def _drain(consumer: Any, events: list[ReferralSubmitted]) -> _Seen:
    """Read outcomes and messages until each referral has its outcome and each outcome its messages.

    Only headers and keys are looked at, so that the load does not take from the machine what it measures.
    """
    reachable = {event.subject.encode(): _reachable(event) for event in events}
    seen = _Seen(Counter(), Counter())
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while time.perf_counter() < deadline:
        for records in (await consumer.getmany(timeout_ms=200, max_records=5000)).values():
            for record in records:
                if record.key in reachable:
                    _see(seen, record.key, dict(record.headers)["type"], reachable)
            seen.last = time.perf_counter() if records else seen.last
        if len(seen.outcomes) == len(events) and seen.messages.total() >= seen.wanted_messages:
            return seen
    return seen


def _reachable(event: ReferralSubmitted) -> bool:
    return event.data.submission.patient.contact.mobile is not None


def _see(seen: _Seen, referral: bytes, type_: bytes, reachable: dict[bytes, bool]) -> None:
    if type_ == b"notification.sent":
        seen.messages[referral] += 1
        return
    seen.outcomes[referral] += 1
    if seen.outcomes[referral] == 1:
        confirmed = type_ == b"booking.confirmed"
        seen.placed += confirmed
        seen.wanted_messages += 1 + confirmed + reachable[referral]


def _accounted(events: list[ReferralSubmitted], seen: _Seen, system: LocalSystem, began: float) -> Burst:
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
        seconds=seen.last - began,
    )
