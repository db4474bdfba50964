"""The topic `bookings`, written by booking: the one outcome of each placement, and what became of what was held."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from contracts.brief import Brief
from contracts.envelope import Data, Instant, ReferralEvent
from contracts.people import Desk, OrganisationCode
from contracts.placements import Alternative, Candidate
from contracts.submissions import ServiceId, SlotMinutes
from contracts.topics import Topic

Refusal = Literal[
    "no free slot in time",
    "not active",
    "no diary",
    "no place this hour",
    "its diary did not answer",
    "its diary answered wrongly",
]

WhyExhausted = Literal[
    "to a clinician",
    "no candidate",
    "none could take the patient",
    "past answer_by",
    "waited in vain",
    "no longer wanted",
]


class Tried(Data):
    """A candidate that was tried and could not take the patient."""

    service_id: ServiceId
    name: str
    why: Refusal


class HeldHour(Data):
    """A place in an hour of a service that takes so many patients an hour."""

    begins: Instant
    come_by: Instant = Field(
        description="when somebody should have come: as the hour ends, or sooner where the patient may not wait so long"
    )
    taken: int = Field(ge=1, description="patients whom the hour holds, this one included")
    patients: int = Field(ge=1, description="patients whom the hour takes")


class BookingConfirmedData(Data):
    """Where, when and why; what was tried; who owns the referral and what happens next."""

    brief: Brief
    outcome: Literal["slot_held", "place_held", "delivered"]
    service: Candidate
    starts_at: Instant | None = Field(default=None, description="the slot, where one is held")
    slot_minutes: SlotMinutes | None = None
    acceptance_due: Instant | None = Field(default=None, description="where a place is held")
    hour: HeldHour | None = Field(default=None, description="where the service takes so many patients an hour")
    reference: str = Field(pattern=r"^[0-9]{12}$", description="12 digits that the patient is told")
    receiver_reference: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]{1,40}$",
        description="what a receiver that keeps its own diary calls the booking",
    )
    tried: tuple[Tried, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    owner: Desk
    due: Instant = Field(description="when the owner must look again if nothing is heard")
    next_step: str


class BookingConfirmed(ReferralEvent, type="booking.confirmed", topic=Topic.BOOKINGS, classification="clinical"):
    """A service will see the patient: where, when, and the reference the patient is told."""

    data: BookingConfirmedData


class BookingExhaustedData(Data):
    """Nobody could take the patient, and why; who owns the referral now; a proposal where there is one."""

    brief: Brief
    outcome: Literal["unplaced"] = "unplaced"
    why: WhyExhausted
    tried: tuple[Tried, ...] = ()
    proposal: Candidate | None = Field(default=None, description="the nearest emergency department; not booked")
    owner: Desk
    due: Instant
    next_step: str


class BookingExhausted(ReferralEvent, type="booking.exhausted", topic=Topic.BOOKINGS, classification="clinical"):
    """A placement ended without a place. A person decides; the nearest emergency department is proposed."""

    data: BookingExhaustedData


class Held(Data):
    """What a placement held."""

    placement_id: UUID
    reference: str = Field(pattern=r"^[0-9]{12}$")
    service_id: ServiceId
    starts_at: Instant | None = Field(default=None, description="the slot or the hour, where one was held")


class BookingReleased(ReferralEvent, type="booking.released", topic=Topic.BOOKINGS, classification="operational"):
    """What a placement held is given back, and free for somebody else."""

    data: Held


class DisplacedData(Held):
    """The service whose session is no more."""

    organisation: OrganisationCode


class BookingDisplaced(ReferralEvent, type="booking.displaced", topic=Topic.BOOKINGS, classification="operational"):
    """The service no longer runs the session that a held slot belongs to: the patient needs another place."""

    data: DisplacedData
