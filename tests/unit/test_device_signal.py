"""Signal by schedule and at random."""

import random
from datetime import time
from itertools import islice, pairwise

import pytest

from services.device.signal import Gap, NotASpell, Signal, at_random, by_schedule


def test_a_scheduled_spell_is_without_signal_every_day() -> None:
    """08:00-08:20 of a shift that begins at 07:00: gone from the first hour on for twenty minutes, and the next day."""
    signal = Signal(by_schedule(["08:00-08:20"], time(7)))

    seen = [signal.at(seconds) for seconds in (0, 3599, 3600, 4799, 4800, 24 * 3600 + 3600)]

    assert [(True, 3600), (True, 1), (False, 1200), (False, 1), (True, 85_200), (False, 1200)] == seen


def test_a_spell_that_began_before_the_shift_lasts_into_it() -> None:
    """Without signal from 23:30 to 00:30, at a shift's beginning at midnight: half an hour is left."""
    assert (False, 1800) == Signal(by_schedule(["23:30-00:30"], time(0))).at(0)


@pytest.mark.parametrize("written", ["", "8-9", "08:00", "08:00-08:00", "25:00-26:00", "08:00–08:20"])
def test_a_spell_that_cannot_be_read_is_named(written: str) -> None:
    """What was written, and how to write it."""
    with pytest.raises(NotASpell, match="08:00-08:20"):
        by_schedule([written], time(7))


def test_at_random_the_share_of_time_with_signal_is_as_asked() -> None:
    """Over 2,000 gaps, 80 % of the time has signal; gaps follow each other, and one seed makes one course."""
    gaps, again = (list(islice(at_random(0.8, 240, random.Random(3)), 2000)) for _ in range(2))

    without = sum(gap.ends - gap.begins for gap in gaps)

    assert gaps == again
    assert all(one.ends <= other.begins for one, other in pairwise(gaps))
    assert without / gaps[-1].ends == pytest.approx(0.2, abs=0.02)


def test_full_signal_is_never_lost() -> None:
    """A share of one has no gaps."""
    assert (True, float("inf")) == Signal(at_random(1.0, 240, random.Random(3))).at(1e9)


def test_of_two_kinds_of_gap_either_takes_the_signal() -> None:
    """There is signal only where neither a scheduled nor a random gap is."""
    signal = Signal([Gap(10, 20)], [Gap(15, 30)])

    assert [True, False, False, True] == [signal.at(seconds).is_there for seconds in (9, 12, 25, 30)]
