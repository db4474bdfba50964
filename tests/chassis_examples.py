"""Events, records and settings for tests of the chassis: small, operational facts, without a patient."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from contracts.directory import CapacityReported, CapacityReportedData, DeskListed, DeskListedData, ServiceListed
from contracts.people import Desk
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.topics import apply, declared

NOWHERE = Kafka("127.0.0.1:1")
NOW = datetime(2025, 3, 4, 3, 0, tzinfo=UTC)


def settings(kafka: Kafka = NOWHERE, database: str = "postgresql://nowhere/none", prefix: str = "") -> Settings:
    """Settings of a service under test."""
    return Settings(kafka=kafka, database_url=database, keys_file=Path("none.json"), topic_prefix=prefix)


def desk(key: str = "RX1", version: int = 1, *, id: uuid.UUID | None = None, name: str = "Clinical hub") -> DeskListed:
    """A desk is listed under this key."""
    return DeskListed.first(
        DeskListedData(version=version, desk=Desk(organisation="RX1", name=name, telephone="01632 960001")),
        id=id or uuid.uuid4(),
        source="onward/test",
        subject=key,
        time=NOW,
    )


def effect(cause: DeskListed | ServiceListed) -> CapacityReported:
    """What a handler under test tells of a listing: the same version, under an id made of the cause's."""
    return CapacityReported.effect_of(
        cause,
        CapacityReportedData(
            version=cause.data.version, service_id="S-1", capacity="green", reported_by="RX1", reported_at=NOW
        ),
        source="onward/test",
        time=NOW,
    )


async def tell_effects(events: Sequence[DeskListed]) -> list[CapacityReported]:
    """A handler that tells one effect of each desk."""
    return [effect(event) for event in events]


async def until(fact: Callable[[], object], *, within: float = 20.0) -> None:
    """Wait until something is so. Fails when it is not, `within` seconds."""
    deadline = time.monotonic() + within
    while not fact():
        assert time.monotonic() < deadline, f"not so after {within:.0f} s"
        await asyncio.sleep(0.01)


# On a real broker


@asynccontextmanager
async def admin_of(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """An administrator."""
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def make_topics(kafka: Kafka, prefix: str, *names: str) -> None:
    """Make some of the declared topics; with a reader's dead letters, where they are sent again."""
    names = (*names, *(name.replace(".dlq", ".replay") for name in names if name.endswith(".dlq")))
    wanted = [topic for topic in declared(prefix) if topic.name.removeprefix(prefix) in names]
    assert len(names) == len(wanted)
    async with admin_of(kafka) as admin:
        await apply(admin, wanted)


@asynccontextmanager
async def hosted(service: Service) -> AsyncIterator[Service]:
    """The service, started and ready; stopped afterwards."""
    try:
        await service.start()
        await until(lambda: not service.not_ready())
        yield service
    finally:
        await service.stop()


async def everything_on(kafka: Kafka, topic: str) -> list[ConsumerRecord]:
    """Every record of a topic as it is now, each partition in order."""
    consumer = AIOKafkaConsumer(**kafka.client(), enable_auto_commit=False)
    await consumer.start()
    try:
        async with admin_of(kafka) as admin:
            (described,) = await admin.describe_topics([topic])
        partitions = [TopicPartition(topic, one["partition"]) for one in described["partitions"]]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(records)
        return found
    finally:
        await consumer.stop()


async def committed(kafka: Kafka, group: str, *, at_least: int = 0, within: float = 60.0) -> int:
    """How many records a group has committed, over all partitions, once they are so many."""
    deadline = time.monotonic() + within
    async with admin_of(kafka) as admin:
        while True:
            try:
                count = sum(offset.offset for offset in (await admin.list_consumer_group_offsets(group)).values())
            except GroupCoordinatorNotAvailableError:  # the first group of a new broker
                count = 0
            if count >= at_least:
                return count
            assert time.monotonic() < deadline, f"{count} of {at_least} after {within:.0f} s"
            await asyncio.sleep(0.02)
