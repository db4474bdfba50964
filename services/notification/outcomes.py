"""What this service reads of an outcome: whom it concerns, what is arranged, and nothing of why."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.people import Contact, Desk
from services.chassis.views import Part, View


class _Organisation(Part):
    organisation: str


class _Reachable(Part):
    contact: Contact


class _Brief(Part):
    placement_id: UUID
    referrer: _Organisation
    patient: _Reachable


class _Service(Part):
    name: str
    organisation: str
    telephone: str


class _Outcome(View):
    subject: str
    """The referral."""
    correlationid: UUID
    traceparent: str | None = None


class _ConfirmedData(Part):
    brief: _Brief
    service: _Service
    starts_at: AwareDatetime | None = None
    acceptance_due: AwareDatetime | None = None
    reference: str
    owner: Desk
    due: AwareDatetime


class Confirmed(_Outcome):
    """`booking.confirmed`."""

    TYPE: ClassVar[str] = BookingConfirmed.TYPE
    type: Literal["booking.confirmed"]
    data: _ConfirmedData


class _ExhaustedData(Part):
    brief: _Brief
    why: str
    proposal: _Service | None = None
    owner: Desk
    due: AwareDatetime


class Exhausted(_Outcome):
    """`booking.exhausted`."""

    TYPE: ClassVar[str] = BookingExhausted.TYPE
    type: Literal["booking.exhausted"]
    data: _ExhaustedData


Outcome = Confirmed | Exhausted
