"""A reader without a group while its consumer fails: what passes is survived, what is broken is said."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, RequestTimedOutError

from contracts.directory import DeskListed
from contracts.envelope import Event
from contracts.topics import PARTITIONS, Topic
from services.chassis import reader as reading
from services.chassis.reader import Reader, Tombstone
from tests.chassis_examples import NOWHERE, desk, until
from tests.recording import record_of

FIRST = TopicPartition("t-desks", 0)


class Consumer:
    """aiokafka's consumer over a topic with one record, which fails in turn as it is told to."""

    def __init__(self, failures: list[Exception], event: DeskListed, **_: Any) -> None:
        self._failures = failures
        self._records = [event]
        self._assigned: list[TopicPartition] = []
        self.stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._assigned = partitions

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        assert list(partitions) == self._assigned

    async def position(self, _: TopicPartition) -> int:
        return 0

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        await asyncio.sleep(0)
        if self._failures:
            raise self._failures.pop(0)
        records, self._records = self._records, []
        found = [record_of(event) for event in records]
        return {
            FIRST: [
                ConsumerRecord(FIRST.topic, 0, one.offset, 0, 1, one.key, one.value, None, 0, 0, tuple(one.headers))
                for one in found
            ]
        }


def following(
    monkeypatch: pytest.MonkeyPatch, failures: list[Exception], event: DeskListed, read: list[Event | Tombstone]
) -> tuple[Reader, list[Consumer]]:
    """A reader of desks, and the consumers that it has made."""
    made: list[Consumer] = []

    def consumer(**arguments: Any) -> Consumer:
        made.append(Consumer(failures, event, **arguments))
        return made[-1]

    def apply(several: Sequence[Event | Tombstone]) -> None:
        read.extend(several)

    monkeypatch.setattr(reading, "AIOKafkaConsumer", consumer)
    monkeypatch.setattr(reading, "AGAIN_SECONDS", 0.0)
    return Reader("gateway", NOWHERE.client(), "t-", [Topic.DESKS], [DeskListed], apply, since="beginning"), made


@pytest.mark.parametrize("error", [RequestTimedOutError(), KafkaError("a coordinator died"), ConnectionResetError()])
async def test_a_failure_that_passes_is_survived(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """It goes on where it was, and stays ready: whether Kafka answers is asked elsewhere."""
    read: list[Event | Tombstone] = []
    event = desk()
    reader, _ = following(monkeypatch, [error, error], event, read)
    await reader.start()
    await until(lambda: read)
    assert [event] == read
    assert reader.waiting_for is None
    await reader.stop()


async def test_a_failure_that_does_not_pass_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stopped is not ready, for what it keeps is no longer true."""
    reader, _ = following(monkeypatch, [KeyError("x")], desk(), [])
    await reader.start()
    await until(lambda: reader.waiting_for)
    assert "desks: stopped following" == reader.waiting_for
    await reader.stop()


async def test_before_its_start_it_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been read yet."""
    reader, _ = following(monkeypatch, [], desk(), [])
    assert "desks: still reading what was there at the start" == reader.waiting_for


async def test_a_start_that_is_tried_again_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt has a consumer of its own, and closes the last."""
    reader, made = following(monkeypatch, [], desk(), [])

    async def fail(*_: Any) -> dict[TopicPartition, int]:
        raise RequestTimedOutError

    with monkeypatch.context() as patch:
        patch.setattr(Consumer, "end_offsets", fail)
        with pytest.raises(RequestTimedOutError):
            await reader.start()
    await reader.start()
    assert [True, False] == [one.stopped for one in made]
    await reader.stop()
    assert [True, True] == [one.stopped for one in made]


async def test_every_partition_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a group nobody else reads any of them."""
    reader, made = following(monkeypatch, [], desk(), [])
    await reader.start()
    assert [TopicPartition("t-desks", number) for number in range(PARTITIONS)] == made[0]._assigned
    await reader.stop()
