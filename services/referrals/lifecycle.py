"""The life of a referral: what moves it from where to where, who may ask for it, and what follows. One table.

`docs/lifecycle.md` is written from it. What decides (`deciding.py`) and what is shown (`state.py`) look here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from contracts.actions import ActionName
from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from contracts.placements import BookingRequested
from contracts.referrals import (
    FINISHED,
    BookingWithdrawn,
    PlacementRequested,
    ReferralAccepted,
    ReferralActionRefused,
    ReferralArrangedElsewhere,
    ReferralCancelled,
    ReferralContactRecorded,
    ReferralDocumentAttached,
    ReferralDuplicateRuledOut,
    ReferralDuplicateSuspected,
    ReferralEscalated,
    ReferralInformationGiven,
    ReferralInformationWanted,
    ReferralMessageLeft,
    ReferralNotAttended,
    ReferralOutcomeGiven,
    ReferralRebooked,
    ReferralReceived,
    ReferralRejected,
    ReferralSeen,
    ReferralTakenUp,
    ReferralWaitListed,
    ReferralWithdrawn,
    State,
)
from contracts.submissions import ReferralSubmitted
from contracts.triage import ReferralTriaged

STATES: tuple[State, ...] = get_args(State)
ACTIONS: tuple[ActionName, ...] = get_args(ActionName)

Side = Literal["receiver", "referrer", "either", "nobody"]
"""The receiver is the organisation of the place, the referrer the one that refers. One may be both."""

Need = Literal["a slot", "a slot that has begun", "no search under way", "a time to come", "a suspected duplicate"]
PlacementWhy = Literal["rebooking", "redirection", "service withdrew", "session withdrawn", "waiting"]
WithdrawnWhy = Literal[
    "cancelled",
    "rejected",
    "rebooked",
    "placement closed",
    "not attended",
    "service withdrew",
    "session withdrawn",
    "arranged elsewhere",
    "outcome given",
]
Owner = Literal["as before", "referrer's desk", "receiver's desk"]
Due = Literal["as before", "as told", "answer", "information", "outcome", "decision", "end of the wait", "at once"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A row: what happens, in which states it may, and what follows."""

    trigger: str
    """An action, or what else happens."""
    who: Side = "nobody"
    states: tuple[State, ...]
    to: State | None = None
    """None where the referral stays where it stands."""
    needs: tuple[Need, ...] = ()
    tells: tuple[type[Event], ...]
    asks: PlacementWhy | None = None
    """A further search for a place, and why. What was asked for is answered when that has ended."""
    gives_back: WithdrawnWhy | None = None
    """What is held is given back, and why."""
    closes: bool = False
    """A search under way is closed: what it finds is given back."""
    owner: Owner = "as before"
    due: Due = "as before"


IN_FLOW: tuple[State, ...] = ("submitted", "triaged", "placement_asked")
UNFINISHED: tuple[State, ...] = tuple(state for state in STATES if state not in FINISHED)
PLACED: tuple[State, ...] = ("placed", "received", "information_wanted", "accepted", "in_progress", "seen")
"""States in which a service has the patient."""
EXPECTED: tuple[State, ...] = ("placed", "received", "information_wanted", "accepted")
"""States in which a service expects the patient and has not begun."""
WITHOUT_PLACE: tuple[State, ...] = ("unplaced", "rejected", "withdrawn", "not_attended")
"""States in which the referrer's desk decides what is next."""

