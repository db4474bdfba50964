"""What this service reads of each fact. It stores the rest as it came, and does not parse it."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.brief import Acuity
from contracts.notifications import NotificationSent
from contracts.people import Desk, OrganisationCode
from contracts.placements import BookingRequested, Candidate
from contracts.submissions import ReferralSubmitted
from contracts.triage import ReferralTriaged
from services.chassis.views import Part, View

FactType = Literal[
    "referral.submitted",
    "referral.triaged",
    "booking.requested",
    "booking.confirmed",
    "booking.exhausted",
    "notification.sent",
]


class Fact(View):
    """A fact about a referral, in its envelope."""

    subject: UUID
    """The referral."""


class _Organisation(Part):
    organisation: OrganisationCode


class _Brief(Part):
    answer_by: AwareDatetime
    acuity: Acuity
    referrer: _Organisation
    desk: Desk


class _SubmittedData(Part):
    referrer: _Organisation
    desk: Desk
    answer_by: AwareDatetime


class Submitted(Fact):
    """`referral.submitted`."""

    TYPE = ReferralSubmitted.TYPE
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


class _ConfirmedData(_Briefed):
    outcome: Literal["slot_held", "place_held", "delivered"]
    service: Candidate
    starts_at: AwareDatetime | None = None
    acceptance_due: AwareDatetime | None = None
    reference: str
    owner: Desk
    due: AwareDatetime
    next_step: str


class Confirmed(Fact):
    """`booking.confirmed`."""

    TYPE = BookingConfirmed.TYPE
    data: _ConfirmedData


class _ExhaustedData(_Briefed):
    why: str
    proposal: Candidate | None = None
    owner: Desk
    due: AwareDatetime
    next_step: str


class Exhausted(Fact):
    """`booking.exhausted`."""

    TYPE = BookingExhausted.TYPE
    data: _ExhaustedData


class Receipt(Fact):
    """`notification.sent`: history, which goes to those of the outcome that it tells."""

    TYPE = NotificationSent.TYPE


_BY_TYPE: dict[str, type[Fact]] = {
    fact.TYPE: fact for fact in (Submitted, Triaged, Requested, Confirmed, Exhausted, Receipt)
}


def fact_in(value: bytes, type: str) -> Fact:
    """The fact of this type in a Kafka value. Raises KeyError for an unknown type, pydantic's ValidationError."""
    return _BY_TYPE[type].read(value)
