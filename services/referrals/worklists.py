"""Worklists: whose turn it is. Pure: every unfinished referral is on exactly one list of exactly one organisation."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, get_args
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.actions import ActionName
from contracts.brief import Acuity
from contracts.people import Desk
from contracts.placements import Candidate
from contracts.referrals import State
from services.referrals.duplicates import SuspectedDuplicate

WorklistName = Literal[
    "awaiting-booking",
    "awaiting-clinician",
    "slot-issues",
    "for-review",
    "information-wanted",
    "in-care",
    "rejected",
    "not-attended",
    "waiting",
    "unanswered",
    "possible-duplicates",
]

Role = Literal["crew's desk", "clinical hub", "receiving team", "administrator"]


class Worklist(NamedTuple):
    """A list of one side of a referral: whose it is, and what takes a referral off it."""

    side: Literal["referrer", "receiver"]
    role: Role
    clears: tuple[ActionName, ...]
    sentence: str


WORKLISTS: Mapping[WorklistName, Worklist] = {
    "awaiting-booking": Worklist(
        "referrer", "crew's desk", ("cancel",), "No place is known yet; it comes by itself, or the due time passes."
    ),
    "awaiting-clinician": Worklist(
        "referrer", "clinical hub", ("rebook", "arrange_elsewhere", "cancel"), "A clinician decides where to go."
    ),
    "slot-issues": Worklist(
        "referrer",
        "administrator",
        ("rebook", "wait", "arrange_elsewhere", "cancel"),
        "Nobody had room, or the service withdrew: find another place.",
    ),
    "for-review": Worklist(
        "receiver", "receiving team", ("receive", "accept", "reject", "want_information", "see"), "Decide on it."
    ),
    "information-wanted": Worklist(
        "referrer", "crew's desk", ("give_information", "cancel"), "The receiving service asks something."
    ),
    "in-care": Worklist(
        "receiver",
        "receiving team",
        ("begin_care", "see", "give_outcome", "not_attended"),
        "Say what came of it.",
    ),
    "rejected": Worklist(
        "referrer",
        "clinical hub",
        ("rebook", "wait", "arrange_elsewhere", "cancel"),
        "The service will not see the patient: decide where to go.",
    ),
    "not-attended": Worklist(
        "referrer",
        "administrator",
        ("rebook", "wait", "arrange_elsewhere", "cancel"),
        "The patient did not come: decide what is next.",
    ),
    "waiting": Worklist("referrer", "administrator", ("rebook", "arrange_elsewhere", "cancel"), "Waits for a place."),
    "unanswered": Worklist(
        "referrer",
        "clinical hub",
        ("rebook", "arrange_elsewhere", "cancel", "give_information"),
        "Something was due and nobody did it: telephone, and see to the patient.",
    ),
    "possible-duplicates": Worklist(
        "referrer",
        "clinical hub",
        ("not_duplicate", "cancel"),
        "Somebody else may have referred the same patient: telephone them, then say that it is no duplicate, or cancel "
        "yours as already referred.",
    ),
}

NAMES: tuple[WorklistName, ...] = get_args(WorklistName)

_OF_STATE: Mapping[State, WorklistName] = {
    "submitted": "awaiting-booking",
    "triaged": "awaiting-booking",
    "placement_asked": "awaiting-booking",
    "placed": "for-review",
    "unplaced": "slot-issues",
    "received": "for-review",
    "information_wanted": "information-wanted",
    "accepted": "in-care",
    "in_progress": "in-care",
    "seen": "in-care",
    "rejected": "rejected",
    "not_attended": "not-attended",
    "withdrawn": "slot-issues",
    "waiting": "waiting",
}


DUPLICATES: WorklistName = "possible-duplicates"
"""The list beside the others: of referrals that are on one of those as well."""


def worklist_of(state: State, *, escalated: bool, to_clinician: bool = False) -> WorklistName | None:
    """The one list that a referral in this state is on; none where it is finished.

    `escalated`: its latest move is that a due time passed. `to_clinician`: it is unplaced because triage said that a
    clinician decides.
    """
    if state not in _OF_STATE:
        return None
    if escalated:
        return "unanswered"
    return "awaiting-clinician" if state == "unplaced" and to_clinician else _OF_STATE[state]


def states_of(name: WorklistName) -> tuple[State, ...]:
    """The states in which a referral may be on a list."""
    if name == "unanswered":
        return tuple(_OF_STATE)
    return tuple(
        state
        for state in _OF_STATE
        if name in {worklist_of(state, escalated=False, to_clinician=t) for t in (True, False)}
    )


class WorkItem(BaseModel):
    """A referral on a worklist: who must do what by when."""

    referral_id: UUID
    version: int
    state: State
    acuity: Acuity | None
    owner: Desk
    role: Annotated[Role, Field(description="whose list it is")]
    due: Annotated[AwareDatetime, Field(description="when the owner must have looked")]
    next_step: str
    clears: Annotated[list[ActionName], Field(description="what takes it off this list")]
    service: Candidate | None
    escalations: int
    duplicate: Annotated[
        SuspectedDuplicate | None, Field(description="on possible-duplicates, which other referral; `due` is its own")
    ] = None


class WorkItems(BaseModel):
    """A worklist of an organisation, the most urgent first."""

    name: WorklistName
    role: Role
    what: str
    items: list[WorkItem]
    more: Annotated[bool, Field(description="there are more than are shown: these come first")]


class WorklistCount(BaseModel):
    """How many referrals are on a worklist, and of how many the due time has passed."""

    name: WorklistName
    role: Role
    what: str
    referrals: int
    overdue: int
