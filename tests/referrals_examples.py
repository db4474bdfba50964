"""Facts of made-up referrals, as the services tell them, for the tests of referrals."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Literal

from contracts.actions import Action, ReferralActionRequested, ReferralActionRequestedData
from contracts.bookings import (
    BookingConfirmed,
    BookingConfirmedData,
    BookingDisplaced,
    BookingExhausted,
    BookingExhaustedData,
    DisplacedData,
)
from contracts.brief import Acuity, Brief, Disposition, Reason
from contracts.envelope import Event
from contracts.notifications import Audience, NotificationSent, NotificationSentData
from contracts.people import Age, Contact, Desk, Patient, PatientIdentity, Position, Referrer
from contracts.placements import Alternative, BookingRequested, BookingRequestedData, Candidate
from contracts.referrals import PlacementRequested
from contracts.submissions import Observations, ReferralSubmitted, ReferralSubmittedData, Submission
from contracts.triage import News2, ReferralTriaged, ReferralTriagedData, Scores
from services.chassis.versioned_table import read_table
from services.referrals.clocks import ClockTable
from services.referrals.settings import CLOCKS as SHIPPED

REFERRER = "RX1"
RECEIVER = "RX2"
ANOTHER_RECEIVER = "RX4"
STRANGER = "RX9"
SERVICE = "sdec-1"
BEGAN = datetime(2031, 3, 4, 3, 0, tzinfo=UTC)
ANSWER_BY = BEGAN + timedelta(minutes=15)
CLOCKS = read_table(SHIPPED, ClockTable)
DESK = Desk(organisation=REFERRER, name="Clinical hub", telephone="01632 960001")
_WHERE = Position(latitude=54.9, longitude=-1.6)


PATIENT = Patient(nhs_number="9000000009", name="Made Up", age=Age(value=71), gender="female")


def submitted(
    referral: uuid.UUID,
    *,
    referrer: str = REFERRER,
    desk: Desk = DESK,
    narrative: str | None = None,
    patient: Patient = PATIENT,
    time: datetime = BEGAN,
) -> ReferralSubmitted:
    """The first fact of a referral: the ids of all that follow are made of its own."""
    submission = Submission(
        patient=patient,
        position=_WHERE,
        presentation="blocked-catheter",
        observations=Observations(respiration_per_min=18, oxygen_saturation_percent=97, pulse_per_min=88),
        accept="any",
        narrative=narrative,
    )
    data = ReferralSubmittedData(submission=submission, referrer=_referrer(referrer), desk=desk, answer_by=ANSWER_BY)
    return ReferralSubmitted.first(
        data,
        id=uuid.uuid5(referral, "submitted"),
        source=f"onward/gateway/{referrer}",
        subject=str(referral),
        time=time,
    )


def triaged(cause: ReferralSubmitted, *, acuity: Acuity = "urgent") -> ReferralTriaged:
    """Triage's answer to a submission."""
    said = cause.data
    brief = Brief(
        placement_id=cause.id,
        answer_by=said.answer_by,
        accept=said.submission.accept,
        position=said.submission.position,
        age=said.submission.patient.age,
        gender=said.submission.patient.gender,
        surgery=None,
        presentation=said.submission.presentation,
        service_types=(140, 135),
        to_clinician=False,
        disposition=Disposition(code="Dx05", name="To contact primary care within 2 hours", minutes=120),
        acuity=acuity,
        reasons=(Reason(rule="catheter", text="A blocked catheter without fever.", source="made up"),),
        patient=PatientIdentity(nhs_number="9000000009", contact=Contact(mobile="07700 900123", prefers="sms")),
        referrer=said.referrer,
        desk=said.desk,
    )
    scores = Scores(news2=News2(total=1, complete=False, points={"pulse": 0}, highest_single=1, band="low"))
    data = ReferralTriagedData(brief=brief, scores=scores, rule_pack="made-up 1")
    return ReferralTriaged.effect_of(cause, data, source="onward/triage", time=BEGAN + timedelta(seconds=1))


def requested(cause: ReferralTriaged, *, candidates: int = 3) -> BookingRequested:
    """Pathways' answer to triage."""
    found = tuple(candidate(f"{SERVICE[:-1]}{rank}") for rank in range(1, candidates + 1))
    data = BookingRequestedData(brief=cause.data.brief, candidates=found)
    return BookingRequested.effect_of(cause, data, source="onward/pathways", time=BEGAN + timedelta(seconds=2))


