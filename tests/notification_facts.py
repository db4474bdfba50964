"""What became of a referral, in facts whose every value is unlike all others, as notification reads them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from contracts.envelope import Event
from contracts.people import Contact, Desk, PatientIdentity, Referrer
from contracts.referrals import (
    ArrangedElsewhereData,
    BookingWithdrawn,
    BookingWithdrawnData,
    CancelledData,
    Document,
    DocumentAttachedData,
    DuplicateSuspectedData,
    EscalatedData,
    MessageLeftData,
    Moved,
    MovedToAnotherPlaceData,
    NotAttendedData,
    OutcomeGivenData,
    Place,
    ReferralAccepted,
    ReferralArrangedElsewhere,
    ReferralCancelled,
    ReferralDocumentAttached,
    ReferralDuplicateSuspected,
    ReferralEscalated,
    ReferralInformationGiven,
    ReferralInformationWanted,
    ReferralMessageLeft,
    ReferralNotAttended,
    ReferralOutcomeGiven,
    ReferralRebooked,
    ReferralRejected,
    ReferralWaitListed,
    ReferralWithdrawn,
    RejectedData,
    Standing,
    WithdrawnData,
)
from services.notification import facts
from services.notification.facts import Fact, WithdrawnBooking
from tests.notification_examples import BY_TEXT, NHS_NUMBER, NOON, RECEIVER, REFERRER, TRACE, an_id, candidate

DESK = Desk(organisation=REFERRER, name="Trust clinical hub", telephone="01632 960001", hours="hours of the desk")
THERE = Desk(organisation=RECEIVER, name="Desk of the receiver", telephone="01632 960002", hours="hours there")
CREW = Referrer(organisation=REFERRER, practitioner="practitioner-7", role="paramedic")
HUB = Referrer(organisation=REFERRER, practitioner="practitioner-8", role="hub nurse")
NURSE = Referrer(organisation=RECEIVER, practitioner="practitioner-9", role="charge nurse")
WORDS = "words that somebody wrote"
OLD_NAME = "Hillside hospice at home"


def place(name: str = "Moorside hyper-acute stroke unit", **changes: Any) -> Place:
    """A slot there, or with other members where they are given."""
    whole: dict[str, Any] = {
        "placement_id": an_id("placement"),
        "outcome": "slot_held",
        "service": candidate(name),
        "starts_at": NOON + timedelta(minutes=45),
        "slot_minutes": 479,
        "reference": "123456789012",
    }
    return Place(**(whole | changes))


SLOT = place()
PLACE = place(outcome="place_held", starts_at=None, acceptance_due=NOON + timedelta(minutes=60))
DELIVERED = place(outcome="delivered", starts_at=None)
OLD = place(OLD_NAME, placement_id=an_id("placement before"), reference="210987654321", starts_at=None)
KINDS = {"slot-held": SLOT, "place-held": PLACE, "delivered": DELIVERED}


def standing(at: Place | None = SLOT, contact: Contact = BY_TEXT, **changes: Any) -> Standing:
    """Where a referral stands, in every member."""
    whole: dict[str, Any] = {
        "version": 8007,
        "state": "placed",
        "owner": DESK,
        "due": NOON + timedelta(minutes=75),
        "next_step": "the next step of the owner",
        "acuity": "very_urgent",
        "place": at,
        "desk": DESK,
        "referrer": CREW,
        "patient": PatientIdentity(nhs_number=NHS_NUMBER, contact=contact),
        "escalations": 8003,
    }
    return Standing(**(whole | changes))


def accepted(at: Place = SLOT, contact: Contact = BY_TEXT, **changes: Any) -> Fact:
    """The receiver's desk has the patient from now on."""
    now = standing(at, contact, owner=THERE, **changes)
    return _told(ReferralAccepted, Moved(standing=now, was="received", by=NURSE, words=WORDS))


def rejected(left: Place = SLOT, contact: Contact = BY_TEXT, **changes: Any) -> Fact:
    """The referrer's desk has the patient again."""
    now = standing(None, contact, state="rejected", **changes)
    data = RejectedData(standing=now, was="received", by=NURSE, words=WORDS, reason="no-capacity", place=left)
    return _told(ReferralRejected, data)


def information_wanted() -> Fact:
    """A question to the referrer's desk."""
    return _told(ReferralInformationWanted, Moved(standing=standing(), was="received", by=NURSE, words=WORDS))


def information_given() -> Fact:
    """Its answer."""
    return _told(ReferralInformationGiven, Moved(standing=standing(), was="information_wanted", by=HUB, words=WORDS))


def rebooked(to: Place = SLOT, old: Place | None = OLD, contact: Contact = BY_TEXT, **changes: Any) -> Fact:
    """Another place than before, or one after none."""
    now = standing(to, contact, **changes)
    data = MovedToAnotherPlaceData(standing=now, was="accepted", by=HUB, words=WORDS, old=old, why="rebooked")
    return _told(ReferralRebooked, data)


def withdrawn(contact: Contact = BY_TEXT) -> Fact:
    """The service takes back what it held, and nobody else has the patient."""
    now = standing(None, contact, state="withdrawn")
    data = WithdrawnData(standing=now, was="accepted", by=NURSE, words=WORDS, place=SLOT, why="service withdrew")
    return _told(ReferralWithdrawn, data)


