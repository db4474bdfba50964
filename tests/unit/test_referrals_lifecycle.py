"""What each side may ask for in which state, what becomes of it, who owns it afterwards, and until when."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from contracts import actions
from contracts.actions import ActionName
from contracts.people import Desk
from contracts.referrals import FINISHED
from services.referrals.asking import open_to, refused
from services.referrals.escalating import MISSED
from services.referrals.lifecycle import STATES, TABLE
from tests.referrals_cases import (
    ASKED,
    BOTH,
    FLOW,
    IN_THE_SLOT,
    NOW,
    OTHER,
    RECEIVERS,
    REFERRAL,
    REFERRERS,
    STAYS,
    UNTIL,
    WITHOUT,
    case_in,
    decide,
    searching,
    types,
)
from tests.referrals_examples import (
    BEGAN,
    CLOCKS,
    DESK,
    RECEIVER,
    REFERRER,
    STRANGER,
    asks,
    confirmed,
    requested,
    submitted,
    triaged,
)


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

    expected = None if action in ("leave_message", "record_contact", "not_duplicate") else "moved-on"
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
    ("until", "said"), [(IN_THE_SLOT, "has passed"), (IN_THE_SLOT + timedelta(days=29), "longer than 28 days")]
)
def test_a_wait_ends_in_time(until: datetime, said: str) -> None:
    """Not in the past, and not for ever."""
    wait = actions.Wait(action="wait", service="ucr-1", until=until)
    case, (told,) = decide(case_in("unplaced"), asks(REFERRAL, wait, organisation=REFERRER))
    assert "not-possible" == told.data.refusal  # type: ignore[attr-defined]
    assert said in told.data.why  # type: ignore[attr-defined]
    assert case_in("unplaced") == case


def test_an_outcome_names_documents_that_are_attached() -> None:
    """Or the discharge summary that it sends back would not be there to read."""
    named = actions.GiveOutcome(action="give_outcome", kind="treated-and-discharged", documents=(OTHER,))
    _, (refused,) = decide(case_in("seen"), asks(REFERRAL, named))
    after, _ = decide(replace(case_in("seen"), documents=frozenset((OTHER,))), asks(REFERRAL, named))
    assert "not-possible" == refused.data.refusal  # type: ignore[attr-defined]
    assert after is not None
    assert "outcome_given" == after.standing.state


def test_only_what_is_suspected_is_ruled_out_and_once() -> None:
    """Another referral, or the same one again: not possible. What nobody suspects is not shown as open."""
    case = case_in("placed")
    ruled_out, (told,) = decide(case, asks(REFERRAL, ASKED["not_duplicate"], organisation=REFERRER))
    _, (again,) = decide(ruled_out, asks(REFERRAL, ASKED["not_duplicate"], organisation=REFERRER))
    assert ("referral.duplicate-ruled-out", OTHER) == (told.type, told.data.other_referral)  # type: ignore[attr-defined]
    assert "not-possible" == again.data.refusal  # type: ignore[attr-defined]
    sides = case.sides_of(REFERRER)
    assert "not_duplicate" not in open_to(case.standing, sides=sides, now=NOW, suspected=False)


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
            shown = open_to(case.standing, sides=sides, now=IN_THE_SLOT, suspected=True)
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
