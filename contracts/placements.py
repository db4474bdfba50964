"""The topic `placements`, written by pathways: who could take the patient, in order, and why."""

from typing import Literal

from pydantic import Field

from contracts.brief import Brief
from contracts.envelope import Data, Instant, ReferralEvent
from contracts.people import OrganisationCode, Position, Telephone
from contracts.submissions import ServiceId, ServiceType
from contracts.topics import Topic

BookingKind = Literal["slots", "acceptance", "delivery"]
"""How a service takes patients: by slots of a diary, by accepting each in a set time, or as they come."""


class Candidate(Data):
    """A service that could take the patient, and why it stands at this place."""

    service_id: ServiceId
    name: str
    service_type: ServiceType
    organisation: OrganisationCode
    telephone: Telephone = Field(description="the professional line")
    instructions: str = Field(default="", description="what the referrer must do or say")
    position: Position
    distance_km: float = Field(ge=0)
    booking: BookingKind
    accept_within_minutes: int | None = Field(default=None, ge=1, le=10_000, description="for booking by acceptance")
    opens_at: Instant | None = Field(default=None, description="none where it is open already")
    open_until: Instant | None = Field(default=None, description="none where it never closes")
    capacity: Literal["green", "amber", "unknown"] = "unknown"
    why: str


class Alternative(Data):
    """A candidate that was not needed: enough to telephone it, or to name it in another submission."""

    service_id: ServiceId
    name: str
    service_type: ServiceType
    telephone: Telephone
    distance_km: float = Field(ge=0)
    why: str

    @classmethod
    def of(cls, candidate: Candidate) -> "Alternative":
        """What is kept of a candidate that was not needed."""
        return cls(**{name: getattr(candidate, name) for name in cls.model_fields})


class NearMiss(Data):
    """A service that failed exactly one criterion."""

    service_id: ServiceId
    name: str
    service_type: ServiceType
    distance_km: float = Field(ge=0)
    failed: str = Field(description="the criterion")
    why: str


class BookingRequestedData(Data):
    """One search's result. No candidate is an ordinary result."""

    brief: Brief
    candidates: tuple[Candidate, ...] = Field(max_length=50)
    near_misses: tuple[NearMiss, ...] = ()
    catch_all: Candidate | None = Field(
        default=None, description="the nearest emergency department: proposed, never booked unless it is a candidate"
    )
    wait_until: Instant | None = Field(
        default=None, description="where none of them is free, wait until then for one that is freed"
    )


class BookingRequested(ReferralEvent, type="booking.requested", topic=Topic.PLACEMENTS, classification="clinical"):
    """A placement is asked for: ranked candidates, none included."""

    data: BookingRequestedData
