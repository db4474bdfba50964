"""The topics `services`, `desks` and `capacity`, written by pathways: compacted, no personal data."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from contracts.envelope import Data, Event, Instant, Text, Version
from contracts.people import Age, Desk, Gender, OrganisationCode, Position, Telephone
from contracts.placements import BookingKind
from contracts.submissions import ServiceId, ServiceType
from contracts.topics import Topic

SERVICE_TYPES: dict[int, str] = {
    8: "social care",
    13: "pharmacy",
    38: "community nursing",
    40: "emergency department catch-all",
    50: "palliative care",
    100: "GP practice",
    105: "emergency department",
    121: "primary PCI centre",
    122: "hyper-acute stroke unit",
    135: "urgent treatment centre",
    140: "same-day emergency care",
    142: "mental-health crisis",
    146: "urgent community response",
    153: "maternity",
    154: "early pregnancy assessment unit",
    155: "virtual ward",
    156: "urgent dental care",
    158: "ambulance service pathway",
}
"""Names of the types that this project uses (Directory of Services). A directory may hold others."""

EMERGENCY_DEPARTMENT = 105

ClockTime = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
"""HH:MM in Europe/London; 24:00 is the end of a day."""

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class OpeningPeriod(Data):
    """Open from one clock time until another, Europe/London. One that ends before it begins runs past midnight."""

    days: tuple[Day, ...] = Field(min_length=1)
    opens: ClockTime
    closes: ClockTime


class SpecifiedDate(Data):
    """Hours of one date, over all others; no period means closed."""

    on: date
    periods: tuple[tuple[ClockTime, ClockTime], ...] = ()


class OpeningHours(Data):
    """When a service is open. Most specific first: specified dates, always open, public holidays, weekly periods."""

    always: bool = False
    periods: tuple[OpeningPeriod, ...] = ()
    public_holidays: tuple[tuple[ClockTime, ClockTime], ...] | None = Field(
        default=None, description="hours of a public holiday; absent means as on any other day, and none means closed"
    )
    dates: tuple[SpecifiedDate, ...] = ()


Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
"""A code of the site's own table: a symptom group, a discriminator, a disposition or a referral role."""

AreaCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
"""A local authority, a commissioner or a locally defined area, by its code."""


class SymptomGroup(Data):
    """A symptom group that a service takes, and the discriminators that it can meet there."""

    code: Code
    discriminators: tuple[Code, ...] = Field(default=(), description="none means all of the group")


class SlotSession(Data):
    """A session of a diary: on these days, between these clock times (Europe/London), a slot every so many minutes."""

    days: tuple[Day, ...] = Field(min_length=1)
    begins: ClockTime
    ends: ClockTime
    slot_minutes: int = Field(ge=5, le=480)
    capacity: int = Field(ge=1, le=1000, description="patients a slot")


DiaryAddress = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^https?://[A-Za-z0-9.-]{1,120}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*$")
]
"""Where a diary answers: no user, no query, no slash at the end."""


class DiaryElsewhere(Data):
    """A diary that the receiver keeps: its slots are asked for there, and booked there."""

    kind: Literal["onward"] = Field(
        default="onward", description="how it is asked: docs/decisions/booking-diaries-elsewhere.md"
    )
    address: DiaryAddress


class Service(Data):
    """An entry of the directory."""

    service_id: ServiceId
    name: Annotated[Text, StringConstraints(min_length=1, max_length=200)]
    service_type: ServiceType
    organisation: OrganisationCode
    position: Position
    telephone: Telephone = Field(description="the professional line")
    instructions: Annotated[Text, StringConstraints(max_length=1000)] = ""
    active: bool = True
    hours: OpeningHours = OpeningHours(always=True)
    age_from: Age | None = Field(default=None, description="youngest, included")
    age_until: Age | None = Field(default=None, description="oldest, included to the end of that unit")
    genders: tuple[Gender, ...] = Field(default=(), description="none means all")
    symptom_groups: tuple[SymptomGroup, ...] = Field(default=(), description="none means all")
    dispositions: tuple[Code, ...] = Field(default=(), description="none means all")
    referral_roles: tuple[Code, ...] = Field(default=(), description="who may refer; none means everyone")
    commissioned_by: tuple[OrganisationCode, ...] = Field(default=(), description="surgeries that commission it")
    restricted: bool = Field(
        default=False, description="only patients registered with a surgery that commissions it, where any does"
    )
    limited_to: tuple[AreaCode, ...] = Field(default=(), description="areas that it serves; none means all")
    promoted_to: tuple[AreaCode, ...] = Field(default=(), description="areas that it is put forward in")
    only_if_open_within_minutes: int | None = Field(
        default=None,
        ge=0,
        le=1440,
        description="offered only if open or opening so soon (0, 15 or 30 in the published search)",
    )
    booking: BookingKind = "delivery"
    accept_within_minutes: int | None = Field(default=None, ge=1, le=10_000)
    sessions: tuple[SlotSession, ...] = ()
    patients_an_hour: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="of a service without slots: how many new patients it takes in each hour in which it is open",
    )
    diary: DiaryElsewhere | None = Field(
        default=None, description="for booking by slots, in place of sessions: where the receiver keeps its diary"
    )

    @model_validator(mode="after")
    def _booking_is_whole(self) -> "Service":
        if self.booking == "slots" and not self.sessions and self.diary is None:
            raise ValueError("a service that books by slots needs at least one session, or a diary kept elsewhere")
        if self.diary is not None and (self.booking != "slots" or self.sessions):
            raise ValueError("a diary kept elsewhere is of a service that books by slots and has no sessions here")
        if self.booking == "acceptance" and self.accept_within_minutes is None:
            raise ValueError("a service that books by acceptance needs accept_within_minutes")
        if self.booking == "slots" and self.patients_an_hour is not None:
            raise ValueError("a service that books by slots takes as many as its sessions say, not patients_an_hour")
        return self


class ServiceListedData(Data):
    """A directory entry, whole, and its version. Readers keep the highest version."""

    version: Version
    service: Service


class ServiceListed(Event, type="service.listed", topic=Topic.SERVICES, classification="operational"):
    """A service stands in the directory as this says. Delisting is `active: false`."""

    data: ServiceListedData


class DeskListedData(Data):
    """A desk and its version. Readers keep the highest version."""

    version: Version
    desk: Desk


class DeskListed(Event, type="desk.listed", topic=Topic.DESKS, classification="operational"):
    """An organisation has a desk: without one it cannot submit, for nobody would own its referrals."""

    data: DeskListedData


class CapacityReportedData(Data):
    """A capacity status, by which organisation, from when until when. Red is excluded."""

    version: Version
    service_id: ServiceId
    capacity: Literal["red", "amber", "green"]
    reported_by: OrganisationCode
    reported_at: Instant
    resets_at: Instant | None = None


class CapacityReported(Event, type="capacity.reported", topic=Topic.CAPACITY, classification="operational"):
    """A service said how full it is."""

    data: CapacityReportedData
