"""Another place: what is looked for, what is told of it, and what comes late."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts import actions
from contracts.actions import ActionName
from contracts.referrals import State
from contracts.submissions import AcceptedService, AcceptedType
from services.referrals.cases import place_of
from services.referrals.lifecycle import STATES
from tests.referrals_cases import ASKED, IN_THE_SLOT, NOW, RECEIVERS, REFERRAL, UNTIL, case_in, decide, outcome, types
from tests.referrals_examples import (
    DESK,
    RECEIVER,
    REFERRER,
    asks,
    confirmed,
    displaced,
    exhausted,
    requested,
    searched_again,
    submitted,
    triaged,
)


def test_a_search_carries_the_brief_on() -> None:
    """What the referrer accepts now, a new time to answer, and nobody who rejected or is left."""
    case = case_in("placed")
    rebook = actions.Rebook(action="rebook", accept=(AcceptedType(service_type=135),))
    after, (told,) = decide(case, asks(REFERRAL, rebook, organisation=REFERRER))
    data: Any = told.data
    assert case.brief is not None
    assert after is not None
    assert (told.id, rebook.accept, IN_THE_SLOT + timedelta(minutes=15)) == (
        data.brief.placement_id,
        data.brief.accept,
        data.brief.answer_by,
    )
    assert (case.brief.position, case.brief.patient) == (data.brief.position, data.brief.patient)
    assert (("sdec-1",), told.id, told.id) == (data.without, after.standing.asked, data.standing.asked)


def test_whom_the_desk_names_is_asked_though_it_rejected() -> None:
    """They have spoken with each other."""
    case, _ = decide(case_in("placed"), asks(REFERRAL, ASKED["reject"]))
    named = actions.Rebook(action="rebook", accept=(AcceptedService(service="sdec-1"),))
    _, (by_name,) = decide(case, asks(REFERRAL, named, organisation=REFERRER))
    _, (by_any,) = decide(case, asks(REFERRAL, ASKED["rebook"], organisation=REFERRER))
    assert ((), ("sdec-1",)) == (by_name.data.without, by_any.data.without)  # type: ignore[attr-defined]


def test_a_wait_is_for_one_service_until_a_time() -> None:
    """Answered at once; the search carries until when, and nobody is booked on its strength after that."""
    after, (search, listed) = decide(case_in("unplaced"), asks(REFERRAL, ASKED["wait"], organisation=REFERRER))
    data: Any = search.data
    assert ((AcceptedService(service="ucr-1"),), UNTIL, UNTIL) == (
        data.brief.accept,
        data.wait_until,
        data.brief.answer_by,
    )
    assert after is not None
    assert ("referral.wait-listed", "waiting", search.id) == (listed.type, after.standing.state, after.standing.asked)


@pytest.mark.parametrize(
    ("action", "moved", "given_back"),
    [
        ("rebook", "rebooked", "rebooked"),
        ("redirect", "redirected", "rebooked"),
        ("withdraw", "service withdrew", "service withdrew"),
    ],
)
def test_another_place_is_told_with_the_old_one(action: ActionName, moved: str, given_back: str) -> None:
    """Placed again, with the new clocks and the referrer's desk; the old place is given back."""
    side = RECEIVER if action in RECEIVERS else REFERRER
    request = asks(REFERRAL, ASKED[action], organisation=side)
    case, (search,) = decide(case_in("accepted"), request)
    new = confirmed(searched_again(search), outcome="place_held")  # type: ignore[arg-type]
    after, (withdrawn, rebooked) = decide(case, new, NOW)
    assert after is not None
    standing = after.standing
    data: Any = rebooked.data
    assert (moved, given_back, request.id) == (data.why, withdrawn.data.why, rebooked.correlationid)  # type: ignore[attr-defined]
    assert ("placed", 5, DESK, place_of(new), None) == (
        standing.state,
        standing.version,
        standing.owner,
        standing.place,
        standing.asked,
    )
    assert new.data.acceptance_due == standing.clocks.answer_by
    assert request.data.by == data.by


@pytest.mark.parametrize("action", ["rebook", "redirect"])
def test_no_other_place_is_an_answer_and_the_old_one_stays(action: ActionName) -> None:
    """Refused with no-place; nothing else is changed."""
    side = RECEIVER if action in RECEIVERS else REFERRER
    before = case_in("accepted")
    case, (search,) = decide(before, asks(REFERRAL, ASKED[action], organisation=side))
    after, (told,) = decide(case, exhausted(searched_again(search)))  # type: ignore[arg-type]
    assert after is not None
    assert ("no-place", action, before.standing) == (told.data.refusal, told.data.action, after.standing)  # type: ignore[attr-defined]


