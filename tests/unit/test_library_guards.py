"""What we rely on inside other people's libraries: each test fails when a library changes it, and says what to look at.

A new hash belongs here only after what its line names has been checked against the new source. When one of the last
tests fails because a library has mended itself, delete our override and the test with it.
"""

import asyncio
import hashlib
import inspect
import logging
import socket
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Subscription, SubscriptionState
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from aiokafka.producer import message_accumulator
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.protocol.metadata import MetadataResponse_v0
from asyncpg.protocol import protocol
from faststream._internal.endpoint.subscriber.mixins import TasksMixin
from faststream._internal.endpoint.subscriber.usecase import SubscriberUsecase
from faststream.kafka import KafkaBroker
from faststream.kafka.helpers.rebalance_listener import make_logging_listener
from faststream.kafka.publisher.producer import AioKafkaFastProducerImpl
from faststream.kafka.subscriber import usecase
from faststream.kafka.subscriber.usecase import BatchSubscriber, LogicSubscriber

from services.chassis import kafka_patches
from services.chassis.asyncpg_patches import ARRAYS, tell_arrays_by_their_types
from services.chassis.kafka_patches import pause_after_failed_metadata, wait_for_a_partition_as_long_as_is_said

RELIED_ON: list[tuple[Callable[..., Any], str, str]] = [
    (
        BatchSubscriber.get_msg,
        "0efea2c3c73db62b",
        "Step.poll stands in for it: does it still only poll, and return a tuple of records, empty for none?",
    ),
    (
        LogicSubscriber._run_consume_loop,
        "7fb3872a580bd68a",
        "Does it still call get_msg and then consume, one batch at a time, with nothing awaited between them, and"
        " skip an empty batch? Step.flush relies on no batch being polled but not begun.",
    ),
    (
        LogicSubscriber.start,
        "22356b7ea82e511c",
        "Does it still subscribe with our listener, and return only when the consumer has its assignment?",
    ),
    (
        LogicSubscriber.stop,
        "5614adbd6c1f4181",
        "Does it still wait for the batch under way before it stops the consumer? Service.stop flushes before.",
    ),
    (TasksMixin.stop, "3f256125449f693d", "Does stopping still end the polling loop?"),
    (SubscriberUsecase.stop, "4f6b071521e8c83d", "Does it still wait no longer than graceful_timeout?"),
    (
        SubscriberUsecase.consume,
        "af3ce5f503f08ad1",
        "Does it still swallow what a handler raises? Step.consume raises nothing, so that nothing is swallowed.",
    ),
    (
        SubscriberUsecase.process_message,
        "aa3ed06c328d92ab",
        "Is the middleware's consume_scope still called around each call of the handler, after parser and decoder?",
    ),
    (
        make_logging_listener,
        "e0f1559f69bf0925",
        "Without a logger, is our rebalance listener still the one that aiokafka calls?",
    ),
    (
        AioKafkaFastProducerImpl.connect,
        "cca52651b188da61",
        "Does it still keep aiokafka's own producer at `_producer.producer`? KafkaPublisher fills its batches itself.",
    ),
    (
        AIOKafkaClient._metadata_update,
        "06dc51ed3e0d38b8",
        "kafka_patches wraps it: does it still return whether it updated?",
    ),
    (
        Fetcher.fetched_records,
        "be4348896b9b66af",
        "Does a poll still wait while partitions are being reassigned, and skip paused ones? A batch polled between"
        " revocation and assignment would be processed twice.",
    ),
    (
        GroupCoordinator._on_join_prepare,
        "4d9524afc0ee2c2f",
        "Is on_partitions_revoked still awaited before the group is joined again, while commits still count?",
    ),
    (
        GroupCoordinator._on_join_complete,
        "0b0b3d204b408f3c",
        "Is on_partitions_assigned still called before records of the new assignment can be polled?",
    ),
    (
        GroupCoordinator._maybe_leave_group,
        "016cd88a16e6c4b5",
        "Does a member with a group_instance_id still keep its partitions when it stops, for its replacement?",
    ),
    (
        Subscription._assign,
        "bf731e02b121db9f",
        "Does each assignment still begin without pauses, at the group's offsets?",
    ),
    (
        SubscriptionState.assigned_partitions,
        "92937855f4e1a6e6",
        "Is the assignment still empty rather than None before the first?",
    ),
    (AIOKafkaConsumer.stop, "bc5da9c98595299a", "Does it still call no listener? Service.stop flushes before."),
    (
        MessageAccumulator.add_batch,
        "5ed1c5b1367ad854",
        "Do batches of one partition still leave in the order in which they were given?",
    ),
    (
        SendProduceReqHandler._can_retry,
        "7ff5d491d977aacf",
        "Does a producer that is not idempotent still give a batch up after its time-out, and fill no gap before it?"
        " Does one that is idempotent still refuse a partition for ever after that? docs/decisions/chassis-producer.md",
    ),
]


def name_of(function: Callable[..., Any]) -> str:
    """Module and qualified name."""
    return f"{function.__module__}.{function.__qualname__}"


