"""A step that meets a bug: which record it is, what is told of the rest, and when the service stops."""

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from contracts.directory import CapacityReported, DeskListed
from services.chassis import step
from services.chassis.decoding import Record
from services.chassis.failures import Transient
from tests.chassis_examples import desk, effect, tell_effects
from tests.chassis_stepping import P0, P1, Reader, at, numbered, records_of


class Buggy:
    """A handler that raises where it is told to, and counts how often each version was tried by itself."""

    def __init__(self, fails: Callable[[list[int]], bool]) -> None:
        self._fails = fails
        self.alone: Counter[int] = Counter()

    async def __call__(self, events: Sequence[DeskListed]) -> list[CapacityReported]:
        versions = [event.data.version for event in events]
        if len(versions) == 1:
            self.alone.update(versions)
        if self._fails(versions):
            raise KeyError("Ada SENTINEL 9000000009")
        return await tell_effects(events)


async def test_a_record_that_meets_a_bug_is_buried_and_the_rest_is_told_in_order() -> None:
    """The batch is halved until it is alone, and it is tried three times before it is given up."""
    events = numbered(100)
    handler = Buggy(lambda versions: 37 in versions)
    reader = Reader(handler, *records_of(events))
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert [effect(event).id for event in events if event.data.version != 37] == reader.told
    assert [36] == [record.offset for record, _ in reader.graveyard.dead]
    assert 3 == handler.alone[37]
    assert {P0: 100} == reader.log.committed
    assert "None" == reader.waiting_for


async def test_why_a_bug_buried_a_record_quotes_nothing(logged: io.StringIO) -> None:
    """Kind and place of the error, not a word of the exception, which may quote a patient."""
    reader = Reader(Buggy(lambda _: True), at(desk(), 0))
    await reader.turn()
    ((_, why),) = reader.graveyard.dead
    assert why.startswith("a bug, 3 times alone: KeyError at test_chassis_step_bugs.py:")
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert ["bug", "bug", "bug", "buried"] == [line["event"] for line in lines]
    assert "SENTINEL" not in logged.getvalue() + why


async def test_records_that_fail_only_together_are_told_apart() -> None:
    """No record is at fault, so none is buried."""
    events = numbered(8)
    reader = Reader(Buggy(lambda versions: {2, 7} <= set(versions)), *records_of(events))
    await reader.turn()
    assert [effect(event).id for event in events] == reader.told
    assert [] == reader.graveyard.dead


async def test_a_record_that_succeeds_at_its_third_try_is_told() -> None:
    """What fails now and then is not given up at once."""
    event = desk(version=1)
    handler = Buggy(lambda _: handler.alone[1] < 3)
    reader = Reader(handler, at(event, 0))
    await reader.turn()
    assert ([effect(event).id], []) == (reader.told, reader.graveyard.dead)


async def test_a_handler_that_fails_on_everything_stops_the_service() -> None:
    """Not ready with a reason, offsets kept, nothing buried: it is the release that is bad, and not 500 records."""
    handler = Buggy(lambda _: True)
    reader = Reader(handler, *records_of(numbered(500)))
    await reader.join()
    await reader.turn()
    await reader.turn()
    await reader.step.commit()
    assert ([], [], {}) == (reader.told, reader.graveyard.dead, reader.log.committed)
    assert "booking failed on desks: KeyError at test_chassis_step_bugs.py:" in str(reader.breaker.reason)
    assert "SENTINEL" not in str(reader.breaker.reason)
    assert {1: 3, 2: 3, 3: 3, 4: 3, 5: 3, 6: 3} == handler.alone
    assert {P0, P1} == reader.log.paused()


async def test_bugs_that_come_one_by_one_stop_the_service_at_the_sixth() -> None:
    """Five in a minute are buried; the sixth record is kept for the next release."""
    reader = Reader(Buggy(lambda _: True))
    await reader.join()
    for record in records_of(numbered(8)):
        reader.log.records.append(record)
        await reader.turn()
        await reader.step.commit()
    assert [0, 1, 2, 3, 4] == [record.offset for record, _ in reader.graveyard.dead]
    assert {P0: 5} == reader.log.committed
    assert "KeyError" in str(reader.breaker.reason)


async def test_bugs_of_more_than_a_minute_ago_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day's odd record now and then must not stop the service in the end."""
    clock = 1000.0
    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: clock))
    reader = Reader(Buggy(lambda _: True))
    for record in records_of(numbered(20)):
        clock += 12.1
        reader.log.records.append(record)
        await reader.turn()
    assert 20 == len(reader.graveyard.dead)
    assert reader.breaker.reason is None


async def test_bugs_count_for_the_whole_service() -> None:
    """Its readers share a breaker: six bugs on six topics are a bad release too, and it stops as one."""
    first, second = (Reader(Buggy(lambda _: True), *records_of(numbered(5))) for _ in range(2))
    second.step._breaker = first.breaker
    whole = Reader(tell_effects, at(desk(), 0))
    whole.step._breaker = first.breaker
    for reader in (first, second, whole):
        await reader.turn()
    assert (5, 0) == (len(first.graveyard.dead), len(second.graveyard.dead))
    assert [] == whole.told


async def test_what_is_away_amid_a_bug_puts_the_whole_batch_off(at_once: None) -> None:
    """Nothing is buried for a bug, nor counted, before everything else of its batch is told."""
    events = numbered(8)
    away = True

    async def handler(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        versions = [event.data.version for event in batch]
        if 2 in versions:
            raise KeyError
        if away and 7 in versions:
            raise Transient("away")
        return await tell_effects(batch)

    reader = Reader(handler, *records_of(events))
    await reader.join()
    for _ in range(7):
        await reader.turn()
    assert [] == reader.graveyard.dead
    away = False
    await reader.settle()
    assert [1] == [record.offset for record, _ in reader.graveyard.dead]
    assert {effect(event).id for event in events if event.data.version != 2} == set(reader.told)
    assert reader.breaker.reason is None


async def test_a_record_whose_burial_meets_a_bug_stops_the_service() -> None:
    """It can be neither used nor kept, so it stays where it is."""
    reader = Reader(tell_effects, Record("desks", 0, 0, None, b"junk"))

    async def refuse(_: Sequence[tuple[Record, str]]) -> None:
        raise MessageSizeTooLargeError

    reader.graveyard.bury = refuse  # type: ignore[method-assign]
    await reader.join()
    await reader.turn()
    await reader.step.commit()
    assert {} == reader.log.committed
    assert "booking failed on desks: MessageSizeTooLargeError" in str(reader.breaker.reason)
