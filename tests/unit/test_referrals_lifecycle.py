"""The life of a referral: every action in every state by everyone, every refusal, and what each leaves behind."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from contracts import actions
from contracts.actions import Action, ActionName
from contracts.bookings import BookingConfirmed
from contracts.envelope import Event
from contracts.people import Desk
from contracts.referrals import FINISHED, State
from contracts.submissions import AcceptedService, AcceptedType
from services.referrals.asking import open_to, refused
from services.referrals.cases import Case, Search, place_of
from services.referrals.deciding import Decider
from services.referrals.escalating import MISSED
from services.referrals.lifecycle import STATES, TABLE
from services.referrals.standing import standing_of
from tests.referrals_examples import (
    BEGAN,
    CLOCKS,
    DESK,
    RECEIVER,
    REFERRER,
    STRANGER,
    asks,
    confirmed,
    displaced,
    exhausted,
    requested,
    searched_again,
    submitted,
    triaged,
)

REFERRAL = UUID(int=7, version=4)
NOW = BEGAN + timedelta(minutes=5)
IN_THE_SLOT = BEGAN + timedelta(minutes=70)
UNTIL = NOW + timedelta(days=2)
BOTH = "RX7"
"""An organisation that refers to itself."""

FLOW = ("submitted", "triaged", "placement_asked")
WITH_PLACE = ("placed", "received", "information_wanted", "accepted", "in_progress", "seen")
WITHOUT = ("unplaced", "rejected", "withdrawn", "not_attended")

ASKED: Mapping[ActionName, Action] = {
    "receive": actions.Receive(action="receive"),
    "accept": actions.Accept(action="accept", words="Yes."),
    "reject": actions.Reject(action="reject", reason="not-suitable", words="Too frail."),
    "want_information": actions.WantInformation(action="want_information", words="Which catheter?"),
    "give_information": actions.GiveInformation(action="give_information", words="Size 14."),
    "record_contact": actions.RecordContact(action="record_contact", reached=False, words="No answer."),
    "begin_care": actions.BeginCare(action="begin_care"),
    "see": actions.See(action="see"),
    "give_outcome": actions.GiveOutcome(action="give_outcome", kind="treated-and-discharged", words="Changed."),
    "not_attended": actions.NotAttended(action="not_attended"),
    "withdraw": actions.Withdraw(action="withdraw", words="Nurse ill."),
    "redirect": actions.Redirect(action="redirect", accept=(AcceptedType(service_type=135),), agreed=True),
    "rebook": actions.Rebook(action="rebook", accept="any"),
    "wait": actions.Wait(action="wait", service="ucr-1", until=UNTIL),
    "cancel": actions.Cancel(action="cancel", reason="patient-better"),
    "arrange_elsewhere": actions.ArrangeElsewhere(action="arrange_elsewhere", words="District nurse."),
    "leave_message": actions.LeaveMessage(action="leave_message", words="Ring the bell twice."),
}

STAYS = "stays"
RECEIVERS: Mapping[str, Mapping[str, str]] = {
    "receive": {"placed": "received"},
    "accept": dict.fromkeys(("placed", "received", "information_wanted"), "accepted"),
    "reject": dict.fromkeys(("placed", "received", "information_wanted", "accepted"), "rejected"),
    "want_information": dict.fromkeys(("placed", "received"), "information_wanted"),
    "record_contact": dict.fromkeys(WITH_PLACE, STAYS),
    "begin_care": dict.fromkeys(("placed", "received", "accepted"), "in_progress"),
    "see": dict.fromkeys(("placed", "received", "accepted", "in_progress"), "seen"),
    "give_outcome": dict.fromkeys(("accepted", "in_progress", "seen"), "outcome_given"),
    "not_attended": dict.fromkeys(("placed", "received", "accepted", "in_progress"), "not_attended"),
    "withdraw": dict.fromkeys(("placed", "received", "accepted"), STAYS),
    "redirect": dict.fromkeys(("placed", "received", "information_wanted", "accepted"), STAYS),
    "leave_message": dict.fromkeys(STATES, STAYS),
}
"""What a receiver may ask for, from where to where: typed in again, from what was agreed."""

REFERRERS: Mapping[str, Mapping[str, str]] = {
    "give_information": {"information_wanted": "received"},
    "rebook": dict.fromkeys((*WITH_PLACE, *WITHOUT, "waiting"), STAYS),
    "wait": dict.fromkeys(WITHOUT, "waiting"),
    "cancel": dict.fromkeys((*FLOW, *WITH_PLACE, *WITHOUT, "waiting"), "cancelled"),
    "arrange_elsewhere": dict.fromkeys((*WITHOUT, "waiting"), "arranged_elsewhere"),
    "leave_message": dict.fromkeys(STATES, STAYS),
}


def outcome(referrer: str = REFERRER) -> BookingConfirmed:
    """A slot that is held for the patient, from an hour after the beginning, for half an hour."""
    return confirmed(requested(triaged(submitted(REFERRAL, referrer=referrer))))


def case_in(state: str, *, referrer: str = REFERRER, held: BookingConfirmed | None = None) -> Case:
    """A referral in a state, with a held slot where a service has the patient."""
    first = held or outcome(referrer)
    standing = standing_of(first, version=4, asked=None, clocks=CLOCKS)
    place = place_of(first) if state in (*WITH_PLACE, "outcome_given") else None
    standing = standing.model_copy(update={"state": state, "place": place})
    known = state not in FLOW
    return Case(
        referral=REFERRAL,
        standing=standing,
        receiver=RECEIVER if known and referrer != BOTH else BOTH if known else None,
        service_id="sdec-1" if known else None,
        brief=first.data.brief if known else None,
    )


def searching(case: Case, request: Event | None = None, **said: Any) -> Case:
    """The same with a search under way."""
    asked = request or asks(REFERRAL, ASKED["rebook"], organisation=REFERRER)
    search = Search(id=uuid4(), why="rebooking", cause=asked.id, request=asked)  # type: ignore[arg-type]
    return case.having(search)


def decide(case: Case | None, cause: Any, now: datetime = IN_THE_SLOT) -> tuple[Case | None, list[Event]]:
    """What becomes of it, by default while the slot runs."""
    return Decider(CLOCKS, now).decide(case, cause)


def types(told: list[Event]) -> list[str]:
    """Their types, in order."""
    return [event.type for event in told]


@pytest.mark.parametrize("action", get_args(ActionName))
@pytest.mark.parametrize(
    ("side", "organisation", "allowed"), [("receiver", RECEIVER, RECEIVERS), ("referrer", REFERRER, REFERRERS)]
)
def test_every_action_in_every_state_by_each_side(
    action: ActionName, side: str, organisation: str, allowed: Mapping[str, Mapping[str, str]]
) -> None:
    """It leads where it was agreed to lead, or is refused with the kind that fits, and then nothing changes."""
    mine = allowed.get(action, {})
    for state in STATES:
        case = case_in(state)
        if not case.concerns(organisation):
            continue
        after, told = decide(case, asks(REFERRAL, ASKED[action], organisation=organisation))
        assert after is not None
        if state not in mine:
            expected = "wrong-state" if mine else "not-yours"
            assert (case, [expected]) == (after, [event.data.refusal for event in told]), state  # type: ignore[attr-defined]
        elif mine[state] == STAYS:
            assert (state, case.standing.version) == (after.standing.state, after.standing.version)
        else:
            assert (mine[state], 5) == (after.standing.state, after.standing.version), state


@pytest.mark.parametrize("action", get_args(ActionName))
def test_who_refers_to_itself_may_do_what_either_may(action: ActionName) -> None:
    """One organisation on both sides."""
    for state in STATES:
        case = case_in(state, referrer=BOTH)
        _, told = decide(case, asks(REFERRAL, ASKED[action], organisation=BOTH))
        either = (RECEIVERS.get(action, {}) if state not in FLOW else {}) | REFERRERS.get(action, {})
        assert (state in either) == (types(told) != ["referral.action-refused"]), state


def test_a_refusal_says_where_the_referral_stands_and_what_is_next() -> None:
    """Wrong state: what it is, what the action is for, and the next step."""
    case = case_in("rejected")
    _, (refused,) = decide(case, asks(REFERRAL, ASKED["accept"]))
    why = refused.data.why  # type: ignore[attr-defined]
    assert why.startswith("The referral is rejected; accept is for one that is placed, received, information wanted.")
    assert why.endswith(case.standing.next_step)
    assert case.standing == refused.data.standing  # type: ignore[attr-defined]


def test_what_is_done_already_is_said_to_be() -> None:
    """A second accept, under another key."""
    _, (refused,) = decide(case_in("accepted"), asks(REFERRAL, ASKED["accept"]))
    assert "The referral is accepted already." in refused.data.why  # type: ignore[attr-defined]


def test_who_is_not_on_the_referral_is_told_nothing_of_it() -> None:
    """Unknown, as an id that does not exist, and without a standing."""
    request = asks(REFERRAL, ASKED["cancel"], organisation=STRANGER)
    told = [decide(case, request)[1][0].data for case in (case_in("placed"), None)]
    assert {("unknown", None)} == {(one.refusal, one.standing) for one in told}  # type: ignore[attr-defined]
    assert told[0] == told[1]


@pytest.mark.parametrize("action", get_args(ActionName))
def test_a_version_that_was_overtaken_is_refused_where_the_action_moves_something(action: ActionName) -> None:
    """Messages and contacts are taken whatever was seen; a version that stands, or a later one, is the right one."""
    side = RECEIVER if action in RECEIVERS else REFERRER
    state = next(iter({**RECEIVERS, **REFERRERS}[action]))
    case = case_in(state)
    if not case.concerns(side):
        case = case_in("placed")

    def refusal(seen: int) -> str | None:
        _, told = decide(case, asks(REFERRAL, ASKED[action], organisation=side, seen_version=seen))
        return getattr(told[0].data, "refusal", None)

    expected = None if action in ("leave_message", "record_contact") else "moved-on"
    assert (expected, None, None) == (refusal(3), refusal(4), refusal(5))


def test_not_yours_goes_before_moved_on_and_moved_on_before_wrong_state() -> None:
    """Who may never ask is told so; who looked too long ago is told that first."""
    case = case_in("rejected")

    def refusal(action: ActionName) -> str:
        _, (told,) = decide(case, asks(REFERRAL, ASKED[action], seen_version=1))
        return told.data.refusal  # type: ignore[attr-defined, no-any-return]

    assert ("not-yours", "moved-on") == (refusal("cancel"), refusal("accept"))


@pytest.mark.parametrize("outcome_kind", ["place_held", "delivered"])
@pytest.mark.parametrize("action", ["begin_care", "not_attended"])
def test_without_a_slot_care_begins_after_acceptance_only(outcome_kind: Any, action: ActionName) -> None:
    """From placed or received it is not possible; from accepted care may begin."""
    held = confirmed(requested(triaged(submitted(REFERRAL))), outcome=outcome_kind)
    for state in ("placed", "received"):
        _, (told,) = decide(case_in(state, held=held), asks(REFERRAL, ASKED[action]))
        assert "not-possible" == told.data.refusal  # type: ignore[attr-defined]
    after, _ = decide(case_in("accepted", held=held), asks(REFERRAL, ASKED["begin_care"]))
    assert after is not None
    assert "in_progress" == after.standing.state


def test_nobody_misses_a_slot_that_has_not_begun() -> None:
    """A false *did not attend* would give the slot away under a patient who is on the way."""
    _, (told,) = decide(case_in("accepted"), asks(REFERRAL, ASKED["not_attended"]), NOW)
    assert "not-possible" == told.data.refusal  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("until", "said"),
    [(IN_THE_SLOT, "has passed"), (IN_THE_SLOT + timedelta(days=29), "longer than 28 days")],
)
def test_a_wait_ends_in_time(until: datetime, said: str) -> None:
    """Not in the past, and not for ever."""
    wait = actions.Wait(action="wait", service="ucr-1", until=until)
    case, (told,) = decide(case_in("unplaced"), asks(REFERRAL, wait, organisation=REFERRER))
    assert "not-possible" == told.data.refusal  # type: ignore[attr-defined]
    assert said in told.data.why  # type: ignore[attr-defined]
    assert case_in("unplaced") == case


@pytest.mark.parametrize("action", ["rebook", "redirect", "withdraw"])
def test_one_search_at_a_time(action: ActionName) -> None:
    """Another meanwhile is not possible."""
    side = RECEIVER if action in RECEIVERS else REFERRER
    _, (told,) = decide(searching(case_in("placed")), asks(REFERRAL, ASKED[action], organisation=side))
    assert "not-possible" == told.data.refusal  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("action", "state", "why"),
    [
        ("reject", "accepted", "rejected"),
        ("not_attended", "placed", "not attended"),
        ("not_attended", "in_progress", "not attended"),
        ("cancel", "placed", "cancelled"),
        ("cancel", "seen", "cancelled"),
    ],
)
def test_what_is_held_is_given_back_before_the_move_is_told(action: ActionName, state: str, why: str) -> None:
    """To whom it was booked with, under its reference; the place leaves the standing and stands in the fact."""
    case = case_in(state)
    side = RECEIVER if action in RECEIVERS else REFERRER
    after, (withdrawn, moved) = decide(case, asks(REFERRAL, ASKED[action], organisation=side))
    held = case.standing.place
    assert held is not None
    assert after is not None
    data: Any = withdrawn.data
    assert (held.placement_id, held.reference, RECEIVER, why) == (
        data.placement_id,
        data.reference,
        data.organisation,
        data.why,
    )
    assert (None, held) == (after.standing.place, moved.data.place)  # type: ignore[attr-defined]


@pytest.mark.parametrize("state", [*FLOW, *WITHOUT, "waiting"])
def test_a_cancel_where_nothing_is_held_gives_nothing_back(state: str) -> None:
    """One fact, and it is over."""
    _, told = decide(case_in(state), asks(REFERRAL, ASKED["cancel"], organisation=REFERRER))
    assert ["referral.cancelled"] == types(told)


@pytest.mark.parametrize(("now", "given_back"), [(NOW, True), (IN_THE_SLOT, False)])
def test_an_outcome_gives_back_only_a_slot_that_was_not_used(now: datetime, given_back: bool) -> None:
    """A patient who was helped by telephone needs the slot no more; one that has begun was used."""
    after, told = decide(case_in("accepted"), asks(REFERRAL, ASKED["give_outcome"]), now)
    assert (["booking.withdrawn"] if given_back else []) + ["referral.outcome-given"] == types(told)
    assert after is not None
    assert after.standing.place is not None


@pytest.mark.parametrize("action", ["begin_care", "see", "give_outcome", "cancel"])
def test_who_is_seen_or_finished_needs_no_other_place(action: ActionName) -> None:
    """The search is closed, and the standing says that nothing is looked for."""
    side = RECEIVER if action in RECEIVERS else REFERRER
    after, _ = decide(searching(case_in("accepted")), asks(REFERRAL, ASKED[action], organisation=side))
    assert after is not None
    assert (["closed"], None) == ([one.state for one in after.searches.values()], after.standing.asked)


OWNERS = {
    "received": DESK.organisation,
    "information_wanted": DESK.organisation,
    "accepted": RECEIVER,
    "in_progress": RECEIVER,
    "seen": RECEIVER,
    "rejected": DESK.organisation,
    "not_attended": DESK.organisation,
    "waiting": DESK.organisation,
    "cancelled": DESK.organisation,
    "arranged_elsewhere": DESK.organisation,
}
DUES = {
    "received": IN_THE_SLOT + timedelta(minutes=20),  # the end of the slot
    "information_wanted": IN_THE_SLOT + timedelta(minutes=15),
    "accepted": IN_THE_SLOT + timedelta(minutes=20),
    "in_progress": IN_THE_SLOT + timedelta(minutes=20),
    "seen": IN_THE_SLOT + timedelta(minutes=20),
    "rejected": IN_THE_SLOT + timedelta(minutes=15),
    "not_attended": IN_THE_SLOT + timedelta(minutes=15),
    "waiting": UNTIL,
    "outcome_given": IN_THE_SLOT,
    "cancelled": IN_THE_SLOT,
    "arranged_elsewhere": IN_THE_SLOT,
}


@pytest.mark.parametrize("action", get_args(ActionName))
def test_who_owns_it_afterwards_and_until_when(action: ActionName) -> None:
    """The receiver's desk once it is theirs, the referrer's otherwise; a time to come, or now where it is finished."""
    for organisation, allowed in ((RECEIVER, RECEIVERS), (REFERRER, REFERRERS)):
        for state, to in allowed.get(action, {}).items():
            case = case_in(state)
            if to == STAYS or not case.concerns(organisation):
                continue
            after, _ = decide(case, asks(REFERRAL, ASKED[action], organisation=organisation))
            assert after is not None
            assert (OWNERS.get(to, case.standing.owner.organisation), DUES[to]) == (
                after.standing.owner.organisation,
                after.standing.due,
            ), state


def test_without_a_desk_of_the_receivers_the_referrers_keeps_the_patient() -> None:
    """Somebody with a telephone owns the patient, always."""
    request = asks(REFERRAL, ASKED["accept"])
    request = request.model_copy(update={"data": request.data.model_copy(update={"desk": None})})
    after, _ = decide(case_in("placed"), request)
    assert after is not None
    assert DESK == after.standing.owner


def test_a_clock_that_has_run_out_is_looked_at_again_soon() -> None:
    """Or the owner would be late from the first moment."""
    late = BEGAN + timedelta(days=3)
    after, _ = decide(case_in("accepted"), asks(REFERRAL, ASKED["see"]), late)
    assert after is not None
    assert late + timedelta(minutes=CLOCKS.look_again_minutes) == after.standing.due


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


def test_every_state_can_be_left_or_is_finished_and_every_unfinished_one_says_what_may_be_missed() -> None:
    """Nobody waits in a state without a way out, nor without a name for being late."""
    left = {state for row in TABLE if row.to is not None for state in row.states}
    assert set(STATES) - FINISHED == left == set(MISSED)


def test_every_state_is_reached() -> None:
    """A state that nothing leads to is not one."""
    assert set(STATES) == {row.to for row in TABLE if row.to is not None}


def test_of_an_action_a_state_has_one_row() -> None:
    """Or what happens would depend on the order of the table."""
    rows = [(row.trigger, state) for row in TABLE for state in row.states]
    assert sorted(set(rows)) == sorted(rows)


def test_what_is_open_to_a_side_is_what_is_not_refused() -> None:
    """What is shown to a caller is what would be done, for all that needs no more than the action."""
    for state in STATES:
        case = case_in(state)
        for side, organisation in (("receiver", RECEIVER), ("referrer", REFERRER)):
            sides = case.sides_of(organisation)
            shown = open_to(case.standing, sides=sides, now=IN_THE_SLOT)
            done = [
                one
                for one in get_args(ActionName)
                if case.concerns(organisation)
                and types(decide(case, asks(REFERRAL, ASKED[one], organisation=organisation))[1])
                != ["referral.action-refused"]
            ]
            assert done == (shown if sides else done), (state, side)


def test_the_desk_of_an_action_is_the_receivers() -> None:
    """The desk that comes with the action, from the gateway, owns the patient from acceptance on."""
    after, _ = decide(case_in("placed"), asks(REFERRAL, ASKED["accept"]))
    assert after is not None
    assert Desk(organisation=RECEIVER, name=f"Desk of {RECEIVER}", telephone="01632 960003") == after.standing.owner


def test_refusals_can_be_asked_for_without_deciding() -> None:
    """As a read does."""
    standing = case_in("placed").standing
    assert refused("accept", standing, sides=frozenset(("receiver",)), seen_version=None, now=NOW) is None