@pytest.mark.parametrize(
    ("function", "known", "look_at"), RELIED_ON, ids=[name_of(function) for function, _, _ in RELIED_ON]
)
def test_a_library_function_is_as_it_was_checked(function: Callable[..., Any], known: str, look_at: str) -> None:
    """Its source has the hash under which we read it."""
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    assert known == found, f"{name_of(function)} has changed. {look_at} Then write {found} here."


async def test_the_stock_poll_still_sleeps_after_an_empty_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for Step.poll: an event that comes during the sleep waits for its end."""

    class Empty:
        async def getmany(self, **_: Any) -> dict[Any, Any]:
            return {}

    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    subscriber = KafkaBroker().subscriber("desks", batch=True, batch_timeout_ms=200)
    monkeypatch.setattr(usecase.anyio, "sleep", sleep)
    await subscriber.get_msg(Empty())  # type: ignore[arg-type]
    assert [0.2] == slept, "it sleeps no more: delete Step.poll's stand-in for get_msg if the pauses can go elsewhere"


async def updates_against_a_closed_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a producer whose broker has gone asks for metadata in half a second, with something to send."""
    asked = 0
    update = AIOKafkaClient._metadata_update

    async def counted(self: AIOKafkaClient, *arguments: Any) -> bool:
        nonlocal asked
        asked += 1
        return await update(self, *arguments)

    with monkeypatch.context() as patch, socket.socket() as closed:
        patch.setattr(AIOKafkaClient, "_metadata_update", counted)
        closed.bind(("127.0.0.1", 0))
        producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
        client = producer.client
        without_a_leader = (0, "desks", [(5, 0, -1, [1], [1])])
        client.cluster.update_metadata(
            MetadataResponse_v0(brokers=[(1, *closed.getsockname())], topics=[without_a_leader])
        )
        client._sync_task = asyncio.create_task(client._md_synchronizer())
        await producer._sender.start()
        await producer.send("desks", b"", partition=0)
        await asyncio.sleep(0.5)
        producer._message_accumulator.fail_all(KafkaConnectionError())
        await producer.stop()
    return asked


async def test_an_unpatched_client_still_spins_while_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for kafka_patches: without it each client burns a core and floods the log."""
    logging.disable(logging.ERROR)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(AIOKafkaClient, "_metadata_update", inspect.unwrap(AIOKafkaClient._metadata_update))
            unpatched = await updates_against_a_closed_port(monkeypatch)
            pause_after_failed_metadata()
            patched = await updates_against_a_closed_port(monkeypatch)
    finally:
        logging.disable(logging.NOTSET)
    assert 1 <= patched <= 3
    assert unpatched > 20 * patched, "it spins no more: delete kafka_patches"


def test_the_patch_is_applied_once() -> None:
    """Every service of a process asks for it, and the pauses must not add up."""
    pause_after_failed_metadata()
    once = AIOKafkaClient._metadata_update
    pause_after_failed_metadata()
    assert once is AIOKafkaClient._metadata_update


class Clock:
    """Seconds, that pass while somebody waits."""

    now = 0.0

    def monotonic(self) -> float:
        """The time now."""
        return self.now


async def added_behind(others: int, monkeypatch: pytest.MonkeyPatch) -> float | None:
    """After how long a batch has its turn behind others that take 0.3 seconds each; none where it gives up."""
    clock = Clock()
    for module in (message_accumulator, kafka_patches):
        monkeypatch.setattr(module, "time", clock)

    class Other:
        async def wait_drain(self, timeout: float) -> None:
            clock.now += 0.3
            waiting.popleft()

    accumulator = MessageAccumulator(None, 1_000, 0, 10)
    partition = TopicPartition("submissions", 0)
    waiting = accumulator._batches[partition]
    waiting.extend([Other()] * others)
    builder = accumulator.create_builder()
    builder.append(timestamp=None, key=b"key", value=b"value")
    try:
        await accumulator.add_batch(builder, partition, 10.0)
    except KafkaTimeoutError:
        return None
    return round(clock.now, 1)


async def test_an_unpatched_producer_still_gives_up_long_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for kafka_patches: a submission that was stored was not told, because others were told meanwhile."""
    with monkeypatch.context() as patch:
        patch.setattr(MessageAccumulator, "add_batch", inspect.unwrap(MessageAccumulator.add_batch))
        unpatched = await added_behind(9, monkeypatch)
        wait_for_a_partition_as_long_as_is_said()
        patched = [await added_behind(others, monkeypatch) for others in (9, 33, 34)]
    assert unpatched is None, "it waits as long as it says: delete that part of kafka_patches"
    assert [2.7, 9.9, None] == patched


def test_asyncpg_still_asks_abstract_classes_of_each_element() -> None:
    """The reason for asyncpg_patches, and what it relies on: two names, asked only whether something is an array."""
    source = (files("asyncpg") / "protocol" / "codecs" / "array.pyx").read_bytes()
    assert "f10e68270dd9e262" == hashlib.sha256(source).hexdigest()[:16], (
        "Does it still ask IterableABC and SizedABC of every element, and nobody else ask them?"
    )
    tell_arrays_by_their_types()
    assert (ARRAYS, ARRAYS) == (protocol.IterableABC, protocol.SizedABC)
    assert all(isinstance(one, ARRAYS) for one in ([], (), {1}, {}.keys(), {}.values()))
    assert not isinstance("", ARRAYS)