def confirmed(
    cause: BookingRequested, *, outcome: Literal["slot_held", "place_held", "delivered"] = "slot_held"
) -> BookingConfirmed:
    """Booking's answer: a place at the first candidate, under a reference of its own."""
    data = BookingConfirmedData(
        brief=cause.data.brief,
        outcome=outcome,
        service=cause.data.candidates[0],
        starts_at=BEGAN + timedelta(hours=1) if outcome == "slot_held" else None,
        slot_minutes=30 if outcome == "slot_held" else None,
        acceptance_due=BEGAN + timedelta(minutes=30) if outcome == "place_held" else None,
        reference=f"9{cause.data.brief.placement_id.int % 10**11:011}",
        alternatives=tuple(map(Alternative.of, cause.data.candidates[1:])),
        owner=cause.data.brief.desk,
        due=BEGAN + timedelta(hours=2),
        next_step="The service sees the patient.",
    )
    return BookingConfirmed.effect_of(cause, data, source="onward/booking", time=BEGAN + timedelta(seconds=3))


def exhausted(cause: BookingRequested) -> BookingExhausted:
    """Booking's answer: nobody could take the patient."""
    data = BookingExhaustedData(
        brief=cause.data.brief,
        why="none could take the patient",
        proposal=candidate("ed-1"),
        owner=cause.data.brief.desk,
        due=BEGAN + timedelta(minutes=10),
        next_step="A clinician of the desk decides where the patient goes.",
    )
    return BookingExhausted.effect_of(cause, data, source="onward/booking", time=BEGAN + timedelta(seconds=3))


def receipt(cause: BookingConfirmed | BookingExhausted, audience: Audience) -> NotificationSent:
    """The provider took a message of the outcome for one of those concerned."""
    organisation = {"service": RECEIVER, "referrer": cause.data.brief.referrer.organisation}.get(audience)
    data = NotificationSentData(
        message_id=uuid.uuid5(cause.id, audience),
        audience=audience,
        organisation=organisation,
        reason=cause.type,
        channel="sms" if audience == "patient" else "system",
        template=f"{audience}-told",
        placement_id=cause.data.brief.placement_id,
    )
    return NotificationSent.effect_of(
        cause, data, source="onward/notification", time=BEGAN + timedelta(seconds=4), effect_key=audience
    )


def asks(
    referral: uuid.UUID,
    action: Action,
    *,
    organisation: str = RECEIVER,
    seen_version: int | None = None,
    id: uuid.UUID | None = None,
) -> ReferralActionRequested:
    """Somebody of an organisation asks for an action, by default of the receiver's."""
    desk = Desk(organisation=organisation, name=f"Desk of {organisation}", telephone="01632 960003")
    data = ReferralActionRequestedData(action=action, by=_referrer(organisation), desk=desk, seen_version=seen_version)
    return ReferralActionRequested.first(
        data,
        id=id or uuid.uuid4(),
        source=f"onward/gateway/{organisation}",
        subject=str(referral),
        time=BEGAN + timedelta(minutes=4),
    )


def searched_again(
    cause: PlacementRequested, *, organisation: str = ANOTHER_RECEIVER, service_id: str = "ucr-1"
) -> BookingRequested:
    """Pathways' answer to a further search: one candidate."""
    data = BookingRequestedData(brief=cause.data.brief, candidates=(candidate(service_id, organisation),))
    return BookingRequested.effect_of(cause, data, source="onward/pathways", time=BEGAN + timedelta(minutes=5))


def displaced(confirmed: BookingConfirmed) -> BookingDisplaced:
    """Booking says that the session of a held slot is no more."""
    held = confirmed.data
    data = DisplacedData(
        placement_id=held.brief.placement_id,
        reference=held.reference,
        service_id=held.service.service_id,
        starts_at=held.starts_at,
        organisation=held.service.organisation,
    )
    return BookingDisplaced.first(
        data,
        id=uuid.uuid5(confirmed.id, "displaced"),
        source="onward/booking",
        subject=confirmed.subject,
        time=BEGAN + timedelta(minutes=4),
    )


def candidate(service_id: str, organisation: str = RECEIVER) -> Candidate:
    """A service that could take the patient."""
    return Candidate(
        service_id=service_id,
        name="Same-day emergency care, Northside",
        service_type=140,
        organisation=organisation,
        telephone="01632 960002",
        instructions="Ring the nurse in charge before leaving the scene.",
        position=_WHERE,
        distance_km=4.2,
        booking="slots",
        why="nearest that is open and fit",
    )


def placed(referral: uuid.UUID, *, referrer: str = REFERRER) -> list[Event]:
    """Every fact of a referral that was placed, in the order in which they became facts."""
    first = submitted(referral, referrer=referrer)
    second = triaged(first)
    third = requested(second)
    last = confirmed(third)
    return [first, second, third, last, *(receipt(last, to) for to in ("service", "referrer", "patient"))]


def unplaced(referral: uuid.UUID, *, referrer: str = REFERRER) -> list[Event]:
    """Every fact of a referral that nobody could take."""
    first = submitted(referral, referrer=referrer)
    second = triaged(first)
    third = requested(second)
    last = exhausted(third)
    return [first, second, third, last, receipt(last, "referrer")]


def _referrer(organisation: str) -> Referrer:
    return Referrer(organisation=organisation, practitioner="P1", role="paramedic")
