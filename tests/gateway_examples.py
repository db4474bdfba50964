"""What tests of the gateway send and get back: a submission, a desk, and the two kinds of outcome."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.bookings import (
    BookingConfirmed,
    BookingConfirmedData,
    BookingExhausted,
    BookingExhaustedData,
    Tried,
)
from contracts.brief import Brief, Disposition, Reason
from contracts.directory import DeskListed, DeskListedData
from contracts.people import Contact, Desk, PatientIdentity, Position, Referrer
from contracts.placements import Alternative, Candidate
from contracts.submissions import AcceptedType, Mark
from contracts.topics import Topic
from services.gateway.admission import Admission
from services.gateway.backlog import TO_AN_OUTCOME, Backlog
from services.gateway.outstanding import Outstanding
from services.gateway.settings import GatewaySettings

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NHS_NUMBER = "9000000009"
MOBILE = "07700 900123"
DESK = Desk(organisation="RX9", name="Trust clinical hub", telephone="01632 960001")


def submission(**changes: Any) -> dict[str, Any]:
    """A submission as a device would send it, with members replaced."""
    whole = {
        "patient": {
            "nhs_number": NHS_NUMBER,
            "contact": {"mobile": MOBILE, "prefers": "sms"},
            "name": "Ada Example",
            "age": {"value": 81},
            "gender": "female",
        },
        "position": {"latitude": 54.97, "longitude": -1.61},
        "presentation": "fall",
        "observations": {"respiration_per_min": 18, "temperature_celsius": 36.9, "consciousness": "alert"},
        "accept": [{"service_type": 146}, {"service": "S-135-1"}],
        "narrative": "Found on the kitchen floor.",
    }
    return whole | changes


def listed(desk: Desk = DESK, *, version: int = 1) -> DeskListed:
    """A desk's listing."""
    return DeskListed.first(
        DeskListedData(version=version, desk=desk),
        id=uuid4(),
        source="onward/pathways",
        subject=desk.organisation,
        time=NOON,
    )


def candidate(service_id: str = "S-146-1", service_type: int = 146) -> Candidate:
    """A service that could take the patient."""
    return Candidate(
        service_id=service_id,
        name="Riverside urgent response",
        service_type=service_type,
        organisation="RX8",
        telephone="01632 960146",
        instructions="Say which steps are safe.",
        position=Position(latitude=54.9, longitude=-1.6),
        distance_km=7.8,
        booking="slots",
        why="first of the accepted types, nearest",
    )


def brief(transaction: UUID) -> Brief:
    """A brief of the transaction, with a patient who can be identified by it."""
    return Brief(
        placement_id=transaction,
        answer_by=NOON + timedelta(minutes=15),
        accept=(AcceptedType(service_type=146),),
        position=Position(latitude=54.97, longitude=-1.61),
        age=None,
        gender="female",
        surgery=None,
        presentation="fall",
        service_types=(146,),
        to_clinician=False,
        disposition=Disposition(code="UCR2", name="urgent community response", minutes=120),
        acuity="urgent",
        reasons=(Reason(rule="fall-without-injury", text="A fall without injury.", source="example pack"),),
        marks=(Mark(code="age-unusual", pointer="/patient/age", text="Confirm the age."),),
        patient=PatientIdentity(nhs_number=NHS_NUMBER, contact=Contact(mobile=MOBILE)),
        referrer=Referrer(organisation="RX9", practitioner="crew-7", role="paramedic"),
        desk=DESK,
    )


def confirmed(transaction: UUID, referral: UUID) -> BookingConfirmed:
    """The outcome of a submission's event: a slot is held."""
    outcome = BookingConfirmed.first(
        BookingConfirmedData(
            brief=brief(transaction),
            outcome="slot_held",
            service=candidate(),
            starts_at=NOON + timedelta(minutes=45),
            slot_minutes=30,
            reference="123456789012",
            tried=(Tried(service_id="S-146-2", name="Hill urgent response", why="no free slot in time"),),
            alternatives=(Alternative.of(candidate("S-135-1", 135)),),
            owner=DESK,
            due=NOON + timedelta(minutes=75),
            next_step="The service calls the patient. If nothing is heard by 13:15, telephone it.",
        ),
        id=uuid4(),
        source="onward/booking",
        subject=str(referral),
        time=NOON + timedelta(milliseconds=20),
    )
    return outcome.model_copy(update={"correlationid": transaction, "causationid": uuid4()})


def exhausted(transaction: UUID, referral: UUID) -> BookingExhausted:
    """The outcome of a submission's event: nobody could take the patient."""
    outcome = BookingExhausted.first(
        BookingExhaustedData(
            brief=brief(transaction),
            why="none could take the patient",
            tried=(Tried(service_id="S-146-1", name="Riverside urgent response", why="no free slot in time"),),
            proposal=candidate("S-105-1", 105),
            owner=DESK,
            due=NOON + timedelta(minutes=15),
            next_step="A clinician at the desk decides. Telephone the desk if nothing is heard by 12:15.",
        ),
        id=uuid4(),
        source="onward/booking",
        subject=str(referral),
        time=NOON + timedelta(milliseconds=20),
    )
    return outcome.model_copy(update={"correlationid": transaction, "causationid": uuid4()})


def admitting(**limits: float) -> Admission:
    """Lets in as the settings say, over groups that are never behind."""

    async def keeping_up(_reader: str, _topic: Topic) -> tuple[int, int]:
        return 0, 0

    settings = GatewaySettings.model_validate(limits)
    outstanding = Outstanding(settings.answer_within.total_seconds())
    return Admission(outstanding, Backlog(keeping_up, TO_AN_OUTCOME), settings.limits)
