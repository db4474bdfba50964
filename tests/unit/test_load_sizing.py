"""Sizes on paper: plain arithmetic of what was measured."""

import pytest

from loadtests.sizing import ENGLAND_A_DAY, HEADROOM, PEAK_BESIDE_MEAN, Costs, limits, page, size

COSTS = Costs({"edge": 1.0, "settle": 4.0, "kafka": 0.5, "postgres": 0.8}, 10_000, 20_000, "Measured")


def test_ten_times_the_demand_is_ten_times_as_much():
    """Rates, cores and bytes grow with the demand; replicas do where a core is not enough."""
    one, ten = size(COSTS, 1), size(COSTS, 10)
    assert pytest.approx(ENGLAND_A_DAY / 86_400 * PEAK_BESIDE_MEAN) == one.peak
    assert pytest.approx(10) == ten.peak / one.peak
    assert pytest.approx(10) == ten.log_gb / one.log_gb
    assert pytest.approx(10) == ten.database_gb / one.database_gb
    assert {"edge": 2, "settle": 2} == one.replicas
    assert size(COSTS, 100).replicas["settle"] == 5  # 405 a second at 4 ms, at 40 % of a core: 4.05 cores


def test_what_breaks_first_comes_first():
    """The dearest process is full first, at what a core does."""
    found = limits(COSTS)
    assert ("one process of settle: a core", 250) == found[0][:2]
    assert found == sorted(found, key=lambda one: one[1])
    assert pytest.approx(12 * HEADROOM * 250) == next(at for what, at, _ in found if what.startswith("12 replicas"))


def test_the_page_says_what_was_measured_and_what_is_assumed():
    """Every part of it is filled."""
    text = page(COSTS)
    assert "$" not in text
    assert "| CPU of settle, ms | 4.00 |" in text
    assert "| log, 35 days in 3 copies, GB | 147 | 1,470 |" in text
