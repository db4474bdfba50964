"""The guard against regressions: no step costs a quarter more than is written down, and one that does is seen."""

from collections.abc import Callable, Mapping

import pytest

from contracts.submissions import ReferralSubmitted
from loadtests.guard import Cost, Step, Work, cost, read, steps, written

pytestmark = pytest.mark.alone

NAMES = ("triage", "pathways", "booking", "notification")


@pytest.fixture(scope="module")
def known() -> Mapping[str, Step]:
    """The steps, with their records made."""
    return steps()


def test_every_step_is_guarded(known):
    """Each has its figures."""
    assert set(NAMES) == known.keys() == written().keys()


@pytest.mark.parametrize("name", NAMES)
def test_no_step_costs_a_quarter_more_than_is_written_down(known, name):
    """By calls and beside the bare loop. Is it dearer for a good reason, `python -m loadtests.guard --write`."""
    assert None is cost(known[name]).loss_beside(written()[name])


def in_compiled_code(step: Step) -> Work:
    """The step, and its records decoded twice more: two thirds of its time, in few calls."""

    def work() -> None:
        step.work()
        for _ in range(2):
            read(ReferralSubmitted, step.values)

    return work


def in_python(step: Step) -> Work:
    """The step, and fifty small functions a referral: hardly any time."""

    def nothing() -> None:
        """Do it."""

    def work() -> None:
        step.work()
        for _ in range(50 * len(step.values)):
            nothing()

    return work


@pytest.mark.parametrize(("plant", "seen_as"), [(in_compiled_code, "times the floor"), (in_python, "calls a referral")])
def test_a_planted_loss_is_seen(known, plant: Callable[[Step], Work], seen_as: str):
    """What is lost in compiled code shows beside the floor, what is lost in Python in the calls.

    Beside the step as it is in the same run: what is written down is of other machines.
    """
    step = known["triage"]
    assert seen_as in (cost(Step(plant(step), step.values)).loss_beside(cost(step)) or "no loss")


def test_a_gain_and_a_small_loss_pass():
    """Less is no loss, nor is a fifth more; a quarter more is."""
    before = Cost(100, 2)
    assert None is Cost(50, 1).loss_beside(before)
    assert None is Cost(120, 2.4).loss_beside(before)
    assert "126 calls" in (Cost(126, 2).loss_beside(before) or "")
    assert "2.51 times" in (Cost(100, 2.51).loss_beside(before) or "")
