"""What this service reads of each fact of the flow. It stores the rest as it came, and does not parse it.

All that is read of a stored fact by itself, when a time has passed or two referrals are compared, is named here: what
is stored can be read again, whatever else is wrong with it.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import StringConstraints

from contracts.bookings import BookingConfirmed, BookingExhausted, BookingReleased, HeldHour
from contracts.brief import Acuity, Brief
from contracts.envelope import Event, Instant
from contracts.notifications import NotificationSent
from contracts.people import Age, Contact, Desk, Gender, NhsNumber, PatientIdentity, Referrer
from contracts.placements import BookingRequested, Candidate
from contracts.submissions import ReferralSubmitted, SlotMinutes
from contracts.triage import ReferralTriaged
from services.chassis.views import Part, View

FactType = Literal[
    "referral.submitted",
    "referral.triaged",
    "booking.requested",
    "booking.confirmed",
    "booking.exhausted",
    "notification.sent",
    "referral.action-requested",
    "booking.released",
    "booking.displaced",
    "referral.received",
    "referral.accepted",
    "referral.rejected",
    "referral.information-wanted",
    "referral.information-given",
    "referral.taken-up",
    "referral.seen",
    "referral.outcome-given",
    "referral.not-attended",
    "referral.withdrawn",
    "referral.rebooked",
    "referral.wait-listed",
    "referral.cancelled",
    "referral.arranged-elsewhere",
    "referral.escalated",
    "referral.message-left",
    "referral.contact-recorded",
    "referral.document-attached",
    "referral.duplicate-suspected",
    "referral.duplicate-ruled-out",
    "referral.action-refused",
    "placement.requested",
    "booking.withdrawn",
]


class Fact(View):
    """A fact about a referral, in its envelope."""

    subject: UUID
    """The referral."""


class _Brief(Part):
    answer_by: Instant
    acuity: Acuity
    patient: PatientIdentity
    referrer: Referrer
    desk: Desk


class PatientDescribed(Part):
    """By what a patient is told apart, and how one may be told."""

    nhs_number: NhsNumber | None = None
    contact: Contact = Contact()
    name: str | None = None
    age: Age | None = None
    gender: Gender = "unknown"


class _Submission(Part):
    patient: PatientDescribed


class _SubmittedData(Part):
    submission: _Submission
    referrer: Referrer
    desk: Desk
    answer_by: Instant


class Submitted(Fact):
    """`referral.submitted`."""

    TYPE = ReferralSubmitted.TYPE
    time: Instant
    data: _SubmittedData


class _Briefed(Part):
    brief: _Brief


class Triaged(Fact):
    """`referral.triaged`."""

    TYPE = ReferralTriaged.TYPE
    data: _Briefed


class Requested(Fact):
    """`booking.requested`."""

    TYPE = BookingRequested.TYPE
    data: _Briefed


class _EndedData(Part):
    brief: Brief
    """Whole: a further search begins with it."""


class _ConfirmedData(_EndedData):
    outcome: Literal["slot_held", "place_held", "delivered"]
    service: Candidate
    starts_at: Instant | None = None
    slot_minutes: SlotMinutes | None = None
    acceptance_due: Instant | None = None
    hour: HeldHour | None = None
    reference: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
    owner: Desk
    due: Instant
    next_step: str


class Confirmed(Fact):
    """`booking.confirmed`."""

    TYPE = BookingConfirmed.TYPE
    correlationid: UUID
    time: Instant
    data: _ConfirmedData


class _ExhaustedData(_EndedData):
    why: str
    proposal: Candidate | None = None
    owner: Desk
    due: Instant
    next_step: str


class Exhausted(Fact):
    """`booking.exhausted`."""

    TYPE = BookingExhausted.TYPE
    correlationid: UUID
    data: _ExhaustedData


class Receipt(Fact):
    """`notification.sent`: history, which goes to those of the outcome that it tells."""

    TYPE = NotificationSent.TYPE


class Released(Receipt):
    """`booking.released`: history, as a receipt is."""

    TYPE = BookingReleased.TYPE


_BY_TYPE: dict[str, type[Fact]] = {
    fact.TYPE: fact for fact in (Submitted, Triaged, Requested, Confirmed, Exhausted, Receipt, Released)
}


def fact_in(value: bytes, type: str) -> Fact | Event:
    """The fact of this type in a Kafka value: as far as it is read, or whole where this service told it or decides on
    it. Raises KeyError for an unknown type, pydantic's ValidationError."""
    return (_BY_TYPE.get(type) or Event.KNOWN[type]).read(value)


def is_of_further_placement(ended: Confirmed | Exhausted) -> bool:
    """Whether a placement is not the first of its referral, which has the id of the submission that began it all."""
    return ended.correlationid != ended.data.brief.placement_id
