"""Kafka and PostgreSQL that go away and come back: said within seconds, nothing lost, and everything goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from contracts.directory import CapacityReported, DeskListed
from contracts.envelope import Event
from contracts.topics import Topic
from services.backing import kafka, postgres
from services.chassis import service as hosting
from services.chassis.database import OUTBOX, Database
from services.chassis.reader import Tombstone
from services.chassis.service import Service
from services.chassis.topics import apply, declared
from tests.chassis_examples import (
    admin_of,
    committed,
    desk,
    effect,
    everything_on,
    hosted,
    make_topics,
    settings,
    tell_effects,
    until,
)
from tests.own_servers import Servers

pytestmark = [pytest.mark.backing, pytest.mark.faults]

SOON = 8.0
"""Seconds: five of silence, and the questions between them."""


@asynccontextmanager
async def booking(
    servers: Servers, own_prefix: str, index: Callable[[Sequence[Event | Tombstone]], None]
) -> AsyncIterator[Service]:
    """A service that reads desks, tells capacities, and follows capacities."""
    await make_topics(servers.kafka, own_prefix, "desks", "capacity", "booking.dlq")
    service = Service("booking", settings(servers.kafka, prefix=own_prefix))
    service.reads(Topic.DESKS, tell_effects, DeskListed)
    service.follows([Topic.CAPACITY], index, since="now")
    async with hosted(service):
        yield service


async def told_in_the_end(service: Service, event: Event) -> None:
    """Tell it as a step does: a telling that fails is begun again."""
    while True:
        try:
            return await service.publisher.tell([event])
        except KafkaError:
            await asyncio.sleep(0.1)


async def test_a_broker_that_dies_and_comes_back(servers: Servers, own_prefix: str) -> None:
    """It is said that Kafka is away; what is told meanwhile arrives; reader and follower go on where they were."""
    followed: list[Event | Tombstone] = []
    async with booking(servers, own_prefix, followed.extend) as service:
        before, meanwhile, after = desk(), desk(), desk()
        await service.publisher.tell([before])
        await until(lambda: len(followed) == 1)
        await servers.without(kafka.kill, "kafka")
        telling = asyncio.create_task(told_in_the_end(service, meanwhile))
        await until(lambda: any("Kafka has not answered" in reason for reason in service.not_ready()), within=SOON)
        await servers.whole()
        await telling
        await until(lambda: not service.not_ready())
        await service.publisher.tell([after])
        await until(lambda: len(followed) >= 3)
    expected = {effect(event).id for event in (before, meanwhile, after)}
    assert expected == {event.id for event in followed if isinstance(event, CapacityReported)}
    records = await everything_on(servers.kafka, f"{own_prefix}capacity")
    assert expected == {CapacityReported.read(record.value).id for record in records}


async def test_a_stop_ends_and_a_start_waits_without_a_broker(
    servers: Servers, own_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop has its bounds although a batch waits to be told; the next start takes the batch up when it can."""
    monkeypatch.setattr(hosting, "GRACE_SECONDS", 1.0)
    await make_topics(servers.kafka, own_prefix, "desks", "capacity", "booking.dlq")
    handled = asyncio.Event()

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        await servers.without(kafka.stop, "kafka")
        handled.set()
        return await tell_effects(events)

    service = Service("booking", settings(servers.kafka, prefix=own_prefix))
    service.reads(Topic.DESKS, handler, DeskListed)
    await service.start()
    await service.publisher.tell([event := desk()])
    async with asyncio.timeout(30):
        await handled.wait()
        await service.stop()
    following = Service("booking", settings(servers.kafka, prefix=own_prefix))
    following.reads(Topic.DESKS, tell_effects, DeskListed)
    followed: list[Event | Tombstone] = []
    following.follows([Topic.CAPACITY], followed.extend, since="beginning")
    starting = asyncio.create_task(following.start())
    await servers.whole()
    await starting
    try:
        await committed(servers.kafka, following.group(Topic.DESKS), at_least=1)
        await until(lambda: followed)
    finally:
        await following.stop()
    assert effect(event).id == followed[0].id  # type: ignore[union-attr]


async def test_a_database_that_goes_and_comes_back(servers: Servers, own_prefix: str) -> None:
    """It is said which schema's; afterwards the same pool answers again."""
    database = Database(settings(database=servers.database), "chassis_test_outage", OUTBOX)
    database.migrate()
    service = Service("booking", settings(servers.kafka, prefix=own_prefix), database=database)
    async with hosted(service):
        await servers.without(postgres.stop, "postgres")
        reason = "PostgreSQL, schema chassis_test_outage has not answered"
        await until(lambda: any(reason in said for said in service.not_ready()), within=SOON)
        await servers.whole()
        await until(lambda: not service.not_ready())
        assert 0 == await database.pool.fetchval("select count(*) from outbox")


async def test_a_topic_that_was_compacted_is_read_to_its_end(servers: Servers, own_prefix: str) -> None:
    """Offsets that were compacted away are not waited for, nor a tombstone that went with its key."""
    (desks,) = [one for one in declared(own_prefix) if one.name == f"{own_prefix}desks"]
    at_once = {
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.0",
        "delete.retention.ms": "0",
        "max.compaction.lag.ms": "100",
    }
    standing: dict[str, int] = {}

    def keep(read: Sequence[Event | Tombstone]) -> None:
        for one in read:
            if isinstance(one, DeskListed):
                standing[one.subject] = one.data.version
            elif isinstance(one, Tombstone):
                standing.pop(one.key, None)

    async with admin_of(servers.kafka) as admin:
        await apply(admin, [replace(desks, config=desks.config | at_once)])
        (broker,) = (await admin.describe_cluster())["brokers"]
        quick = {"log.cleaner.backoff.ms": "100"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, str(broker["node_id"]), configs=quick)])
    telling = Service("pathways", settings(servers.kafka, prefix=own_prefix))
    async with hosted(telling), AIOKafkaProducer(**servers.kafka.client()) as producer:
        for version in range(1, 6):
            await telling.publisher.tell([desk(f"key-{n}", version=version) for n in range(20)])
            await asyncio.sleep(0.15)  # so that the segments of the one before may be closed
        gone = next(record for record in await everything_on(servers.kafka, desks.name) if record.key == b"key-0")
        await producer.send_and_wait(desks.name, None, b"key-0", partition=gone.partition)
        told, left = 101, 101
        async with asyncio.timeout(40):
            while told - left < 60:
                await telling.publisher.tell([desk(f"key-{n}", version=6) for n in range(1, 20)])
                await asyncio.sleep(0.2)
                told, left = told + 19, len(await everything_on(servers.kafka, desks.name))
    service = Service("gateway", settings(servers.kafka, prefix=own_prefix))
    service.follows([Topic.DESKS], keep, since="beginning")
    async with hosted(service):
        assert {f"key-{n}": 6 for n in range(1, 20)} == standing
