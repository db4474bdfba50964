"""Readers that nobody waits for stand back in a rush: when, for how long, and what they do meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from contracts.directory import DeskListed
from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis.giving_way import FEW, LONGEST_SECONDS, MANY, GivingWay
from services.chassis.service import Service
from tests.chassis_examples import settings, until
from tests.chassis_stepping import P0, Reader, numbered, records_of

OLD = 60.0
"""Seconds: of a record that has waited."""


async def never() -> int:
    raise AssertionError("nobody asks")


@pytest.fixture
def giving_way() -> GivingWay:
    made = GivingWay("referrals", never)
    made.joins("triage")
    made.joins("bookings")
    return made


def test_they_stand_back_while_many_records_wait_for_others(giving_way: GivingWay) -> None:
    giving_way.look(MANY, now=0.0)
    assert not giving_way.stands_back
    giving_way.look(MANY + 1, now=1.0)
    assert giving_way.stands_back
    giving_way.look(FEW + 1, now=2.0)
    assert giving_way.stands_back
    giving_way.look(FEW, now=3.0)
    assert not giving_way.stands_back


def test_they_stand_back_no_longer_than_is_said_and_then_catch_up_first(giving_way: GivingWay) -> None:
    giving_way.look(MANY + 1, now=0.0)
    giving_way.look(MANY + 1, now=LONGEST_SECONDS - 0.1)
    assert giving_way.stands_back
    giving_way.look(MANY + 1, now=LONGEST_SECONDS)
    assert not giving_way.stands_back
    giving_way.has_read("triage", OLD, more_waits=True)
    giving_way.has_read("bookings", 0.1, more_waits=False)
    giving_way.look(MANY + 1, now=20.0)
    assert not giving_way.stands_back, "one of them has not caught up"
    giving_way.has_read("triage", None, more_waits=False)
    giving_way.look(MANY + 1, now=21.0)
    assert giving_way.stands_back


def test_they_go_on_at_once_when_somebody_waits_and_catch_up_first(giving_way: GivingWay) -> None:
    giving_way.look(MANY + 1, now=0.0)
    giving_way.is_waited_for()
    assert not giving_way.stands_back
    giving_way.look(MANY + 1, now=1.0)
    assert not giving_way.stands_back


async def test_how_far_others_are_behind_is_asked_only_while_more_waits_than_a_reader_takes() -> None:
    answers = iter([MANY + 1, MANY + 1, 0])
    asked = 0

    async def behind() -> int:
        nonlocal asked
        asked += 1
        return next(answers)

    giving_way = GivingWay("referrals", behind)
    watching = asyncio.create_task(giving_way.watch())
    giving_way.has_read("triage", OLD, more_waits=False)
    await asyncio.sleep(0)
    assert asked == 0
    giving_way.has_read("triage", OLD, more_waits=True)
    await until(lambda: giving_way.stands_back)
    await asyncio.wait_for(giving_way.turn(20.0), 10.0)
    assert not giving_way.stands_back
    assert asked == 3
    watching.cancel()


async def test_who_cannot_ask_does_not_stand_back() -> None:
    answers = iter([MANY + 1])

    async def behind() -> int:
        for answer in answers:
            return answer
        raise KafkaConnectionError

    giving_way = GivingWay("referrals", behind)
    watching = asyncio.create_task(giving_way.watch())
    giving_way.has_read("triage", OLD, more_waits=True)
    await until(lambda: giving_way.stands_back)
    with pytest.raises(KafkaConnectionError):
        await watching
    assert not giving_way.stands_back


def test_nobody_stands_back_who_has_cores_of_its_own() -> None:
    booking = ("booking", Topic.DESKS)
    assert Service("referrals", settings()).gives_way(booking) is None
    assert Service("referrals", settings().model_copy(update={"gives_way": True})).gives_way(booking) is not None


async def test_a_reader_that_stands_back_processes_nothing_and_is_alive_all_the_same() -> None:
    giving_way = GivingWay("booking", never)
    reader = Reader(_keep([]), *records_of(numbered(3)), giving_way=giving_way)
    await reader.join()
    giving_way.look(MANY + 1, now=0.0)
    reader.step.last_alive = 0.0
    assert await reader.turn() == 0
    assert reader.log.polls == 0
    assert reader.step.last_alive > 0
    giving_way.look(0, now=1.0)
    assert await reader.turn() == 3


async def test_it_looks_through_what_comes_and_reads_it_again_from_the_first_when_it_is_its_turn() -> None:
    kept: list[Event] = []
    giving_way = GivingWay("booking", never)
    desks = numbered(1_200)
    reader = Reader(_keep(kept), *map(_untyped, records_of(desks)), giving_way=giving_way, waited_for=[DeskListed])
    await reader.join()
    assert await reader.turn() == 500
    giving_way.look(MANY + 1, now=0.0)
    assert await reader.turn() == 0
    assert reader.log.positions[P0] == 1_200
    await reader.step.commit()
    assert reader.log.committed == {P0: 500}, "what was looked through was not processed"
    giving_way.look(0, now=1.0)
    await reader.settle()
    assert [event.id for event in kept] == [desk.id for desk in desks]


async def test_what_somebody_waits_for_ends_it_and_all_before_it_is_read_first() -> None:
    kept: list[Event] = []
    giving_way = GivingWay("booking", never)
    desks = numbered(3)
    *before, asked = records_of(desks)
    reader = Reader(_keep(kept), *map(_untyped, before), asked, giving_way=giving_way, waited_for=[DeskListed])
    await reader.join()
    giving_way.look(MANY + 1, now=0.0)
    assert await reader.turn() == 0
    assert not giving_way.stands_back
    assert await reader.turn() == 3
    assert [event.id for event in kept] == [desk.id for desk in desks]


async def test_what_somebody_waits_for_keeps_readers_from_standing_back_until_they_have_caught_up() -> None:
    giving_way = GivingWay("booking", never)
    reader = Reader(_keep([]), *records_of(numbered(1)), giving_way=giving_way, waited_for=[DeskListed])
    await reader.join()
    assert await reader.turn() == 1
    giving_way.look(MANY + 1, now=0.0)
    assert not giving_way.stands_back
    assert await reader.turn() == 0
    giving_way.look(MANY + 1, now=1.0)
    assert giving_way.stands_back


async def test_after_a_rebalance_it_begins_where_the_group_is() -> None:
    giving_way = GivingWay("booking", never)
    reader = Reader(_keep([]), *map(_untyped, records_of(numbered(2))), giving_way=giving_way, waited_for=[DeskListed])
    await reader.join()
    giving_way.look(MANY + 1, now=0.0)
    await reader.turn()
    reader.log.positions[P0] = 1  # another member has committed the first meanwhile
    await reader.join()
    giving_way.look(0, now=1.0)
    assert await reader.turn() == 1


def _keep(kept: list[Event]) -> Any:
    async def keep(events: Sequence[Event]) -> Sequence[Event]:
        kept.extend(events)
        return []

    return keep


def _untyped(record: Any) -> Any:
    """A record whose header does not say what it is."""
    return replace(record, headers=())
