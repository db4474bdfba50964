"""The step by itself: what is handled, buried, told and committed, and when it is ready."""

import io
import json
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from aiokafka.errors import KafkaConnectionError

from contracts.directory import CapacityReported, DeskListed
from services.chassis import step
from services.chassis.decoding import Record
from services.chassis.failures import Poison
from services.chassis.step import EffectsShareId
from tests.chassis_examples import desk, effect, tell_effects
from tests.chassis_stepping import P0, P1, Reader, at

# One batch


async def test_what_the_handler_tells_of_a_batch_is_published() -> None:
    """Events in, effects out, in order."""
    first, second = desk(), desk()
    reader = Reader(tell_effects)
    await reader.step.run([at(first, 0), at(second, 1)])
    assert [effect(first).id, effect(second).id] == reader.told


async def test_poison_buries_that_record_and_the_rest_is_told() -> None:
    """A declared fault of one record costs only that record."""
    good, bad, also_good = desk(), desk(), desk()

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        if bad in events:
            raise Poison(bad.id, "no such service")
        return await tell_effects(events)

    reader = Reader(handler)
    await reader.step.run([at(good, 0), at(bad, 1), at(also_good, 2)])
    assert [effect(good).id, effect(also_good).id] == reader.told
    assert [(at(bad, 1), "no such service")] == reader.graveyard.dead


async def test_several_poisons_of_one_batch_are_buried_one_after_another() -> None:
    """The handler is asked again without each, until it tells of what is left."""
    events = [desk(version=n + 1) for n in range(6)]

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        for event in batch:
            if event.data.version % 2:
                raise Poison(event.id, "odd")
        return await tell_effects(batch)

    reader = Reader(handler)
    await reader.step.run([at(event, n) for n, event in enumerate(events)])
    assert [effect(event).id for event in events[1::2]] == reader.told
    assert [0, 2, 4] == [record.offset for record, _ in reader.graveyard.dead]


async def test_a_batch_that_is_all_poison_asks_the_handler_no_more() -> None:
    """A handler is never given an empty batch."""

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Poison(events[0].id, "no")

    reader = Reader(handler)
    await reader.step.run([at(desk(), 0), at(desk(), 1)])
    assert 2 == len(reader.graveyard.dead)


async def test_an_unreadable_record_is_buried_and_the_rest_is_told() -> None:
    """What cannot be decoded never reaches the handler."""
    good = desk()
    bad = Record("desks", 0, 1, b"RX1", b"junk", (("type", b"desk.listed"),))
    reader = Reader(tell_effects)
    await reader.step.run([at(good, 0), bad])
    assert [effect(good).id] == reader.told
    assert [bad] == [record for record, _ in reader.graveyard.dead]


async def test_poison_of_a_record_that_is_not_in_the_batch_is_a_bug() -> None:
    """Otherwise the handler would be asked for ever."""

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise Poison(uuid4(), "whose?")

    with pytest.raises(RuntimeError, match="not in its batch"):
        await Reader(handler).step.run([at(desk(), 0)])


async def test_an_event_that_comes_twice_in_a_batch_is_handled_once() -> None:
    """A duplicate is normal life; what stands beside it is handled too, in order."""
    first, second = desk(), desk()
    handled: list[UUID] = []

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        handled.extend(event.id for event in events)
        return await tell_effects(events)

    reader = Reader(handler)
    await reader.step.run([at(first, 0), at(second, 1), at(first, 2)])
    assert [first.id, second.id] == handled
    assert [effect(first).id, effect(second).id] == reader.told


async def test_two_effects_under_one_id_are_a_bug() -> None:
    """Readers deduplicate by id and would lose one of them, so nothing is told."""

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        return [effect(events[0]), effect(events[0])]

    reader = Reader(handler)
    with pytest.raises(EffectsShareId):
        await reader.step.run([at(desk(), 0)])
    assert [] == reader.told


# Commits and stopping


async def test_a_failed_commit_is_made_up_for_by_the_next() -> None:
    """What was processed stays to be committed."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    await reader.turn()
    reader.log.refusal = KafkaConnectionError()
    await reader.step.commit()
    reader.log.refusal = None
    await reader.step.commit()
    assert {P0: 1} == reader.log.committed


async def test_offsets_of_a_partition_that_went_are_not_committed() -> None:
    """The member that has it now knows better."""
    reader = Reader(tell_effects, at(desk(), 0), at(desk(), 0, partition=1))
    await reader.join()
    await reader.turn()
    reader.log.assigned = {P1}
    await reader.step.commit()
    assert {P1: 1} == reader.log.committed


async def test_offsets_from_before_a_rebalance_are_forgotten() -> None:
    """A partition that went and came back is read from the group's offset, and no older one is committed over it."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    await reader.turn()
    await reader.join()
    await reader.step.commit()
    assert {} == reader.log.committed


async def test_a_revocation_commits_what_was_processed() -> None:
    """So that the next member repeats nothing."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    await reader.turn()
    await reader.step.on_partitions_revoked({P0})
    assert {P0: 1} == reader.log.committed


async def test_a_revocation_waits_for_the_batch_only_so_long(
    monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    """The group waits for every member: a slow batch is repeated elsewhere rather than everyone held up."""
    monkeypatch.setattr(step, "REVOCATION_SECONDS", 0.01)
    reader = Reader(tell_effects)
    async with reader.step._running:
        await reader.step.on_partitions_revoked({P0})
    assert "revoked_in_mid_batch" == json.loads(logged.getvalue())["event"]


async def test_while_it_drains_it_begins_no_batch() -> None:
    """What is polled after the last commit would be repeated by the next member."""
    reader = Reader(tell_effects, at(desk(), 0))
    await reader.join()
    polled = await reader.step.poll(reader.log, 500)
    reader.step.draining = True
    await reader.step.consume(polled, reader.handler)
    await reader.turn()
    await reader.step.flush()
    assert ([], {}) == (reader.told, reader.log.committed)


# Readiness


async def test_before_it_has_joined_its_group_it_is_not_ready() -> None:
    """The first assignment says that it reads."""
    reader = Reader(tell_effects)
    assert "desks: joining its group" == reader.waiting_for
    await reader.join()
    assert "None" == reader.waiting_for


async def test_one_that_no_longer_polls_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever became of its loop, it says so."""
    reader = Reader(tell_effects)
    await reader.join()
    reader.step.last_alive -= step.ALIVE_SECONDS + 2
    assert "desks: no poll for 7 s" == reader.waiting_for


async def test_a_long_batch_is_not_taken_for_silence() -> None:
    """A handler within its deadline is at work."""
    reader = Reader(tell_effects)
    await reader.join()
    async with reader.step._running:
        reader.step.last_alive -= step.ALIVE_SECONDS + 2
        assert "None" == reader.waiting_for
        reader.step.last_alive -= step.HANDLER_SECONDS
        assert "desks: no poll for 67 s" == reader.waiting_for
