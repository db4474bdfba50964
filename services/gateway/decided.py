"""The answer to an action: where the referral stands now, or why it was not done and what to do instead.

It holds nothing of who the patient is, and nothing of what the desks say to each other.
"""

from typing import Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import to_json

from contracts.bookings import HeldHour
from contracts.brief import Acuity
from contracts.envelope import Event
from contracts.people import Desk, OrganisationCode
from contracts.referrals import (
    Clocks,
    Place,
    ReferralAccepted,
    ReferralActionRefused,
    ReferralArrangedElsewhere,
    ReferralCancelled,
    ReferralContactRecorded,
    ReferralDuplicateRuledOut,
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
    Refusal,
    Standing,
    State,
)
from contracts.submissions import referral_id
from services.chassis.problems import Problem
from services.gateway.answer import AnsweredService
from services.gateway.answered import Answered
from services.gateway.outcomes import Seen

ANSWERING: tuple[type[Event], ...] = (
    ReferralReceived,
    ReferralAccepted,
    ReferralRejected,
    ReferralInformationWanted,
    ReferralInformationGiven,
    ReferralTakenUp,
    ReferralSeen,
    ReferralOutcomeGiven,
    ReferralNotAttended,
    ReferralWithdrawn,
    ReferralRebooked,
    ReferralWaitListed,
    ReferralCancelled,
    ReferralArrangedElsewhere,
    ReferralMessageLeft,
    ReferralContactRecorded,
    ReferralDuplicateRuledOut,
    ReferralActionRefused,
)
"""The facts that answer an action. One that a time or another service brings about answers none."""

STATUS: dict[Refusal, int] = {
    "unknown": 404,
    "not-yours": 403,
    "wrong-state": 409,
    "not-possible": 409,
    "no-place": 409,
    "moved-on": 412,
}
TITLE: dict[Refusal, str] = {
    "unknown": "No such referral",
    "not-yours": "Not yours to do",
    "wrong-state": "Not as the referral stands",
    "not-possible": "This cannot be done",
    "no-place": "No other place was found",
    "moved-on": "The referral has moved on",
}


class AnsweredPlace(BaseModel):
    """Where the patient is expected, or was."""

    model_config = ConfigDict(frozen=True)

    placement_id: UUID
    outcome: Literal["slot_held", "place_held", "delivered"]
    service: AnsweredService
    starts_at: AwareDatetime | None = Field(description="the slot, where one is held")
    slot_minutes: int | None
    acceptance_due: AwareDatetime | None = Field(description="by when the service must accept, where a place is held")
    hour: HeldHour | None = Field(description="where the service takes so many patients an hour")
    reference: str = Field(description="12 digits that the patient is told")

    @classmethod
    def of(cls, place: Place) -> Self:
        """What an answer says of a place."""
        return cls(
            service=AnsweredService.of_candidate(place.service),
            **{name: getattr(place, name) for name in cls.model_fields if name != "service"},
        )


class ActionAnswer(BaseModel):
    """What an action led to: where the referral stands from now on."""

    model_config = ConfigDict(frozen=True)

    referral_id: UUID
    done: str = Field(description="the fact that was told, such as referral.accepted")
    version: int = Field(description="also the ETag: send it as If-Match with the next action")
    state: State
    owner: Desk = Field(description="who looks after the referral now")
    due: AwareDatetime = Field(description="when the owner must look again; of a finished one, when it was finished")
    next_step: str
    acuity: Acuity | None
    place: AnsweredPlace | None = Field(description="where the patient is expected now")
    given_back: AnsweredPlace | None = Field(description="what was held until now, and is free for others")
    clocks: Clocks = Field(description="by when the receiver answers; both sides see them")
    asked: UUID | None = Field(description="a further placement that is being looked for")
    desk: Desk = Field(description="of the organisation that refers")
    referrer: OrganisationCode
    escalations: int = Field(description="how often nobody answered in time")


def answer_of(event: Event) -> ActionAnswer:
    """What is told of an action that was done."""
    data: Any = event.data
    standing: Standing = data.standing
    given_back: Place | None = getattr(data, "old", None) or getattr(data, "place", None)
    same = ("version", "state", "owner", "due", "next_step", "acuity", "clocks", "asked", "desk", "escalations")
    return ActionAnswer(
        referral_id=referral_id(event),
        done=event.type,
        place=AnsweredPlace.of(standing.place) if standing.place else None,
        given_back=AnsweredPlace.of(given_back) if given_back else None,
        referrer=standing.referrer.organisation,
        **{name: getattr(standing, name) for name in same},
    )


def problem_of(event: ReferralActionRefused) -> Problem:
    """Why an action was not done; to those on the referral, where it stands and what comes next."""
    refused = event.data
    known = refused.standing if refused.refusal != "unknown" else None
    if known is None:
        return Problem(STATUS[refused.refusal], TITLE[refused.refusal], refused.why, refusal=refused.refusal)
    return Problem(
        STATUS[refused.refusal],
        TITLE[refused.refusal],
        refused.why,
        refusal=refused.refusal,
        referral_id=event.subject,
        version=known.version,
        state=known.state,
        owner=known.owner.model_dump(mode="json"),
        due=known.due,
        next_step=known.next_step,
    )


class Decided(Seen):
    """A fact that may answer an action."""


def _seen(contract: type[Event]) -> type[Decided]:
    return type(f"{contract.__name__}Seen", (Decided,), {"__doc__": f"`{contract.TYPE}`.", "TYPE": contract.TYPE})


DECIDED = tuple(map(_seen, ANSWERING))
"""What the gateway reads of the topic `referrals`."""

_CONTRACTS = {contract.TYPE: contract for contract in ANSWERING}


def answered(seen: Seen) -> Answered:
    """The answer that a fact is to an action. Raises pydantic's ValidationError."""
    event = _CONTRACTS[seen.type].read(seen.to_json())
    if isinstance(event, ReferralActionRefused):
        problem = problem_of(event)
        return Answered(to_json(problem.body), problem.status)
    return Answered(to_json(answer_of(event)), 200)
