"""What this service reads of an outcome: whom it concerns, what is arranged, and nothing of why."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Instant, ReferralId
from contracts.people import Contact, Desk
from services.chassis.views import Part, View


class Organisation(Part):
    """Whose somebody is."""

    organisation: str


class Reachable(Part):
    """How a patient may be told."""

    contact: Contact = Contact()


class _Brief(Part):
    placement_id: UUID
    referrer: Organisation
    patient: Reachable


class ServiceNamed(Part):
    """A service, as it is named to organisations."""

    name: str
    organisation: str
    telephone: str


class Envelope(View):
    """A fact that people hear of."""

    subject: ReferralId
    correlationid: UUID
    traceparent: str | None = None


class _ConfirmedData(Part):
    brief: _Brief
    service: ServiceNamed
    starts_at: Instant | None = None
    acceptance_due: Instant | None = None
    reference: str
    receiver_reference: str | None = None
    owner: Desk
    due: Instant


class Confirmed(Envelope):
    """`booking.confirmed`."""

    TYPE: ClassVar[str] = BookingConfirmed.TYPE
    type: Literal["booking.confirmed"]
    data: _ConfirmedData


class _ExhaustedData(Part):
    brief: _Brief
    why: str
    proposal: ServiceNamed | None = None
    owner: Desk
    due: Instant


class Exhausted(Envelope):
    """`booking.exhausted`."""

    TYPE: ClassVar[str] = BookingExhausted.TYPE
    type: Literal["booking.exhausted"]
    data: _ExhaustedData


Outcome = Confirmed | Exhausted
