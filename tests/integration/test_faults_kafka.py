"""Faults of Kafka amid traffic, each with its accounting: everything told, nothing out of order, nothing buried."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
import stamina
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, LeaderNotAvailableError, NoError

from contracts.directory import CapacityReported, DeskListed
from contracts.topics import Topic
from services.backing import kafka
from services.chassis.failures import Poison, is_transient
from services.chassis.kafka import Kafka
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

AWAY_SECONDS = 5.0


async def send_desks(service: Service, events: Sequence[DeskListed], *, at_once: int = 20) -> None:
    """Tell them a few at a time, each few until they are acknowledged, as a sender does."""
    for first in range(0, len(events), at_once):
        async for attempt in stamina.retry_context(on=is_transient, attempts=None, timeout=60.0, wait_max=0.5):
            with attempt:
                await service.publisher.tell(events[first : first + at_once])
        await asyncio.sleep(0.05)


async def effects_on(kafka_servers: Kafka, prefix: str) -> list[CapacityReported]:
    """What was told, in the order of each partition."""
    records = await everything_on(kafka_servers, f"{prefix}capacity")
    return [CapacityReported.read(record.value) for record in records]


async def account(kafka_servers: Kafka, prefix: str, events: Sequence[DeskListed]) -> None:
    """Wait until each event has its effect; then: no other effect, each key's in order at first telling, none dead."""
    expected = {effect(event).id for event in events}
    async with asyncio.timeout(60):
        while not expected <= {one.id for one in await effects_on(kafka_servers, prefix)}:
            await asyncio.sleep(0.2)
    told = await effects_on(kafka_servers, prefix)
    assert expected == {one.id for one in told}
    first_told: dict[str, list[int]] = {}
    for one in told:
        versions = first_told.setdefault(one.partitionkey, [])
        if one.data.version not in versions:
            versions.append(one.data.version)
    assert all(versions == sorted(versions) for versions in first_told.values())
    assert [] == await everything_on(kafka_servers, f"{prefix}booking.dlq")


@asynccontextmanager
async def without_broker(servers: Servers, fault: str) -> AsyncIterator[None]:
    """The broker away, and back."""
    if fault == "frozen":
        async with servers.frozen_broker():
            yield
    else:
        await servers.without(kafka.kill if fault == "killed" else kafka.stop, "kafka")
        yield
        await servers.whole()


@pytest.mark.parametrize("fault", ["stopped", "killed", "frozen"])
async def test_a_broker_that_is_away_for_five_seconds_amid_traffic(
    servers: Servers, own_prefix: str, fault: str
) -> None:
    """Stopped in order, killed, or frozen with its connections open: everything goes on by itself when it is back."""
    await make_topics(servers.kafka, own_prefix, "desks", "capacity", "booking.dlq")
    events = [desk(f"key-{n % 20}", version=n + 1) for n in range(2_000)]
    service = Service("booking", settings(servers.kafka, prefix=own_prefix))
    service.reads(Topic.DESKS, tell_effects, DeskListed)
    async with hosted(service), hosted(Service("pathways", service.settings)) as sender:
        sending = asyncio.create_task(send_desks(sender, events))
        while len(await effects_on(servers.kafka, own_prefix)) < 200:
            await asyncio.sleep(0.05)
        async with without_broker(servers, fault):
            assert not sending.done()
            await asyncio.sleep(AWAY_SECONDS)  # the fault itself
        await sending
        await account(servers.kafka, own_prefix, events)
        await until(lambda: not service.not_ready())


async def test_a_topic_that_nobody_leads(fresh_servers: Servers) -> None:
    """Its only broker is away when a service starts that reads it, and when somebody tells: both wait, nothing is lost.

    The broker that is away has all of the topic, and nothing else: the groups' offsets lie on the first one.
    """
    servers, own_prefix = fresh_servers, "nobody-"
    await make_topics(servers.kafka, own_prefix, "capacity", "booking.dlq")
    await committed(servers.kafka, "a group that makes the topic of offsets")
    (desks,) = (one for one in declared(own_prefix) if one.name == f"{own_prefix}desks")
    events = [desk(f"key-{n % 20}", version=n + 1) for n in range(100)]
    service = Service("booking", settings(servers.kafka, prefix=own_prefix))
    service.reads(Topic.DESKS, tell_effects, DeskListed)
    with servers.second_broker() as second:
        await asyncio.to_thread(second.start)
        async with admin_of(servers.kafka) as admin:
            alone = {number: [second.NODE] for number in range(desks.partitions)}
            await admin.create_topics(
                [NewTopic(desks.name, -1, -1, replica_assignments=alone, topic_configs=desks.config)]
            )
            await _errors(admin, desks.name, {NoError.errno})
            second.kill()
            await _errors(admin, desks.name, {LeaderNotAvailableError.errno})
            try:
                await service.start()
                sending = asyncio.create_task(send_desks(service, events))
                await asyncio.sleep(AWAY_SECONDS)  # the fault itself
                await _errors(admin, desks.name, {LeaderNotAvailableError.errno})
                assert not sending.done()
                await asyncio.to_thread(second.start)
                await sending
                await account(servers.kafka, own_prefix, events)
            finally:
                await service.stop()
            await admin.delete_topics([desks.name])


async def _errors(admin: AIOKafkaAdminClient, topic: str, expected: set[int]) -> None:
    """Wait until Kafka says this of the topic's partitions."""
    async with asyncio.timeout(30):
        while True:
            with suppress(KafkaError):  # it may be the one that is away who is asked
                (described,) = await admin.describe_topics([topic])
                if expected == {one["error_code"] for one in described["partitions"]}:
                    return
            await asyncio.sleep(0.05)


async def test_a_dead_letter_whose_publish_is_lost(servers: Servers, own_prefix: str) -> None:
    """Its topic is gone: the batch waits, not ready, and nothing of it is told; when it is back, it is buried."""
    await make_topics(servers.kafka, own_prefix, "desks", "capacity", "booking.dlq")
    good, bad = desk("key-0"), desk("key-0", version=2)

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        for event in events:
            if event.id == bad.id:
                raise Poison(bad.id, "no such service")
        return await tell_effects(events)

    service = Service("booking", settings(servers.kafka, prefix=own_prefix))
    service.reads(Topic.DESKS, handler, DeskListed)
    async with hosted(service):
        async with admin_of(servers.kafka) as admin:
            await admin.delete_topics([f"{own_prefix}booking.dlq"])
        await service.publisher.tell([good, bad])
        await until(lambda: any("waiting to try again" in reason for reason in service.not_ready()), within=30)
        assert [] == await effects_on(servers.kafka, own_prefix)
        async with admin_of(servers.kafka) as admin:
            await apply(admin, [one for one in declared(own_prefix) if one.name == f"{own_prefix}booking.dlq"])
        await until(lambda: not service.not_ready(), within=30)
    assert {effect(good).id} == {one.id for one in await effects_on(servers.kafka, own_prefix)}
    buried = await everything_on(servers.kafka, f"{own_prefix}booking.dlq")
    assert {bad.id} == {DeskListed.read(record.value).id for record in buried}
