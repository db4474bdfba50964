"""Referrals in every state, and what each side may ask for there."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts import actions
from contracts.actions import Action, ActionName
from contracts.bookings import BookingConfirmed
from contracts.envelope import Event
from contracts.submissions import AcceptedType
from services.referrals.cases import Case, Search, place_of
from services.referrals.deciding import Decider
from services.referrals.facts import fact_in
from services.referrals.lifecycle import STATES
from services.referrals.standing import standing_of
from tests.referrals_examples import BEGAN, CLOCKS, RECEIVER, REFERRER, asks, confirmed, requested, submitted, triaged

REFERRAL = UUID(int=7, version=4)
OTHER = UUID(int=8, version=4)
"""Another referral, which may be of the same patient."""
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
    "not_duplicate": actions.NotDuplicate(action="not_duplicate", other=OTHER, words="Two brothers."),
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
    "not_duplicate": dict.fromkeys((*FLOW, *WITH_PLACE, *WITHOUT, "waiting"), STAYS),
}


def outcome(referrer: str = REFERRER) -> BookingConfirmed:
    """A slot that is held for the patient, from an hour after the beginning, for half an hour."""
    return confirmed(requested(triaged(submitted(REFERRAL, referrer=referrer))))


def case_in(state: str, *, referrer: str = REFERRER, held: BookingConfirmed | None = None) -> Case:
    """A referral in a state, with a held slot where a service has the patient."""
    first = held or outcome(referrer)
    standing = standing_of(fact_in(first.to_json(), first.type), version=4, asked=None, clocks=CLOCKS)
    place = place_of(first) if state in (*WITH_PLACE, "outcome_given") else None
    standing = standing.model_copy(update={"state": state, "place": place})
    known = state not in FLOW
    return Case(
        referral=REFERRAL,
        standing=standing,
        receiver=RECEIVER if known and referrer != BOTH else BOTH if known else None,
        service_id="sdec-1" if known else None,
        brief=first.data.brief if known else None,
        suspected=frozenset((OTHER,)),
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
