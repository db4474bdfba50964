"""The answer to a submission: where, when and why, or that a person decides. One pure function of the outcome.

It holds nothing of who the patient is: no number, no name, no contact.
"""

from typing import Any, Literal, Self, cast
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.bookings import (
    BookingConfirmed,
    BookingConfirmedData,
    BookingExhausted,
    BookingExhaustedData,
    HeldHour,
    Tried,
)
from contracts.brief import Acuity, Disposition, Reason
from contracts.directory import SERVICE_TYPES
from contracts.people import Desk, Position
from contracts.placements import Alternative, Candidate
from contracts.submissions import Mark, referral_id
from services.chassis.lean import lean, written


def type_name(service_type: int) -> str:
    """The name of a Directory of Services type; the number of one that is not known here."""
    return SERVICE_TYPES.get(service_type, f"service type {service_type}")


class AnsweredAlternative(BaseModel):
    """A service that could have taken the patient: enough to telephone it, or to name it in another submission."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    type: int = Field(description="Directory of Services type")
    type_name: str
    telephone: str = Field(description="the professional line")
    distance_km: float
    why: str

    @classmethod
    def of(cls, service: Alternative | Candidate, **more: Any) -> Self:
        """What an answer says of a service, and what more of this kind of answer."""
        return cls(
            id=service.service_id,
            name=service.name,
            type=service.service_type,
            type_name=type_name(service.service_type),
            telephone=service.telephone,
            distance_km=service.distance_km,
            why=service.why,
            **more,
        )


class AnsweredService(AnsweredAlternative):
    """A service: what it is, how to reach it, and why it stands at its place."""

    instructions: str = Field(description="what the referrer must do or say")
    position: Position

    @classmethod
    def of_candidate(cls, candidate: Candidate) -> Self:
        """What an answer says of the service that takes the patient, or is proposed."""
        return cls.of(candidate, instructions=candidate.instructions, position=candidate.position)


class Answer(BaseModel):
    """The outcome of a submission, as its sender is told it."""

    model_config = ConfigDict(frozen=True)

    referral_id: UUID
    outcome: Literal["slot_held", "place_held", "delivered", "unplaced"]
    acuity: Acuity
    disposition: Disposition
    service: AnsweredService | None = Field(description="who will see the patient; none when unplaced")
    starts_at: AwareDatetime | None = Field(description="the slot that is held")
    slot_minutes: int | None
    acceptance_due: AwareDatetime | None = Field(description="by when the service must accept, where a place is held")
    hour: HeldHour | None = Field(description="where the service takes so many patients an hour")
    reference: str | None = Field(description="12 digits that the patient is told")
    unplaced_because: str | None
    reasons: tuple[Reason, ...] = Field(description="the rules that fired, with their sources")
    marks: tuple[Mark, ...] = Field(description="what is unusual, for a clinician to look at")
    tried: tuple[Tried, ...] = Field(description="who could not take the patient, and why")
    alternatives: tuple[AnsweredAlternative, ...] = Field(description="who else could have taken the patient")
    proposal: AnsweredService | None = Field(description="the nearest emergency department; not booked")
    owner: Desk = Field(description="who looks after the referral now")
    due: AwareDatetime = Field(description="when the owner must look again")
    next_step: str = Field(description="what happens next, and what to do if nothing is heard")


class Pending(BaseModel):
    """Not settled in time, or not known to be on its way. The same key, asked again, gives the outcome."""

    model_config = ConfigDict(frozen=True)

    referral_id: UUID | None = Field(description="none where it is unknown whether anything was received")
    outcome: Literal["pending", "unknown"] = Field(
        description="pending: received, and being settled; unknown: it may not have been received"
    )
    next_step: str


PENDING = "It is received and being settled. Ask again with the same Idempotency-Key for the outcome."
UNKNOWN = (
    "It is not known whether this was received. Ask again with the same Idempotency-Key: "
    "nothing is done twice. If there is no answer, telephone your organisation's desk."
)


LeanAnswer, LeanService, LeanAlternative = lean(Answer), lean(AnsweredService), lean(AnsweredAlternative)


def answer_of(event: BookingConfirmed | BookingExhausted) -> Answer:
    """What the sender is told of an outcome."""
    brief, data = event.data.brief, event.data
    confirmed = cast("BookingConfirmedData", data) if event.type == BookingConfirmed.TYPE else None
    exhausted = None if confirmed else cast("BookingExhaustedData", data)
    proposal = exhausted and exhausted.proposal
    return LeanAnswer(
        referral_id=referral_id(event),
        outcome=data.outcome,
        acuity=brief.acuity,
        disposition=brief.disposition,
        service=LeanService.of_candidate(confirmed.service) if confirmed else None,
        starts_at=confirmed.starts_at if confirmed else None,
        slot_minutes=confirmed.slot_minutes if confirmed else None,
        acceptance_due=confirmed.acceptance_due if confirmed else None,
        hour=confirmed.hour if confirmed else None,
        reference=confirmed.reference if confirmed else None,
        unplaced_because=exhausted.why if exhausted else None,
        reasons=brief.reasons,
        marks=brief.marks,
        tried=data.tried,
        alternatives=tuple(map(LeanAlternative.of, confirmed.alternatives)) if confirmed else (),
        proposal=LeanService.of_candidate(proposal) if proposal else None,
        owner=data.owner,
        due=data.due,
        next_step=data.next_step,
    )


def body_of(event: BookingConfirmed | BookingExhausted) -> bytes:
    """The answer as the JSON that is sent and stored: the same bytes whoever makes it."""
    return written(answer_of(event))
