"""Where a referral stands, derived from its facts in any order."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Event
from services.referrals.facts import Fact, fact_in
from services.referrals.state import RANK, ReferralState, derive, read_version, state_said_by
from tests.referrals_examples import (
    ANSWER_BY,
    CLOCKS,
    DESK,
    RECEIVER,
    REFERRER,
    confirmed,
    exhausted,
    placed,
    receipt,
    requested,
    submitted,
    triaged,
    unplaced,
)

REFERRAL = UUID(int=7, version=4)


def read(events: Sequence[Event]) -> list[Fact]:
    """What this service reads of events."""
    facts = [fact_in(event.to_json(), event.type) for event in events]
    return [fact for fact in facts if isinstance(fact, Fact)]


def said(event: Event) -> ReferralState:
    """The state that one event says."""
    state = state_said_by(fact_in(event.to_json(), event.type), CLOCKS)
    assert state is not None
    return state


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """All facts of a referral, and the same in any order with repeats, all or some of them."""
    whole = draw(st.sampled_from([placed(REFERRAL), unplaced(REFERRAL)]))
    known = draw(st.lists(st.sampled_from(whole), unique_by=lambda event: event.id))
    repeats = draw(st.lists(st.sampled_from(known))) if known else []
    return known, draw(st.permutations(known + repeats))


@given(histories())
def test_the_order_and_repeats_of_facts_make_no_difference(history: tuple[list[Event], list[Event]]) -> None:
    """Whatever is known of a referral, in whichever order and however often it came, it stands at the same place."""
    known, came = history
    assert derive(read(known), CLOCKS) == derive(read(came), CLOCKS)


@given(histories())
def test_a_fact_at_a_time_is_the_same_as_all_at_once(history: tuple[list[Event], list[Event]]) -> None:
    """Keeping only the furthest state of the facts so far, as a row does, ends where all facts together end."""
    _, came = history
    held: ReferralState | None = None
    for fact in read(came):
        state = state_said_by(fact, CLOCKS)
        if state is not None and (held is None or RANK[state.state] > RANK[held.state]):
            held = state
    assert derive(read(came), CLOCKS) == held


@given(histories(), st.data())
def test_a_referral_only_ever_moves_on(history: tuple[list[Event], list[Event]], data: st.DataObject) -> None:
    """One more fact never takes a referral back."""
    _, came = history
    cut = data.draw(st.integers(0, len(came)))
    before, after = derive(read(came[:cut]), CLOCKS), derive(read(came), CLOCKS)
    assert before is None or (after is not None and RANK[after.state] >= RANK[before.state])


@given(st.permutations(range(6)), st.booleans())
def test_the_brief_that_booking_settled_on_replaces_every_other(order: list[int], urgent_first: bool) -> None:
    """Triage told one id twice, with another acuity: whichever copy came first, the outcome's brief counts."""
    first = submitted(REFERRAL)
    one, other = triaged(first, acuity="urgent"), triaged(first, acuity="immediate")
    settled = confirmed(requested(other))
    facts = [
        first,
        *((one, other) if urgent_first else (other, one)),
        requested(one),
        settled,
        receipt(settled, "patient"),
    ]
    state = derive(read([facts[index] for index in order]), CLOCKS)
    assert state is not None
    assert ("placed", "immediate") == (state.state, state.acuity)


def test_of_two_copies_of_a_fact_the_first_counts_until_there_is_an_outcome() -> None:
    """Triage told one id twice with another acuity: the copy that was stored first is what a reader sees."""
    first = submitted(REFERRAL)
    state = derive(read([first, triaged(first, acuity="urgent"), triaged(first, acuity="immediate")]), CLOCKS)
    assert state is not None
    assert "urgent" == state.acuity


@pytest.mark.parametrize(("facts", "state"), [(1, "submitted"), (2, "triaged"), (3, "placement_asked"), (4, "placed")])
def test_each_fact_of_the_flow_moves_the_referral_on(facts: int, state: str) -> None:
    """Submitted, triaged, placement asked, placed: the states in the order of the flow."""
    derived = derive(read(placed(REFERRAL)[:facts]), CLOCKS)
    assert derived is not None
    assert state == derived.state


@pytest.mark.parametrize("facts", [1, 2, 3])
def test_until_the_outcome_the_referrers_desk_owns_it_until_answer_by(facts: int) -> None:
    """A referral is never owned by a machine: before the outcome a person's desk must look again at `answer_by`."""
    state = derive(read(placed(REFERRAL)[:facts]), CLOCKS)
    assert state is not None
    assert (DESK, ANSWER_BY) == (state.owner, state.due)


def test_the_desk_is_known_from_any_fact_of_the_flow() -> None:
    """The submission may come last: its desk and time are in the brief of every other fact."""
    owners = [(said(event).owner, said(event).due) for event in placed(REFERRAL)[:3]]
    assert [(DESK, ANSWER_BY)] * 3 == owners


def test_a_confirmed_booking_says_where_when_and_what_next() -> None:
    """The outcome's service, slot, reference, owner, due time and next step are what is read."""
    told = confirmed(requested(triaged(submitted(REFERRAL))))
    state = said(told)
    data = told.data
    expected = ("slot_held", data.service, data.starts_at, data.reference, data.owner, data.due, data.next_step)
    assert expected == (
        state.outcome,
        state.service,
        state.starts_at,
        state.reference,
        state.owner,
        state.due,
        state.next_step,
    )


@pytest.mark.parametrize("outcome", ["slot_held", "place_held", "delivered"])
def test_a_placed_referral_says_which_kind_of_place(outcome: str) -> None:
    """A held slot, a held place and a delivered request are all placed, and told apart."""
    state = said(confirmed(requested(triaged(submitted(REFERRAL))), outcome=outcome))  # type: ignore[arg-type]
    assert ("placed", outcome) == (state.state, state.outcome)


def test_an_unplaced_referral_says_why_and_what_is_proposed() -> None:
    """An exhausted placement leaves the reason and the proposal, which is no place."""
    told = exhausted(requested(triaged(submitted(REFERRAL))))
    state = said(told)
    assert ("unplaced", "unplaced", told.data.why, told.data.proposal, None) == (
        state.state,
        state.outcome,
        state.why_unplaced,
        state.proposal,
        state.service,
    )


def test_a_receipt_says_nothing_of_the_state() -> None:
    """A delivery receipt is history, not a state."""
    (*_, last) = placed(REFERRAL)
    assert state_said_by(fact_in(last.to_json(), last.type), CLOCKS) is None


def test_a_version_is_the_state_with_its_number() -> None:
    """What is read of a version is the state that made it, the referral's id, the number and when it was made."""
    fact = fact_in(submitted(REFERRAL).to_json(), "referral.submitted")
    version = read_version(REFERRAL, 3, ANSWER_BY, fact, CLOCKS)
    assert (REFERRAL, 3, ANSWER_BY, "submitted", REFERRER) == (
        version.id,
        version.version,
        version.at,
        version.state,
        version.referrer,
    )


def test_the_service_of_a_state_names_the_organisation_that_receives() -> None:
    """Who may see a fact is read from the state that it says: the receiving organisation is the service's."""
    service = said(confirmed(requested(triaged(submitted(REFERRAL))))).service
    assert service is not None
    assert RECEIVER == service.organisation
