"""A step when something is away: nothing is lost, reordered or told too early."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from contracts.directory import CapacityReported, DeskListed
from services.chassis import step
from services.chassis.decoding import Record
from services.chassis.failures import Transient, Unfinished
from tests.chassis_examples import desk, effect, tell_effects, until
from tests.chassis_stepping import P0, P1, Reader, at


async def test_processed_offsets_are_committed_and_no_others(at_once: None) -> None:
    """What failed is not committed, what went before it is."""
    events = [desk(version=n + 1) for n in range(2)]
    failing = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if failing and batch[0].data.version == 2:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(events[0], 0))
    await reader.join()
    await reader.turn()
    reader.log.records.append(at(events[1], 1))
    await reader.turn()
    await reader.step.commit()
    assert {P0: 1} == reader.log.committed
    failing = False
    await reader.settle()
    await reader.step.commit()
    assert {P0: 2} == reader.log.committed


@pytest.mark.parametrize("error", [Transient("away"), KafkaTimeoutError(), ConnectionResetError(), TimeoutError()])
async def test_a_transient_failure_loses_and_reorders_nothing(at_once: None, error: Exception) -> None:
    """Everything is told in the order in which it came, after as many attempts as it takes."""
    events = [desk(version=n + 1) for n in range(8)]
    attempts = 0

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        nonlocal attempts
        attempts += 1
        if attempts < 5:
            raise error
        return await tell_effects(batch)

    in_order = [*events[0::2], *events[1::2]]  # a poll gives each partition's records together
    reader = Reader(handler, *(at(event, n // 2, partition=n % 2) for n, event in enumerate(events)))
    await reader.join()
    await reader.settle()
    assert 5 == attempts
    assert [effect(event).id for event in in_order] == reader.told
    assert [] == reader.graveyard.dead
    await reader.step.commit()
    assert {P0: 4, P1: 4} == reader.log.committed


async def test_while_it_waits_it_is_not_ready_and_polls_on_paused() -> None:
    """The group keeps this member, and whoever asks learns why nothing goes on."""

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Transient("away")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    assert "None" == reader.waiting_for
    await reader.turn()
    assert "desks: waiting to try again (1 times so far)" == reader.waiting_for
    polls = reader.log.polls
    await reader.turn()
    assert polls + 1 == reader.log.polls
    assert {P0, P1} == reader.log.paused()


async def test_after_the_pause_everything_is_read_again() -> None:
    """Also what did not fail: nothing stays paused."""
    failed, later = desk(), desk()
    away = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if away:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(failed, 0))
    await reader.join()
    await reader.turn()
    await reader.turn()
    away = False
    reader.log.records.append(at(later, 0, partition=1))
    await reader.settle()
    assert [effect(failed).id, effect(later).id] == reader.told
    assert set() == reader.log.paused()


async def test_pauses_grow_to_a_bound_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dependency that comes back is not met by everyone at once; thousands of failures overflow nothing."""
    clock = 1000.0
    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: clock))

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Transient("away")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    pauses = []
    for _ in range(1200):
        await reader.turn()
        pauses.append(reader.step._resume_at - clock)
        clock = reader.step._resume_at
    assert step.FIRST_PAUSE >= pauses[0] >= step.FIRST_PAUSE / 2
    assert step.LONGEST_PAUSE >= max(pauses[-500:]) > step.LONGEST_PAUSE * 0.9
    assert step.LONGEST_PAUSE / 2 <= min(pauses[-500:]) < step.LONGEST_PAUSE * 0.6


async def test_what_is_ready_is_told_while_the_rest_of_its_batch_waits(at_once: None) -> None:
    """Nothing of the batch is committed or buried before all of it is told."""
    waits, ready = events = [desk(), desk()]
    told_at_once: list[UUID] = []

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if not told_at_once:
            told_at_once.append(effect(ready).id)
            raise Unfinished([effect(ready)], "one must wait")
        return await tell_effects(batch)

    reader = Reader(handler, *(at(event, offset) for offset, event in enumerate(events)))
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert (told_at_once, {}) == (reader.told, reader.log.committed)
    await reader.settle()
    await reader.step.commit()
    assert [effect(ready).id, effect(waits).id, effect(ready).id] == reader.told
    assert {P0: 2} == reader.log.committed


