"""Outcomes whose every value is unlike all others, so that a test can see where each of them went."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from contracts.bookings import BookingConfirmed, BookingConfirmedData, BookingExhausted, BookingExhaustedData, Tried
from contracts.brief import Brief, Disposition, Reason
from contracts.people import Age, Contact, Desk, PatientIdentity, Position, Referrer
from contracts.placements import Alternative, Candidate
from contracts.submissions import AcceptedService, AcceptedType, Mark

NOON = datetime(2026, 6, 3, 12, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MOBILE = "07700 900123"
EMAIL = "ada@example.org"
NHS_NUMBER = "9000000009"
RECEIVER = "RECEIV1"
OWNER = Desk(organisation="OWNER1", name="Trust clinical hub", telephone="01632 960001", hours="hours of the owner")
REFERRER = "REFER1"

_NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")

UNKNOWN = Contact()
BY_TEXT = Contact(mobile=MOBILE, prefers="sms")
BY_EMAIL = Contact(mobile=MOBILE, email=EMAIL, prefers="email")


def an_id(of: str) -> UUID:
    """The same id for the same words."""
    return uuid5(_NAMESPACE, of)


def candidate(name: str = "Moorside hyper-acute stroke unit", **changes: Any) -> Candidate:
    """A service whose name tells the condition."""
    whole: dict[str, Any] = {
        "service_id": "service-id-of-the-receiver",
        "name": name,
        "service_type": 8122,
        "organisation": RECEIVER,
        "telephone": "01632 960222",
        "instructions": "instructions for the referrer",
        "position": Position(latitude=54.8765, longitude=-1.8765),
        "distance_km": 7.77,
        "booking": "slots",
        "accept_within_minutes": 8120,
        "open_until": NOON + timedelta(days=3, minutes=33),
        "capacity": "amber",
        "why": "why it stands at its place",
    }
    return Candidate(**(whole | changes))


def brief(contact: Contact = UNKNOWN, **changes: Any) -> Brief:
    """A brief in which every member is filled."""
    whole: dict[str, Any] = {
        "placement_id": an_id("placement"),
        "answer_by": NOON + timedelta(days=4, minutes=44),
        "accept": (AcceptedType(service_type=8135), AcceptedService(service="service-id-accepted")),
        "position": Position(latitude=54.9876, longitude=-1.9876),
        "age": Age(value=8111, unit="months"),
        "gender": "female",
        "surgery": "SURGERY1",
        "presentation": "stroke-symptoms",
        "service_types": (8122, 8105),
        "to_clinician": False,
        "disposition": Disposition(code="Dx-of-disposition", name="name of the disposition", minutes=8060),
        "acuity": "very_urgent",
        "reasons": (Reason(rule="rule that fired", text="text of the reason", source="source of the reason"),),
        "marks": (Mark(code="code of the mark", pointer="/pointer/of/mark", text="text of the mark"),),
        "patient": PatientIdentity(nhs_number=NHS_NUMBER, contact=contact),
        "referrer": Referrer(organisation=REFERRER, practitioner="practitioner-7", role="paramedic"),
        "desk": Desk(
            organisation="DESK1", name="name of the desk", telephone="01632 960333", hours="hours of the desk"
        ),
    }
    return Brief(**(whole | changes))


def confirmed(contact: Contact = UNKNOWN, *, of: str = "one", **changes: Any) -> BookingConfirmed:
    """A booking with a slot, or with other members where they are given. `of` makes another outcome."""
    whole: dict[str, Any] = {
        "brief": brief(contact),
        "outcome": "slot_held",
        "service": candidate(),
        "starts_at": NOON + timedelta(minutes=45),
        "slot_minutes": 479,
        "reference": "123456789012",
        "tried": (Tried(service_id="service-id-tried", name="Hillside hospice", why="no free slot in time"),),
        "alternatives": (Alternative.of(candidate("Lakeside mental-health crisis", organisation="ALTERN1")),),
        "owner": OWNER,
        "due": NOON + timedelta(minutes=75),
        "next_step": "the next step of the owner",
    }
    return _told(BookingConfirmed, BookingConfirmedData(**(whole | changes)), of)


def place_held(contact: Contact = UNKNOWN, *, of: str = "one") -> BookingConfirmed:
    """A place that the service must accept within an hour."""
    return confirmed(
        contact,
        of=of,
        outcome="place_held",
        starts_at=None,
        slot_minutes=None,
        acceptance_due=NOON + timedelta(minutes=60),
    )


def delivered(contact: Contact = UNKNOWN, *, of: str = "one") -> BookingConfirmed:
    """A referral that was delivered, and that nobody has answered."""
    return confirmed(contact, of=of, outcome="delivered", starts_at=None, slot_minutes=None)


def exhausted(contact: Contact = UNKNOWN, *, of: str = "one", **changes: Any) -> BookingExhausted:
    """Nobody could take the patient; an emergency department is proposed."""
    whole: dict[str, Any] = {
        "brief": brief(contact),
        "why": "none could take the patient",
        "tried": (Tried(service_id="service-id-tried", name="Hillside hospice", why="not active"),),
        "proposal": candidate("Valley emergency department", telephone="01632 960444"),
        "owner": OWNER,
        "due": NOON + timedelta(minutes=15),
        "next_step": "the next step of the owner",
    }
    return _told(BookingExhausted, BookingExhaustedData(**(whole | changes)), of)


def every_outcome(contact: Contact = UNKNOWN) -> list[BookingConfirmed | BookingExhausted]:
    """One of each kind of outcome."""
    return [
        confirmed(contact, of="slot"),
        place_held(contact, of="place"),
        delivered(contact, of="delivered"),
        exhausted(contact, of="unplaced with a proposal"),
        exhausted(contact, of="unplaced", proposal=None),
    ]


def leaves(value: Any) -> Iterator[str]:
    """Every text and number in a JSON value, as text."""
    if isinstance(value, dict):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list):
        for member in value:
            yield from leaves(member)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _told(contract: Any, data: Any, of: str) -> Any:
    event = contract.first(
        data,
        id=an_id(f"outcome {of}"),
        source="onward/booking",
        subject=str(an_id(f"referral {of}")),
        time=NOON,
    )
    return event.model_copy(
        update={"correlationid": data.brief.placement_id, "causationid": an_id("cause"), "traceparent": TRACE}
    )
