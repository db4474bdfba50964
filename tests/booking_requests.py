"""What tests of booking ask for: services as they are listed, candidates, briefs, and placements asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from contracts.bookings import BookingConfirmed
from contracts.brief import Brief, Disposition, Reason
from contracts.directory import DAYS, Service, ServiceListed, ServiceListedData, SlotSession
from contracts.people import Age, Contact, Desk, PatientIdentity, Position, Referrer
from contracts.placements import BookingRequested, BookingRequestedData, Candidate
from contracts.referrals import BookingWithdrawn, BookingWithdrawnData

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)
"""A Wednesday in winter, when London's clock shows UTC."""

HERE = Position(latitude=52.9, longitude=-1.2)
DESK = Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960000")
FAMILY = UUID("6a1d3c52-0000-4000-8000-000000000000")


def session(begins: str = "00:00", ends: str = "24:00", **changes: Any) -> SlotSession:
    """A session on every day, with a slot for one patient every half hour."""
    whole: dict[str, Any] = {"days": DAYS, "begins": begins, "ends": ends, "slot_minutes": 30, "capacity": 1}
    return SlotSession(**whole | changes)


def service(service_id: str, *sessions: SlotSession, **changes: Any) -> Service:
    """A service that books by slots where it has sessions, and else takes everyone who comes."""
    whole: dict[str, Any] = {
        "service_id": service_id,
        "name": f"Service {service_id}",
        "service_type": 135,
        "organisation": "ONW02",
        "position": HERE,
        "telephone": "01632 960100",
        "booking": "slots" if sessions else "delivery",
        "sessions": sessions,
    }
    return Service(**whole | changes)


def listed(entry: Service, version: int = 1) -> ServiceListed:
    """The event that lists a service."""
    return ServiceListed.first(
        ServiceListedData(version=version, service=entry),
        id=uuid5(FAMILY, f"{entry.service_id}/{version}"),
        source="onward/pathways",
        subject=entry.service_id,
        time=NOON,
    )


def candidate(service_id: str, **changes: Any) -> Candidate:
    """A service that could take the patient."""
    whole: dict[str, Any] = {
        "service_id": service_id,
        "name": f"Service {service_id}",
        "service_type": 135,
        "organisation": "ONW02",
        "telephone": "01632 960100",
        "instructions": "Ring ahead.",
        "position": HERE,
        "distance_km": 2.5,
        "booking": "slots",
        "why": "nearest suitable open urgent treatment centre, 2.5 km",
    }
    return Candidate(**whole | changes)


def brief(placement: int = 1, *, minutes: int = 120, **changes: Any) -> Brief:
    """What a placement carries: a woman of 70 who is to be seen within so many minutes."""
    whole: dict[str, Any] = {
        "placement_id": UUID(int=placement),
        "answer_by": NOON + timedelta(minutes=15),
        "accept": "any",
        "position": HERE,
        "age": Age(value=70),
        "gender": "female",
        "surgery": None,
        "presentation": "fall",
        "service_types": (135,),
        "to_clinician": False,
        "disposition": Disposition(code="UTC-TODAY", name="Urgent treatment centre", minutes=minutes),
        "acuity": "standard",
        "reasons": (Reason(rule="fall", text="A fall without red flags.", source="an example"),),
        "patient": PatientIdentity(nhs_number="9000000009", contact=Contact(mobile="07700 900123")),
        "referrer": Referrer(organisation="ONW01", practitioner="P1", role="paramedic"),
        "desk": DESK,
    }
    return Brief(**whole | changes)


def requested(
    placement: int,
    *candidates: str | Candidate,
    time: datetime = NOON,
    catch_all: Candidate | None = None,
    wait_until: datetime | None = None,
    **changes: Any,
) -> BookingRequested:
    """A placement is asked for, by its number, with these candidates in order; `changes` are to its brief."""
    asked = brief(placement, **changes)
    data = BookingRequestedData(
        brief=asked,
        candidates=tuple(candidate(one) if isinstance(one, str) else one for one in candidates),
        catch_all=catch_all,
        wait_until=wait_until,
    )
    referral = uuid5(FAMILY, f"referral {placement}")
    return BookingRequested.first(
        data, id=uuid5(referral, "requested"), source="onward/pathways", subject=str(referral), time=time
    )


def withdrawn(confirmed: BookingConfirmed, why: str = "cancelled", **changes: Any) -> BookingWithdrawn:
    """What was confirmed no longer counts; `changes` are to what says so."""
    told = confirmed.data
    whole: dict[str, Any] = {
        "placement_id": told.brief.placement_id,
        "reference": told.reference,
        "service_id": told.service.service_id,
        "organisation": told.service.organisation,
        "why": why,
    }
    return BookingWithdrawn.first(
        BookingWithdrawnData(**whole | changes),
        id=uuid5(confirmed.id, why),
        source="onward/referrals",
        subject=confirmed.subject,
        time=NOON,
    )
