"""Whose turn it is: every unfinished referral is on exactly one list, with an owner, a time and a way off it."""

from collections.abc import Iterator

import pytest

from contracts.referrals import FINISHED, State
from services.referrals.lifecycle import STATES, TABLE, transition_of
from services.referrals.worklists import DUPLICATES, NAMES, WORKLISTS, states_of, worklist_of


def reachable() -> set[State]:
    """Every state that some row of the table leads to, from a submission on."""
    found: set[State] = {"submitted"}
    while more := {row.to for row in TABLE if row.to and set(row.states) & found} - found:
        found |= more
    return found


def kinds() -> Iterator[tuple[State, bool, bool]]:
    """Every way in which a referral may stand."""
    for state in STATES:
        for escalated in (False, True):
            for to_clinician in (False, True):
                yield state, escalated, to_clinician


def test_every_state_can_be_reached() -> None:
    """A state that nothing leads to would make the walk below say too much."""
    assert set(STATES) == reachable()


@pytest.mark.parametrize(("state", "escalated", "to_clinician"), kinds())
def test_a_referral_is_on_one_list_or_finished(state: State, escalated: bool, to_clinician: bool) -> None:
    """However it stands: on the list that is named, and that list looks for it in its state."""
    name = worklist_of(state, escalated=escalated, to_clinician=to_clinician)
    assert (state in FINISHED) == (name is None)
    if name is not None:
        assert state in states_of(name)


@pytest.mark.parametrize(("state", "escalated", "to_clinician"), kinds())
def test_something_takes_it_off(state: State, escalated: bool, to_clinician: bool) -> None:
    """At least one of the actions that a list names may be asked for in each state that is on it, by its side."""
    name = worklist_of(state, escalated=escalated, to_clinician=to_clinician)
    if name is None:
        return
    rows = [row for action in WORKLISTS[name].clears if (row := transition_of(action, state))]
    assert rows
    assert {WORKLISTS[name].side} == {row.who for row in rows}


def test_every_list_has_something_to_show() -> None:
    """A list that no state is on would be empty for ever; but one is of what is suspected, whatever the state."""
    shown = {worklist_of(*kind[:1], escalated=kind[1], to_clinician=kind[2]) for kind in kinds()} - {None}
    assert set(NAMES) == {*shown, DUPLICATES} == set(WORKLISTS)


@pytest.mark.parametrize("state", sorted(set(STATES) - FINISHED))
def test_what_nobody_did_is_the_referrers_clinical_hubs(state: State) -> None:
    """Whoever was to act: a missed time brings the patient back to those who referred."""
    name = worklist_of(state, escalated=True)
    assert ("unanswered", "referrer", "clinical hub") == (
        name,
        WORKLISTS["unanswered"].side,
        WORKLISTS["unanswered"].role,
    )
