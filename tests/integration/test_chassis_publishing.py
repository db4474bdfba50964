"""Telling on a real broker: where events land, in which order, and what happens to one that does not fit."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from contracts.directory import CapacityReported, DeskListed
from contracts.topics import Topic
from services.chassis.kafka import Kafka
from services.chassis.publishing import CHUNK_BYTES, MAX_EVENT_BYTES, EventTooLarge
from services.chassis.service import Service
from tests.chassis_examples import committed, desk, effect, everything_on, hosted, make_topics, settings

pytestmark = pytest.mark.backing


@pytest.fixture
async def service(kafka: Kafka, prefix: str) -> AsyncIterator[Service]:
    """A service that only tells."""
    await make_topics(kafka, prefix, "desks", "capacity")
    async with hosted(Service("booking", settings(kafka, prefix=prefix))) as service:
        yield service


async def test_a_key_lands_where_another_client_puts_it(service: Service, kafka: Kafka, prefix: str) -> None:
    """A stock producer with its own partitioner agrees on every key, so that anyone may write and read beside us."""
    keys = [f"key-{n}" for n in range(100)] + ["é", "5f1c2a34-0000-4000-8000-000000000001", "RX1"]
    await service.publisher.tell([desk(key) for key in keys])
    async with AIOKafkaProducer(**kafka.client()) as stock:
        for key in keys:
            await stock.send(f"{prefix}capacity", b"", key=key.encode())
    ours = {record.key: record.partition for record in await everything_on(kafka, f"{prefix}desks")}
    theirs = {record.key: record.partition for record in await everything_on(kafka, f"{prefix}capacity")}
    assert len(keys) == len(theirs)
    assert theirs == ours


async def test_the_order_of_each_key_is_kept(service: Service, kafka: Kafka, prefix: str) -> None:
    """Over many batches, told one after another."""
    for first in range(0, 3000, 1000):
        await service.publisher.tell([desk(f"key-{n % 40}", version=n + 1) for n in range(first, first + 1000)])
    versions: dict[bytes, list[int]] = {}
    for record in await everything_on(kafka, f"{prefix}desks"):
        versions.setdefault(record.key, []).append(DeskListed.read(record.value).data.version)
    assert [1, 41, 81, 121] == versions[b"key-0"][:4]
    assert all(told == sorted(told) for told in versions.values())
    assert 3000 == sum(map(len, versions.values()))


async def test_a_record_says_what_it_is(service: Service, kafka: Kafka, prefix: str) -> None:
    """Type and content type in the headers, the event's JSON as its value, its key as its key."""
    event = effect(desk("RX1"))
    await service.publisher.tell([event])
    (record,) = await everything_on(kafka, f"{prefix}capacity")
    headers = dict(record.headers)
    assert CapacityReported.TYPE.encode() == headers["type"]
    assert b"application/cloudevents+json; charset=UTF-8" == headers["content-type"]
    assert (b"RX1", event.to_json()) == (record.key, record.value)


async def test_large_events_are_told_like_any_other(service: Service, kafka: Kafka, prefix: str) -> None:
    """One larger than a batch, the largest that is allowed, and many that fill batches to the brim."""
    sizes = [CHUNK_BYTES + 50_000, MAX_EVENT_BYTES - 300, *[CHUNK_BYTES // 3] * 10]
    await service.publisher.tell_json([(DeskListed, "RX1", b"x" * size) for size in sizes])
    assert sizes == [len(record.value) for record in await everything_on(kafka, f"{prefix}desks")]


async def test_an_event_that_is_too_large_is_refused_at_once(service: Service, kafka: Kafka, prefix: str) -> None:
    """Before anything of its batch is told."""
    with pytest.raises(EventTooLarge):
        await service.publisher.tell_json([(DeskListed, "RX1", b"x"), (DeskListed, "RX1", b"x" * 2_000_000)])
    assert [] == await everything_on(kafka, f"{prefix}desks")


async def test_a_group_knows_what_it_has_passed(kafka: Kafka, prefix: str) -> None:
    """For a reader's own writes: the end of a key's partition, and whether its group has processed up to there."""
    await make_topics(kafka, prefix, "desks", "booking.dlq")
    service = Service("booking", settings(kafka, prefix=prefix))

    async def handler(_: object) -> list[DeskListed]:
        return []

    service.reads(Topic.DESKS, handler, DeskListed)
    async with hosted(service):
        assert await service.has_passed(Topic.DESKS, "RX1", await service.end_offset(Topic.DESKS, "RX1"))
        await service.publisher.tell([desk("RX1") for _ in range(3)])
        end = await service.end_offset(Topic.DESKS, "RX1")
        assert 3 == end
        await committed(kafka, service.group(Topic.DESKS), at_least=3)
        assert await service.has_passed(Topic.DESKS, "RX1", end)
        assert not await service.has_passed(Topic.DESKS, "RX1", end + 1)