def cancelled(
    left: Place | None = SLOT, contact: Contact = BY_TEXT, *, was: str = "placed", reason: str = "patient-better"
) -> Fact:
    """The desk takes the referral back."""
    now = standing(None, contact, state="cancelled")
    data = CancelledData(standing=now, was=was, by=HUB, words=WORDS, place=left, reason=reason)  # type: ignore[arg-type]
    return _told(ReferralCancelled, data)


def arranged_elsewhere(left: Place | None = SLOT) -> Fact:
    """The desk arranged what the patient needs."""
    now = standing(None, state="arranged_elsewhere")
    data = ArrangedElsewhereData(standing=now, was="placed", by=HUB, words=WORDS, place=left)
    return _told(ReferralArrangedElsewhere, data)


def not_attended() -> Fact:
    """The patient did not come."""
    data = NotAttendedData(standing=standing(None, state="not_attended"), was="placed", by=NURSE, place=SLOT)
    return _told(ReferralNotAttended, data)


def outcome_given(*, where_it_was: bool = True) -> Fact:
    """What came of it; the standing may hold the place or not."""
    now = standing(SLOT if where_it_was else None, state="outcome_given")
    data = OutcomeGivenData(standing=now, was="seen", by=NURSE, words=WORDS, kind="died", place=SLOT)
    return _told(ReferralOutcomeGiven, data)


def wait_listed(contact: Contact = BY_TEXT) -> Fact:
    """The patient waits for a place."""
    now = standing(None, contact, state="waiting")
    return _told(ReferralWaitListed, Moved(standing=now, was="unplaced", by=HUB))


def escalated(owner: Desk = DESK, at: Place | None = SLOT, missed: str = "answer") -> Fact:
    """Nobody answered in time."""
    data = EscalatedData(
        standing=standing(at, owner=owner),
        was="placed",
        missed=missed,  # type: ignore[arg-type]
        was_due=NOON - timedelta(minutes=5),
    )
    return _told(ReferralEscalated, data)


def message_left(by: Referrer = HUB, at: Place | None = SLOT) -> Fact:
    """Something said from one desk to the other."""
    return _told(ReferralMessageLeft, MessageLeftData(standing=standing(at), by=by, words=WORDS))


def document_attached(by: Referrer = NURSE, at: Place | None = SLOT) -> Fact:
    """Something attached by one desk for the other."""
    document = Document(
        document_id=an_id("document"),
        title="title of the document",
        media_type="application/pdf",
        bytes=8999,
        sha256="8" * 64,
    )
    data = DocumentAttachedData(standing=standing(at), by=by, document=document)
    return _told(ReferralDocumentAttached, data)


OTHER = UUID("0f8a7f0e-6f5c-4f0e-9d0c-3c5d0d9be201")


def duplicate_suspected() -> Fact:
    """Somebody else referred the same patient."""
    data = DuplicateSuspectedData(
        standing=standing(),
        other_desk=Desk(organisation="OTHER1", name="Desk of the other", telephone="01632 960009"),
        other_referral=OTHER,
        other_submitted_at=NOON - timedelta(minutes=50),
        match="name-and-age",
        due=NOON + timedelta(minutes=15),
    )
    return _told(ReferralDuplicateSuspected, data)


def every_fact(contact: Contact = BY_TEXT) -> list[Fact]:
    """One of each kind of which people hear differently."""
    return [
        *(accepted(one, contact) for one in KINDS.values()),
        rejected(contact=contact),
        information_wanted(),
        information_given(),
        *(rebooked(one, contact=contact) for one in KINDS.values()),
        *(rebooked(one, None, contact) for one in KINDS.values()),
        withdrawn(contact),
        cancelled(contact=contact),
        cancelled(None, contact, was="waiting"),
        arranged_elsewhere(),
        not_attended(),
        outcome_given(),
        wait_listed(contact),
        escalated(),
        escalated(THERE),
        message_left(HUB),
        message_left(NURSE),
        message_left(NURSE, None),
        document_attached(HUB),
        document_attached(NURSE),
        document_attached(NURSE, None),
        duplicate_suspected(),
    ]


def withdrawn_booking(confirmed: Event, *, why: str = "placement closed") -> WithdrawnBooking:
    """What a confirmation held is to be given back."""
    told: Any = confirmed.data
    data = BookingWithdrawnData(
        placement_id=told.brief.placement_id,
        reference=told.reference,
        service_id=told.service.service_id,
        organisation=told.service.organisation,
        why=why,  # type: ignore[arg-type]
    )
    event = BookingWithdrawn.effect_of(
        confirmed, data, source="onward/referrals", time=NOON, effect_key=str(data.placement_id)
    )
    return WithdrawnBooking.read(event.to_json())


VIEWS: dict[str, type[Fact]] = {
    view.TYPE: view for view in vars(facts).values() if isinstance(view, type) and hasattr(view, "TYPE")
}
"""What reads each type of fact."""


def event_of(fact: Fact) -> Event:
    """The fact as it stands on the log."""
    return Event.KNOWN[fact.type].read(fact.to_json())


def _told(contract: type[Event], data: Any) -> Fact:
    event = contract.first(
        data, id=an_id(repr(data)), source="onward/referrals", subject=str(an_id("referral")), time=NOON
    )
    event = event.model_copy(update={"correlationid": an_id("action"), "traceparent": TRACE})
    return VIEWS[contract.TYPE].read(event.to_json())
