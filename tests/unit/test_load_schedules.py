"""Schedules of load: the right number of requests, at the right moments, decided by the seed alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.schedules import DAY_SECONDS, Piece, Schedule

RATES = st.floats(0, 500)
PIECES = st.lists(st.builds(Piece, st.floats(0.5, 30), RATES, RATES), min_size=1, max_size=6).map(tuple)


def test_a_constant_rate_leaves_evenly():
    """Four a second for a second: every quarter, the first at once."""
    assert [0, 0.25, 0.5, 0.75] == list(Schedule.constant(4, 1).moments(1))


def test_a_ramp_sends_more_and_more():
    """From none to 8 a second in 4 seconds: 16 requests, a quarter of them in the first half of the time."""
    moments = list(Schedule.ramp(0, 8, 4).moments(1))
    assert 16 == len(moments)
    assert 4 == sum(at < 2 for at in moments)


def test_steps_hold_each_rate_for_its_time():
    """Each step sends its own rate."""
    moments = list(Schedule.steps([10, 30, 20], 2).moments(1))
    assert [20, 60, 40] == [sum(begin <= at < begin + 2 for at in moments) for begin in (0, 2, 4)]


def test_a_day_has_all_its_events_and_follows_its_hours():
    """The events add up, and an hour that weighs twice as much as another has about twice as many."""
    day = Schedule.day(12_000, [1] * 12 + [2] * 12, "even")
    assert pytest.approx(12_000) == day.requests
    assert pytest.approx(DAY_SECONDS) == day.seconds
    assert pytest.approx(2) == day.rate(15 * 3600) / day.rate(5 * 3600)
    assert 12_000 == len(list(day.moments(1)))


def test_a_burst_leaves_at_once():
    """All moments of a burst are the beginning."""
    assert [0.0] * 5 == list(Schedule.burst(5).moments(1))


def test_poisson_arrivals_are_the_seeds():
    """The same seed gives the same moments, another seed others; their number varies as that of a Poisson process."""
    schedule = Schedule.constant(100, 100, "poisson")
    assert list(schedule.moments(7)) == list(schedule.moments(7))
    assert list(schedule.moments(7)) != list(schedule.moments(8))
    counts = [sum(1 for _ in schedule.moments(seed)) for seed in range(30)]
    assert 10_000 == pytest.approx(sum(counts) / 30, rel=0.01)
    mean = sum(counts) / 30
    assert 10_000 == pytest.approx(sum((one - mean) ** 2 for one in counts) / 29, rel=0.8)


def test_gaps_of_poisson_arrivals_do_not_depend_on_what_came_before():
    """A gap is longer than its mean with probability 1/e."""
    gaps = [later - earlier for earlier, later in pairwise(Schedule.constant(10, 1000, "poisson").moments(3))]
    assert 0.368 == pytest.approx(sum(gap > 0.1 for gap in gaps) / len(gaps), abs=0.02)


def test_shortened_keeps_the_rate_and_faster_keeps_the_requests():
    """A tenth of the time is a tenth of the requests; ten times as fast is all of them in a tenth of the time."""
    day = Schedule.day(24_000, [1, 2, 3] * 8, "even")
    short, fast, more = day.shortened(10), day.faster(10), day.times(2)
    assert pytest.approx([day.seconds / 10, 2_400, day.rate(40_000)]) == [
        short.seconds,
        short.requests,
        short.rate(4_000),
    ]
    assert pytest.approx([day.seconds / 10, 24_000]) == [fast.seconds, fast.requests]
    assert pytest.approx([day.seconds, 48_000]) == [more.seconds, more.requests]


@given(PIECES)
def test_even_arrivals_are_in_order_within_the_time_and_as_many_as_are_due(pieces):
    """Whatever the pieces are."""
    schedule = Schedule(pieces)
    moments = list(schedule.moments(1))
    assert moments == sorted(moments)
    assert all(0 <= at <= schedule.seconds + 1e-6 for at in moments)
    assert schedule.requests == pytest.approx(len(moments), abs=1)


@given(st.builds(Piece, st.floats(0.5, 30), RATES, RATES), st.floats(0, 1))
def test_a_piece_says_when_so_many_are_due(piece, part):
    """The area under the rate, up to that moment, is what is due."""
    if piece.requests < 1e-6:
        return
    at = piece.when(piece.requests * part)
    rate = piece.begins + (piece.ends - piece.begins) * at / piece.seconds
    assert piece.requests * part == pytest.approx((piece.begins + rate) / 2 * at, rel=1e-6, abs=1e-6)