def test_a_service_that_withdraws_gives_the_patient_back_where_nobody_else_has_room() -> None:
    """Loudly: withdrawn, the referrer's desk decides within minutes, and the service is not asked again."""
    case, (search,) = decide(case_in("accepted"), asks(REFERRAL, ASKED["withdraw"]))
    after, (withdrawn, moved) = decide(case, exhausted(searched_again(search)))  # type: ignore[arg-type]
    assert after is not None
    assert ("withdrawn", DESK, None, {"sdec-1"}) == (
        after.standing.state,
        after.standing.owner,
        after.standing.place,
        after.unwilling,
    )
    assert ("service withdrew", "service withdrew") == (withdrawn.data.why, moved.data.why)  # type: ignore[attr-defined]


def test_a_wait_in_vain_goes_back_to_the_desk() -> None:
    """Escalated, in a transaction of its own: the wait itself was answered."""
    request = asks(REFERRAL, ASKED["wait"], organisation=REFERRER)
    case, (search, _) = decide(case_in("unplaced"), request)
    after, (told,) = decide(case, exhausted(searched_again(search)))  # type: ignore[arg-type]
    assert after is not None
    data: Any = told.data
    assert ("referral.escalated", "placement", UNTIL, "unplaced") == (
        told.type,
        data.missed,
        data.was_due,
        after.standing.state,
    )
    assert search.id == told.correlationid != request.id


def test_a_rejection_amid_a_search_leaves_it_open() -> None:
    """What it finds is the patient's next place; what it does not find is no answer to whom it was asked by."""
    case, (search,) = decide(case_in("placed"), asks(REFERRAL, ASKED["withdraw"]))
    case, _ = decide(case, asks(REFERRAL, ASKED["reject"]))
    found, (rebooked,) = decide(case, confirmed(searched_again(search)))  # type: ignore[arg-type]
    none, (refused,) = decide(case, exhausted(searched_again(search)))  # type: ignore[arg-type]
    assert found is not None
    assert none is not None
    assert ("placed", None) == (found.standing.state, rebooked.data.old)  # type: ignore[attr-defined]
    assert ("rejected", "no-place") == (none.standing.state, refused.data.refusal)  # type: ignore[attr-defined]


@pytest.mark.parametrize("state", STATES)
def test_a_withdrawn_session_is_searched_for_where_the_patient_is_still_expected(state: State) -> None:
    """Who was seen, or has gone elsewhere, needs nothing."""
    _, told = decide(case_in(state), displaced(outcome()))
    expected = state in ("placed", "received", "information_wanted", "accepted")
    assert (["placement.requested"] if expected else []) == types(told)


def test_the_session_of_another_placement_changes_nothing() -> None:
    """The patient was moved already."""
    other = confirmed(requested(triaged(submitted(uuid4()))))
    case = case_in("placed")
    assert (case, []) == decide(case, displaced(other))


def test_a_session_that_is_withdrawn_amid_a_search_makes_it_count() -> None:
    """A rebooking that finds nobody then leaves no place to keep: one fact answers it and gives the patient back."""
    request = asks(REFERRAL, ASKED["rebook"], organisation=REFERRER)
    case, (search,) = decide(case_in("placed"), request)
    case, told = decide(case, displaced(outcome()))
    assert [] == told
    after, (withdrawn, moved) = decide(case, exhausted(searched_again(search)))  # type: ignore[arg-type]
    assert after is not None
    assert ("withdrawn", "referral.withdrawn", request.id) == (after.standing.state, moved.type, moved.correlationid)
    assert "session withdrawn" == withdrawn.data.why  # type: ignore[attr-defined]


@pytest.mark.parametrize("found", [True, False])
def test_what_a_closed_search_finds_is_given_back_and_the_asker_is_answered(found: bool) -> None:
    """The referral went on: not possible any more."""
    request = asks(REFERRAL, ASKED["rebook"], organisation=REFERRER)
    case, (search,) = decide(case_in("placed"), request)
    case, _ = decide(case, asks(REFERRAL, ASKED["cancel"], organisation=REFERRER))
    asked = searched_again(search)  # type: ignore[arg-type]
    after, told = decide(case, confirmed(asked) if found else exhausted(asked))
    assert (["booking.withdrawn"] if found else []) + ["referral.action-refused"] == types(told)
    assert ("not-possible", request.id) == (told[-1].data.refusal, told[-1].correlationid)  # type: ignore[attr-defined]
    assert after is not None
    assert ["settled"] == [one.state for one in after.searches.values()]


def test_the_first_confirmation_of_a_cancelled_referral_is_given_back() -> None:
    """And the service that was told of it may see what became of it."""
    case, _ = decide(case_in("placement_asked"), asks(REFERRAL, ASKED["cancel"], organisation=REFERRER))
    after, (withdrawn,) = decide(case, outcome())
    assert after is not None
    assert ("placement closed", RECEIVER, "cancelled") == (
        withdrawn.data.why,  # type: ignore[attr-defined]
        after.receiver,
        after.standing.state,
    )


def test_what_is_held_already_is_not_given_back_by_a_repeat() -> None:
    """A confirmation of the place that counts says nothing new."""
    case = case_in("accepted")
    assert (case, []) == decide(case, outcome())