async def test_what_waits_in_part_is_looked_at_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it must not wait for long."""
    clock = 1000.0
    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: clock))

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Unfinished([], "all must wait")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    for _ in range(50):
        await reader.turn()
        pause = reader.step._resume_at - clock
        clock = reader.step._resume_at
        assert step.LONGEST_PAUSE_UNFINISHED >= pause


async def test_records_of_a_partition_that_came_during_a_pause_are_not_lost() -> None:
    """A rebalance may bring partitions while others wait; what is polled of them is handled."""
    late = desk()
    failing = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if failing:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(desk(), 0))
    reader.log.assigned = {P0}
    await reader.join()
    await reader.turn()
    failing = False
    getmany = reader.log.getmany

    async def rebalanced(**arguments: Any) -> dict[TopicPartition, list[ConsumerRecord]]:
        reader.log.getmany = getmany  # type: ignore[method-assign]
        reader.log.assigned = {P1}
        await reader.step.on_partitions_assigned({P1})
        return await getmany(**arguments)

    reader.log.getmany = rebalanced  # type: ignore[method-assign]
    reader.log.records.append(at(late, 0, partition=1))
    await reader.settle()
    assert [effect(late).id] == reader.told


async def test_a_partition_that_went_while_it_waited_is_left_alone(at_once: None) -> None:
    """Only what is still assigned is sought and resumed; the other's records are another member's."""
    kept, gone = desk(), desk()
    failing = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        if failing:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, at(kept, 0), at(gone, 0, partition=1))
    await reader.join()
    await reader.turn()
    failing = False
    reader.log.assigned = {P0}
    await reader.settle()
    assert [effect(kept).id] == reader.told


async def test_a_new_assignment_ends_the_waiting() -> None:
    """Whoever has the partitions now tries them; one without work is not held to be waiting for ever."""

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Transient("away")

    reader = Reader(handler, at(desk(), 0))
    await reader.join()
    await reader.turn()
    await reader.step.on_partitions_assigned(set())
    assert "None" == reader.waiting_for


async def test_a_publish_that_fails_is_tried_again(at_once: None) -> None:
    """The effects are made again under the same ids, and nothing is committed before they are told."""
    event = desk()
    reader = Reader(tell_effects, at(event, 0))
    reader.publisher.failure = KafkaConnectionError()
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert {} == reader.log.committed
    await reader.settle()
    assert [effect(event).id] == reader.told


async def test_a_dead_letter_that_cannot_be_published_holds_its_batch_back(at_once: None) -> None:
    """Nothing is told or committed of a batch whose dead are not buried."""
    reader = Reader(tell_effects, at(desk(), 0), Record("desks", 0, 1, None, b"junk"))

    async def refuse(_: Sequence[tuple[Record, str]]) -> None:
        raise KafkaConnectionError

    bury, reader.graveyard.bury = reader.graveyard.bury, refuse  # type: ignore[method-assign]
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert ([], {}) == (reader.told, reader.log.committed)
    assert "waiting to try again" in reader.waiting_for
    reader.graveyard.bury = bury  # type: ignore[method-assign]
    await reader.settle()
    assert (1, 1) == (len(reader.told), len(reader.graveyard.dead))


async def test_a_handler_past_its_deadline_is_tried_again(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never answers would be expelled from its group; it is cancelled first."""
    monkeypatch.setattr(step, "HANDLER_SECONDS", 0.05)
    event = desk()
    attempts = 0

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        nonlocal attempts
        attempts += 1
        await until(lambda: attempts > 1)
        return await tell_effects(batch)

    reader = Reader(handler, at(event, 0))
    await reader.join()
    await reader.settle()
    assert [effect(event).id] == reader.told
