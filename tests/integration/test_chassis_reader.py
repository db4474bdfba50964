"""Readers without a group on a real broker: all that is there, or all that comes, and nothing missed in between."""

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY

from contracts.directory import DeskListed
from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis.kafka import Kafka
from services.chassis.reader import Reader, Tombstone
from services.chassis.service import Service
from services.chassis.topics import TopicMissing
from tests.chassis_examples import desk, everything_on, hosted, make_topics, settings, until

pytestmark = pytest.mark.backing


class Index:
    """Versions by key, as the topic says them."""

    def __init__(self) -> None:
        self.read: list[Event | Tombstone] = []
        self.standing: dict[str, int] = {}

    def apply(self, read: Sequence[Event | Tombstone]) -> None:
        """Keep the last of each key."""
        self.read.extend(read)
        for one in read:
            if isinstance(one, Tombstone):
                self.standing.pop(one.key, None)
            elif isinstance(one, DeskListed):
                self.standing[one.subject] = one.data.version


@asynccontextmanager
async def following(
    kafka: Kafka, prefix: str, index: Index, since: Literal["beginning", "now"]
) -> AsyncIterator[Reader]:
    """A service that only follows desks, ready."""
    service = Service("gateway", settings(kafka, prefix=prefix))
    reader = service.follows([Topic.DESKS], index.apply, since=since)
    assert not reader.complete
    async with hosted(service):
        assert reader.complete
        yield reader


async def tell(kafka: Kafka, prefix: str, *events: Event) -> None:
    """Tell events."""
    async with hosted(Service("pathways", settings(kafka, prefix=prefix))) as service:
        await service.publisher.tell(events)


@pytest.fixture
async def topic(kafka: Kafka, prefix: str) -> str:
    """The topic of desks, compacted and empty."""
    await make_topics(kafka, prefix, "desks")
    return f"{prefix}desks"


def unreadable() -> float:
    """How many records of desks no index could use, so far in this process."""
    return REGISTRY.get_sample_value("onward_index_unreadable_total", {"topic": "desks"}) or 0.0


async def test_all_that_is_there_is_read_before_it_is_complete(topic: str, kafka: Kafka, prefix: str) -> None:
    """On every partition, in the order of each key."""
    await tell(kafka, prefix, *(desk(f"key-{n % 300}", version=n + 1) for n in range(6000)))
    index = Index()
    complete: list[bool] = []

    def apply(read: Sequence[Event | Tombstone]) -> None:
        complete.append(reader.complete)
        index.apply(read)

    service = Service("gateway", settings(kafka, prefix=prefix))
    reader = service.follows([Topic.DESKS], apply, since="beginning")
    async with hosted(service):
        assert 6000 == len(index.read)
        assert {f"key-{n}": 5701 + n for n in range(300)} == index.standing
        assert {False} == set(complete)


async def test_an_empty_topic_is_complete_at_once(topic: str, kafka: Kafka, prefix: str) -> None:
    """Nothing to wait for."""
    async with following(kafka, prefix, index := Index(), "beginning"):
        assert [] == index.read


async def test_what_comes_later_is_followed(topic: str, kafka: Kafka, prefix: str) -> None:
    """An index stays true."""
    async with following(kafka, prefix, index := Index(), "beginning"):
        await tell(kafka, prefix, event := desk("RX1", version=4))
        await until(lambda: index.read)
        assert [event] == index.read


async def test_a_tombstone_says_that_a_key_stands_no_longer(topic: str, kafka: Kafka, prefix: str) -> None:
    """At the beginning and later on."""
    async with AIOKafkaProducer(**kafka.client()) as producer:
        await tell(kafka, prefix, desk("gone"), desk("stays"), desk("goes"))
        partition = {record.key: record.partition for record in await everything_on(kafka, topic)}
        await producer.send_and_wait(topic, None, b"gone", partition=partition[b"gone"])
        async with following(kafka, prefix, index := Index(), "beginning"):
            assert {"stays", "goes"} == index.standing.keys()
            await producer.send_and_wait(topic, None, b"goes", partition=partition[b"goes"])
            await until(lambda: {"stays"} == index.standing.keys())
    assert Tombstone(Topic.DESKS, "goes") in index.read


async def test_from_now_on_nothing_that_comes_is_missed(topic: str, kafka: Kafka, prefix: str) -> None:
    """What was there before is left out; of what comes from the moment it is complete, nothing."""
    await tell(kafka, prefix, *(desk(f"key-{n}") for n in range(500)))
    async with hosted(Service("pathways", settings(kafka, prefix=prefix))) as telling:
        for _ in range(5):
            index = Index()
            async with following(kafka, prefix, index, "now"):
                events = [desk(f"key-{n}") for n in range(60)]
                await telling.publisher.tell(events)
                await until(lambda index=index: len(index.read) >= 60)  # type: ignore[misc]
            assert sorted(event.id for event in events) == sorted(event.id for event in index.read)  # type: ignore[union-attr]


async def test_what_cannot_be_read_is_counted_and_left_out(topic: str, kafka: Kafka, prefix: str) -> None:
    """An index does without it; somebody learns of it."""
    before = unreadable()
    async with AIOKafkaProducer(**kafka.client()) as producer:
        for value, headers in [
            (b"junk", []),
            (b"\xff", [("type", b"desk.listed")]),
            (b"{}", [("type", None)]),
        ]:
            await producer.send_and_wait(topic, value, b"RX1", headers=headers)
        await producer.send_and_wait(topic, desk("RX1").to_json(), b"RX1")
    async with following(kafka, prefix, index := Index(), "beginning"):
        assert {"RX1"} == index.standing.keys()
    assert 3 == unreadable() - before


async def test_an_index_that_fails_is_not_ready(topic: str, kafka: Kafka, prefix: str, logged: io.StringIO) -> None:
    """It may be half done: nobody is answered from it, and the log says where it failed, not on what."""

    class Broken(Index):
        def apply(self, read: Sequence[Event | Tombstone]) -> None:
            raise KeyError("Ada SENTINEL")

    service = Service("gateway", settings(kafka, prefix=prefix))
    service.follows([Topic.DESKS], Broken().apply, since="now")
    async with hosted(service):
        await tell(kafka, prefix, desk())
        await until(service.not_ready)
        assert ["desks: stopped following"] == service.not_ready()
    assert "test_chassis_reader.py" in logged.getvalue()
    assert "SENTINEL" not in logged.getvalue()


async def test_an_index_that_fails_at_the_start_fails_the_start(topic: str, kafka: Kafka, prefix: str) -> None:
    """A bug is not tried for a minute."""

    def broken(_: Sequence[Event | Tombstone]) -> None:
        raise KeyError

    await tell(kafka, prefix, desk())
    service = Service("gateway", settings(kafka, prefix=prefix))
    service.follows([Topic.DESKS], broken, since="beginning")
    with pytest.raises(KeyError):
        await service.start()
    assert "desks: still reading what was there at the start" in service.not_ready()
    await service.stop()


async def test_a_topic_that_is_missing_is_said(kafka: Kafka, prefix: str) -> None:
    """At once, and with the command that makes it."""
    service = Service("gateway", settings(kafka, prefix=prefix))
    service.follows([Topic.DESKS], Index().apply, since="beginning")
    with pytest.raises(TopicMissing, match=f"the topic {prefix}desks does not exist: run `onward topics apply`"):
        await service.start()
    await service.stop()
