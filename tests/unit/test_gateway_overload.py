"""When one more submission could not be answered in time."""

from collections import deque
from uuid import UUID, uuid4

import pytest

from contracts.topics import Topic
from services.gateway.backlog import STALE_SECONDS, TO_AN_OUTCOME, Backlog
from services.gateway.outstanding import Outstanding
from services.gateway.overload import FEW, Limits, Pace, Refusal
from tests.gateway_examples import confirmed

LIMITS = Limits(unsettled=10, unsettled_at_once=5, behind_seconds=3)


@pytest.mark.parametrize(
    ("unsettled", "behind", "at_once", "expected"),
    [
        (9, 3.0, False, None),
        (10, 0.0, False, Refusal("10 wait for their answer already.", 1)),
        (10, 2.2, False, Refusal("10 wait for their answer already.", 3)),
        (4, 0.0, True, None),
        (5, 0.0, True, Refusal("5 wait for their answer already.", 1)),
        (5, 0.0, False, None),
        (0, 3.1, False, Refusal("Answers are 3 seconds behind.", 4)),
        (0, 900.0, False, Refusal("Answers are 900 seconds behind.", 30)),
    ],
)
def test_either_limit_refuses(unsettled: int, behind: float, at_once: bool, expected: Refusal | None) -> None:
    """By count, lower for those who do not wait; by how far answers are behind; with when to come again."""
    assert expected == LIMITS.refusal(unsettled=unsettled, behind_seconds=behind, at_once=at_once)


def test_a_group_that_keeps_up_is_not_behind() -> None:
    """Nothing left is nothing behind, however long nothing comes."""
    pace = Pace()
    assert [0.0, 0.0, 0.0] == [pace.seconds_behind(now, 100, 100) for now in (0.0, 1.0, 60.0)]


def test_a_group_that_works_is_behind_by_its_pace() -> None:
    """400 left at 200 a second are 2 seconds."""
    pace = Pace()
    for now in range(3):
        pace.seconds_behind(float(now), 1000, 200 * now)
    assert 2.0 == pace.seconds_behind(3.0, 1000, 600)


def test_a_group_that_stands_is_behind_since_it_stands() -> None:
    """From the first look at which it had something left, but for a second in which it may have done it already."""
    pace = Pace()
    pace.seconds_behind(0.0, 50, 50)
    assert [0.0, 0.0, 8.0] == [pace.seconds_behind(now, 60, 50) for now in (100.0, 101.0, 109.0)]


def test_a_group_that_moves_again_is_behind_by_its_pace_again() -> None:
    """The old pace is forgotten."""
    pace = Pace()
    for now in range(20):
        pace.seconds_behind(float(now), 100, 0)
    pace.seconds_behind(20.0, 100, 50)
    assert 1.0 == pace.seconds_behind(21.0, 100, 75)