TABLE: tuple[Transition, ...] = (
    # What the flow does: facts that may come in any order, of which the furthest counts.
    Transition(
        trigger="a referral is submitted",
        states=(),
        to="submitted",
        tells=(ReferralSubmitted,),
        owner="referrer's desk",
        due="as told",
    ),
    Transition(
        trigger="triage has answered",
        states=("submitted",),
        to="triaged",
        tells=(ReferralTriaged,),
        owner="referrer's desk",
        due="as told",
    ),
    Transition(
        trigger="a place is asked for",
        states=("submitted", "triaged"),
        to="placement_asked",
        tells=(BookingRequested,),
        owner="referrer's desk",
        due="as told",
    ),
    Transition(
        trigger="a place is held",
        states=IN_FLOW,
        to="placed",
        tells=(BookingConfirmed,),
        owner="referrer's desk",
        due="as told",
    ),
    Transition(
        trigger="nobody can take the patient",
        states=IN_FLOW,
        to="unplaced",
        tells=(BookingExhausted,),
        owner="referrer's desk",
        due="as told",
    ),
    # What the receiver asks for.
    Transition(
        trigger="receive",
        who="receiver",
        states=("placed",),
        to="received",
        tells=(ReferralReceived,),
        owner="referrer's desk",
        due="answer",
    ),
    Transition(
        trigger="accept",
        who="receiver",
        states=("placed", "received", "information_wanted"),
        to="accepted",
        tells=(ReferralAccepted,),
        owner="receiver's desk",
        due="outcome",
    ),
    Transition(
        trigger="reject",
        who="receiver",
        states=EXPECTED,
        to="rejected",
        tells=(BookingWithdrawn, ReferralRejected),
        gives_back="rejected",
        owner="referrer's desk",
        due="decision",
    ),
    Transition(
        trigger="want_information",
        who="receiver",
        states=("placed", "received"),
        to="information_wanted",
        tells=(ReferralInformationWanted,),
        owner="referrer's desk",
        due="information",
    ),
    Transition(
        trigger="record_contact",
        who="receiver",
        states=PLACED,
        tells=(ReferralContactRecorded,),
    ),
    Transition(
        trigger="begin_care",
        who="receiver",
        states=("accepted",),
        to="in_progress",
        tells=(ReferralTakenUp,),
        closes=True,
        owner="receiver's desk",
        due="outcome",
    ),
    Transition(
        trigger="begin_care",
        who="receiver",
        states=("placed", "received"),
        to="in_progress",
        needs=("a slot",),
        tells=(ReferralTakenUp,),
        closes=True,
        owner="receiver's desk",
        due="outcome",
    ),
    Transition(
        trigger="see",
        who="receiver",
        states=("placed", "received", "accepted", "in_progress"),
        to="seen",
        tells=(ReferralSeen,),
        closes=True,
        owner="receiver's desk",
        due="outcome",
    ),
    Transition(
        trigger="give_outcome",
        who="receiver",
        states=("accepted", "in_progress", "seen"),
        to="outcome_given",
        tells=(BookingWithdrawn, ReferralOutcomeGiven),
        gives_back="outcome given",
        closes=True,
        due="at once",
    ),
    Transition(
        trigger="not_attended",
        who="receiver",
        states=("placed", "received", "accepted"),
        to="not_attended",
        needs=("a slot that has begun",),
        tells=(BookingWithdrawn, ReferralNotAttended),
        gives_back="not attended",
        owner="referrer's desk",
        due="decision",
    ),
    Transition(
        trigger="not_attended",
        who="receiver",
        states=("in_progress",),
        to="not_attended",
        tells=(BookingWithdrawn, ReferralNotAttended),
        gives_back="not attended",
        owner="referrer's desk",
        due="decision",
    ),
    Transition(
        trigger="withdraw",
        who="receiver",
        states=("placed", "received", "accepted"),
        needs=("no search under way",),
        tells=(PlacementRequested,),
        asks="service withdrew",
    ),
    Transition(
        trigger="redirect",
        who="receiver",
        states=EXPECTED,
        needs=("no search under way",),
        tells=(PlacementRequested,),
        asks="redirection",
    ),
    # What the referrer asks for.
    Transition(
        trigger="give_information",
        who="referrer",
        states=("information_wanted",),
        to="received",
        tells=(ReferralInformationGiven,),
        owner="referrer's desk",
        due="answer",
    ),
    Transition(
        trigger="rebook",
        who="referrer",
        states=tuple(state for state in UNFINISHED if state not in IN_FLOW),
        needs=("no search under way",),
        tells=(PlacementRequested,),
        asks="rebooking",
    ),
    Transition(
        trigger="wait",
        who="referrer",
        states=WITHOUT_PLACE,
        to="waiting",
        needs=("no search under way", "a time to come"),
        tells=(PlacementRequested, ReferralWaitListed),
        asks="waiting",
        owner="referrer's desk",
        due="end of the wait",
    ),
    Transition(
        trigger="cancel",
        who="referrer",
        states=UNFINISHED,
        to="cancelled",
        tells=(BookingWithdrawn, ReferralCancelled),
        gives_back="cancelled",
        closes=True,
        owner="referrer's desk",
        due="at once",
    ),
    Transition(
        trigger="arrange_elsewhere",
        who="referrer",
        states=(*WITHOUT_PLACE, "waiting"),
        to="arranged_elsewhere",
        tells=(ReferralArrangedElsewhere,),
        closes=True,
        owner="referrer's desk",
        due="at once",
    ),
    Transition(
        trigger="leave_message",
        who="either",
        states=STATES,
        tells=(ReferralMessageLeft,),
    ),
    Transition(
        trigger="not_duplicate",
        who="referrer",
        states=UNFINISHED,
        needs=("a suspected duplicate",),
        tells=(ReferralDuplicateRuledOut,),
    ),
    # What comes of a further search, and what booking says.
    Transition(
        trigger="another place is held",
        states=tuple(state for state in UNFINISHED if state not in IN_FLOW),
        to="placed",
        tells=(BookingWithdrawn, ReferralRebooked),
        gives_back="rebooked",
        owner="referrer's desk",
        due="as told",
    ),
    Transition(
        trigger="no other place for a rebooking or a redirection",
        states=tuple(state for state in UNFINISHED if state not in IN_FLOW),
        tells=(ReferralActionRefused,),
    ),
    Transition(
        trigger="no other place for one that was withdrawn",
        states=EXPECTED,
        to="withdrawn",
        tells=(BookingWithdrawn, ReferralWithdrawn),
        gives_back="service withdrew",
        owner="referrer's desk",
        due="decision",
    ),
    Transition(
        trigger="the wait was in vain",
        states=("waiting",),
        to="unplaced",
        tells=(ReferralEscalated,),
        owner="referrer's desk",
        due="as told",
    ),
    Transition(
        trigger="the due time passes",
        states=UNFINISHED,
        tells=(ReferralEscalated,),
        owner="referrer's desk",
        due="decision",
    ),
    Transition(
        trigger="the session is withdrawn",
        states=EXPECTED,
        tells=(PlacementRequested,),
        asks="session withdrawn",
    ),
    Transition(
        trigger="a document is attached",
        states=STATES,
        tells=(ReferralDocumentAttached,),
    ),
    Transition(
        trigger="somebody else has referred the same patient",
        states=UNFINISHED,
        tells=(ReferralDuplicateSuspected,),
    ),
    Transition(
        trigger="a place is held after its search was closed",
        states=STATES,
        tells=(BookingWithdrawn,),
        gives_back="placement closed",
    ),
)

_BY_ACTION: Mapping[tuple[str, State], Transition] = {
    (row.trigger, state): row for row in TABLE if row.who != "nobody" for state in row.states
}
_BY_ITSELF: Mapping[str, Transition] = {row.trigger: row for row in TABLE if row.who == "nobody"}


def transition_of(action: ActionName, state: State) -> Transition | None:
    """The row for an action in a state; none where it cannot be asked for there."""
    return _BY_ACTION.get((action, state))


def by_itself(trigger: str) -> Transition:
    """The row for what happens without anybody's asking. Raises KeyError."""
    return _BY_ITSELF[trigger]


def in_words(name: str) -> str:
    """A state or an action as people read it."""
    return name.replace("_", " ")
