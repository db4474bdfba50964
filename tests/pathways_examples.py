"""What tests of pathways say: services, capacity reports, a brief, and the events that carry them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

from contracts.brief import Brief, Disposition, Reason
from contracts.diaries import DiaryReported, DiaryReportedData, FreeSlot
from contracts.directory import (
    CapacityReported,
    CapacityReportedData,
    OpeningHours,
    Service,
    ServiceListed,
    ServiceListedData,
)
from contracts.people import Age, Desk, PatientIdentity, Position, Referrer
from contracts.referrals import PlacementRequested, PlacementRequestedData, Standing
from contracts.submissions import AcceptedService, AcceptedType
from contracts.triage import ReferralTriaged, ReferralTriagedData, Scores
from services.chassis.lean import lean
from services.chassis.versioned_table import read_table
from services.pathways.codes import CodeTable
from services.pathways.index import Index, Snapshot
from services.pathways.placing import mapped, request_of
from services.pathways.search import Ranked, search
from services.pathways.settings import PathwaysSettings
from tests.contracts.golden_examples import VALID_BY_NAME

NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)
"""A Wednesday in winter, when London's clock shows UTC."""

CODES = read_table(PathwaysSettings().codes, CodeTable)
"""The code table that is shipped."""

HERE = Position(latitude=52.9, longitude=-1.2)
KM = 1 / 111.195
"""A kilometre in degrees of latitude, near enough."""

ED, STROKE, UTC_CENTRE, COMMUNITY = 105, 122, 135, 146


def north_of_here(km: float) -> Position:
    """A position so many km north of the patient."""
    return Position(latitude=HERE.latitude + km * KM, longitude=HERE.longitude)


def service(service_id: str, service_type: int = STROKE, *, km: float = 1.0, **changes: Any) -> Service:
    """An always-open service that takes everyone, so many km north of the patient."""
    whole = {
        "service_id": service_id,
        "name": f"Service {service_id}",
        "service_type": service_type,
        "organisation": "ONW01",
        "position": north_of_here(km),
        "telephone": "01632 960100",
        "instructions": "Ring ahead.",
        "hours": OpeningHours(always=True),
    }
    return Service(**{**whole, **changes})


def listed(entry: Service, version: int = 1) -> ServiceListed:
    """The event that lists a service."""
    data = ServiceListedData(version=version, service=entry)
    return ServiceListed.first(data, id=uuid4(), source="onward/pathways", subject=entry.service_id, time=NOON)


def reported(
    service_id: str, capacity: str, *, version: int = 1, resets_at: datetime | None = None
) -> CapacityReported:
    """The event by which a service says how full it is."""
    data = CapacityReportedData(
        version=version,
        service_id=service_id,
        capacity=capacity,  # type: ignore[arg-type]
        reported_by="ONW01",
        reported_at=NOON - timedelta(minutes=10),
        resets_at=resets_at,
    )
    return CapacityReported.first(data, id=uuid4(), source="onward/pathways", subject=service_id, time=NOON)


def as_read(event: ServiceListed | CapacityReported) -> ServiceListed | CapacityReported:
    """The same as pathways reads it from its topic."""
    return lean(type(event)).read(event.to_json())


def diary(service_id: str, *begins: datetime, version: int = 1, free: int = 0) -> DiaryReported:
    """The event by which booking says when a service's next free slots begin."""
    data = DiaryReportedData(
        version=version,
        service_id=service_id,
        as_of=NOON - timedelta(minutes=1),
        next_free=tuple(FreeSlot(begins=one, minutes=30, free=1) for one in begins),
        free=free,
        until=NOON + timedelta(hours=24),
    )
    return DiaryReported.first(data, id=uuid4(), source="onward/booking", subject=service_id, time=NOON)


def index_of(*entries: Service | CapacityReported) -> Index:
    """An index that holds these services and reports."""
    index = Index()
    index.apply([as_read(listed(one) if isinstance(one, Service) else one) for one in entries])
    return index


def directory_of(*entries: Service | CapacityReported) -> Snapshot:
    """A directory of these services and reports."""
    return index_of(*entries).snapshot


def accepted(*choices: str | int) -> tuple[AcceptedService | AcceptedType, ...]:
    """An accepted list: services by id, types by number."""
    return tuple(
        AcceptedService(service=one) if isinstance(one, str) else AcceptedType(service_type=one) for one in choices
    )


def brief(*fit: int, **changes: Any) -> Brief:
    """A brief for a woman of 70 who agrees to any type that triage finds fit."""
    whole = {
        "placement_id": UUID("00000000-0000-4000-8000-000000000001"),
        "answer_by": NOON + timedelta(minutes=15),
        "accept": "any",
        "position": HERE,
        "age": Age(value=70),
        "gender": "female",
        "surgery": None,
        "presentation": "stroke",
        "service_types": fit,
        "to_clinician": False,
        "disposition": Disposition(code="STROKE-NOW", name="Stroke unit now", minutes=60),
        "acuity": "very_urgent",
        "reasons": (Reason(rule="fast-positive", text="The FAST test is positive.", source="an example"),),
        "patient": PatientIdentity(nhs_number="9000000009"),
        "referrer": Referrer(organisation="ONW01", practitioner="P1", role="paramedic"),
        "desk": Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960000"),
    }
    return Brief(**{**whole, **changes})


def triaged(asked: Brief, referral: UUID | None = None) -> ReferralTriaged:
    """The event that triage tells."""
    referral = referral or uuid4()
    return ReferralTriaged.first(
        ReferralTriagedData(brief=asked, scores=Scores(), rule_pack="example 1"),
        id=uuid5(referral, "triaged"),
        source="onward/triage",
        subject=str(referral),
        time=NOON,
    )


def further(asked: Brief, why: str = "rebooking", **changes: Any) -> PlacementRequested:
    """The event by which referrals asks for another place."""
    standing = VALID_BY_NAME["placement.requested/sepsis-rebook"].document["data"]["standing"]
    data = {"brief": asked, "standing": Standing.model_validate_json(json.dumps(standing)), "why": why, **changes}
    return PlacementRequested.first(
        PlacementRequestedData(**data), id=uuid4(), source="onward/referrals", subject=str(uuid4()), time=NOON
    )


def candidates(directory: Snapshot, asked: Brief, now: datetime, **changes: Any) -> Ranked:
    """Who could take the patient of a brief, with the shipped codes; the request may be changed."""
    return search(directory, request_of(mapped(asked, CODES), directory, now, CODES)._replace(**changes))