def test_a_few_that_are_left_by_a_group_that_moves_say_nothing() -> None:
    """One that comes every three seconds and is not committed yet is not three seconds of work; one that stays is."""
    pace = Pace()
    behind = [pace.seconds_behind(float(now), now // 3 + 1, now // 3 + (now % 3 > 0)) for now in range(12)]
    stuck = [pace.seconds_behind(float(now), 5, 4) for now in range(12, 20)]
    assert ([0.0] * 12, 6.0) == (behind, stuck[-1])


def test_what_came_since_the_last_look_is_not_behind() -> None:
    """Of 45 that came to a group without work 5 are committed: its pace of late was that of nothing to do."""
    pace = Pace()
    for now in range(10):
        pace.seconds_behind(float(now), 1_000, 1_000)
    assert 0.0 == pace.seconds_behind(10.0, 1_050, 1_005)


def test_a_burst_upon_an_idle_group_is_behind_for_as_long_as_it_waits() -> None:
    """Two seconds later its first have waited for one, whatever the little that was done before."""
    pace = Pace()
    for now in range(10):
        pace.seconds_behind(float(now), 1_000 + now, 1_000 + now)
    looks = [(10.0, 2_000, 1_010), (11.0, 2_000, 1_300), (12.0, 2_000, 1_500)]
    assert [0.0, 0.0, 1.0] == [pace.seconds_behind(*look) for look in looks]


def test_the_first_records_of_a_group_are_not_behind() -> None:
    """It has committed nothing yet, then a part."""
    pace = Pace()
    looks = [(0.0, 0, 0), (1.0, 30, 0), (2.0, 80, 30)]
    assert [0.0, 0.0, 0.0] == [pace.seconds_behind(*look) for look in looks]


def test_a_commit_that_is_late_is_behind_by_no_more_than_it_is_late() -> None:
    """50 a second come and are committed until the third second, then nothing is for a while."""
    pace = Pace()
    committed = [0, 50, 100, 100, 100, 100, 290]
    behind = [pace.seconds_behind(float(now), 50 * now, done) for now, done in enumerate(committed)]
    assert [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0] == behind


def test_groups_that_commit_a_second_late_are_not_behind() -> None:
    """20 a second come, and at each look those of the second before are not committed: as on a busy machine."""
    pace = Pace()
    assert {0.0} == {pace.seconds_behind(float(now), 20 * (now + 1), 20 * max(0, now - 1)) for now in range(20)}


async def test_a_backlog_adds_up_all_hops_and_goes_stale() -> None:
    """A submission waits at each of them; what was seen too long ago does not count."""
    now, done = 0.0, 0

    async def progress(_reader: str, _topic: Topic) -> tuple[int, int]:
        return 250, done

    backlog = Backlog(progress, TO_AN_OUTCOME, lambda: now)
    for _ in range(4):
        await backlog.look()
        now, done = now + 1.0, done + 50
    now -= 1.0
    assert 3 * 2.0 == backlog.seconds()
    now += STALE_SECONDS
    assert 0.0 == backlog.seconds()


class Clock:
    """Seconds, set by the test."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def begun(outstanding: Outstanding, clock: Clock, count: int) -> list[UUID]:
    """So many submissions, a second apart, and the time after them."""
    ids = [uuid4() for _ in range(count)]
    for one in ids:
        outstanding.begin(one)
        clock.now += 1.0
    return ids


def test_the_oldest_that_is_not_stuck_says_how_far_answers_are_behind() -> None:
    """One that was overtaken by another that began more than three seconds later is stuck by itself."""
    clock = Clock()
    outstanding = Outstanding(1000, clock)
    ids = begun(outstanding, clock, FEW + 8)
    assert float(FEW + 8) == outstanding.seconds_behind()
    outstanding.settle([confirmed(ids[6], uuid4())])
    assert float(FEW + 8 - 4) == outstanding.seconds_behind()


def test_what_piles_up_is_behind_by_the_pace_of_answers() -> None:
    """90 wait and 20 a second are answered: four and a half seconds, though the oldest has waited for three."""
    clock = Clock()
    outstanding = Outstanding(1000, clock)
    ids = [uuid4() for _ in range(140)]
    for one in ids:
        outstanding.begin(one)
    for answered in (ids[:10], ids[10:30], ids[30:50]):
        clock.now += 1.0
        outstanding.settle([confirmed(one, uuid4()) for one in answered])
    assert 4.5 == outstanding.seconds_behind()


def test_what_is_stuck_by_itself_does_not_pile_up() -> None:
    """60 that nobody answers, and 20 that came since: those count, at 10 answers a second."""
    clock = Clock()
    outstanding = Outstanding(1000, clock)
    for _ in range(60):
        outstanding.begin(uuid4())
    for _ in range(10):
        clock.now += 1.0
        ids = [uuid4() for _ in range(30 if clock.now == 9 else 10)]
        for one in ids:
            outstanding.begin(one)
        outstanding.settle([confirmed(one, uuid4()) for one in ids[:10]])
    assert 2.0 == outstanding.seconds_behind()


def test_three_times_what_can_be_answered_is_taken_in_by_a_third() -> None:
    """Nobody who is let in waits much longer than the limit, and there is always something to answer."""
    clock = Clock()
    outstanding = Outstanding(1000, clock)
    waiting: deque[tuple[UUID, float]] = deque()
    waits, idle = [], 0
    for tick in range(20 * 200):  # 20 seconds; 600 come and 200 can be answered in each
        clock.now = tick / 200
        for _ in range(3):
            if LIMITS.refusal(unsettled=0, behind_seconds=outstanding.seconds_behind(), at_once=False) is None:
                waiting.append((uuid4(), clock.now))
                outstanding.begin(waiting[-1][0])
        if waiting:
            one, since = waiting.popleft()
            waits.append(clock.now - since)
            outstanding.settle([confirmed(one, uuid4())])
        else:
            idle += 1
    assert 0 == idle
    assert 3.5 > max(waits)


def test_a_few_that_wait_say_nothing() -> None:
    """A handful is always let in, and shows whether answers come."""
    clock = Clock()
    outstanding = Outstanding(1000, clock)
    begun(outstanding, clock, FEW - 1)
    clock.now += 100
    assert 0.0 == outstanding.seconds_behind()


def test_what_nobody_may_be_booked_on_is_forgotten() -> None:
    """Else what is stuck would take the room for good."""
    clock = Clock()
    outstanding = Outstanding(10, clock)
    begun(outstanding, clock, 5)
    clock.now = 13.5
    begun(outstanding, clock, 1)
    assert 2 == len(outstanding)


def test_what_is_recalled_stands_in_the_order_of_its_age() -> None:
    """What began here meanwhile keeps its own time."""
    clock = Clock()
    clock.now = 50.0
    outstanding = Outstanding(1000, clock)
    [here] = begun(outstanding, clock, 1)
    older, oldest = uuid4(), uuid4()
    outstanding.recall([(older, 20.0), (oldest, 30.0), (here, 900.0)])
    clock.now = 60.0
    assert ([oldest, older], [oldest, older, here]) == (outstanding.older_than(20), outstanding.older_than(0))
