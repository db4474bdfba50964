"""The topic `referrals`, written by referrals: what became of a referral after its placement, decided in one place.

A fact that moves the referral carries its whole standing from then on, under the version that it made.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from contracts.actions import ActionName, CancellationReason, OutcomeKind, RejectionReason, Words
from contracts.bookings import HeldHour
from contracts.brief import Acuity, Brief
from contracts.envelope import Data, Instant, ReferralEvent, Text, Version
from contracts.people import Desk, OrganisationCode, PatientIdentity, Referrer
from contracts.placements import Candidate
from contracts.submissions import ServiceId, SlotMinutes
from contracts.topics import Topic

State = Literal[
    "submitted",
    "triaged",
    "placement_asked",
    "placed",
    "unplaced",
    "received",
    "information_wanted",
    "accepted",
    "in_progress",
    "seen",
    "rejected",
    "not_attended",
    "withdrawn",
    "waiting",
    "outcome_given",
    "cancelled",
    "arranged_elsewhere",
]

FINISHED: frozenset[State] = frozenset(("outcome_given", "cancelled", "arranged_elsewhere"))
"""States in which nobody need do anything more. Nothing is held for a referral that stands there."""


class Clocks(Data):
    """By when the receiver answers, counted from receipt and shown to both sides."""

    acknowledge_by: Instant | None = None
    answer_by: Instant | None = Field(default=None, description="accepted or rejected: the breach time")
    outcome_by: Instant | None = None


class Place(Data):
    """Where the patient is expected, or was seen: the placement that counts now."""

    placement_id: UUID
    outcome: Literal["slot_held", "place_held", "delivered"]
    service: Candidate
    starts_at: Instant | None = None
    slot_minutes: SlotMinutes | None = None
    acceptance_due: Instant | None = None
    hour: HeldHour | None = None
    reference: str = Field(pattern=r"^[0-9]{12}$")


class Standing(Data):
    """Where a referral stands: enough to show it, and to tell everyone on it, without any other fact."""

    version: Version
    state: State
    owner: Desk
    due: Instant = Field(description="when the owner must look again; of a finished one, when it was finished")
    next_step: str
    acuity: Acuity | None = None
    place: Place | None = None
    clocks: Clocks = Clocks()
    asked: UUID | None = Field(default=None, description="a further placement that is being looked for")
    desk: Desk = Field(description="of the organisation that refers")
    referrer: Referrer
    patient: PatientIdentity
    escalations: int = Field(default=0, ge=0, description="how often nobody answered in time")


class Moved(Data):
    """A referral stands elsewhere than before, and who did it: nobody where a time passed."""

    standing: Standing
    was: State
    by: Referrer | None = None
    words: Words | None = None


class ReferralReceived(ReferralEvent, type="referral.received", topic=Topic.REFERRALS, classification="clinical"):
    """The receiving service has the referral."""

    data: Moved


class ReferralAccepted(ReferralEvent, type="referral.accepted", topic=Topic.REFERRALS, classification="clinical"):
    """The receiving service will see the patient, who is theirs from now on."""

    data: Moved


class RejectedData(Moved):
    """Why, and who would not; the standing holds no place any more."""

    reason: RejectionReason
    place: Place = Field(description="what was held there, and is given back")


class ReferralRejected(ReferralEvent, type="referral.rejected", topic=Topic.REFERRALS, classification="clinical"):
    """The receiving service will not see the patient, who is the referrer's desk's again."""

    data: RejectedData


class ReferralInformationWanted(
    ReferralEvent, type="referral.information-wanted", topic=Topic.REFERRALS, classification="clinical"
):
    """The receiving service asks the referrer's desk something and waits."""

    data: Moved


class ReferralInformationGiven(
    ReferralEvent, type="referral.information-given", topic=Topic.REFERRALS, classification="clinical"
):
    """The referrer's desk has answered."""

    data: Moved


class ReferralTakenUp(ReferralEvent, type="referral.taken-up", topic=Topic.REFERRALS, classification="clinical"):
    """The receiving service is on its way, or has begun."""

    data: Moved


class ReferralSeen(ReferralEvent, type="referral.seen", topic=Topic.REFERRALS, classification="clinical"):
    """Somebody has seen the patient."""

    data: Moved


class OutcomeGivenData(Moved):
    """What came of it, and where the patient was seen. Nothing is held there any more."""

    kind: OutcomeKind
    place: Place
    documents: tuple[UUID, ...] = Field(default=(), max_length=20)


class ReferralOutcomeGiven(
    ReferralEvent, type="referral.outcome-given", topic=Topic.REFERRALS, classification="clinical"
):
    """The receiving service says what came of it. The referral is over."""

    data: OutcomeGivenData


class NotAttendedData(Moved):
    """Where the patient was expected."""

    place: Place = Field(description="what was held there, and is given back")


class ReferralNotAttended(
    ReferralEvent, type="referral.not-attended", topic=Topic.REFERRALS, classification="clinical"
):
    """The patient did not come. The referrer's desk decides what is next."""

    data: NotAttendedData


class WithdrawnData(Moved):
    """What was held and is no more; no other place was found."""

    place: Place
    why: Literal["service withdrew", "session withdrawn"]


class ReferralWithdrawn(ReferralEvent, type="referral.withdrawn", topic=Topic.REFERRALS, classification="clinical"):
    """The service took back what it held or had accepted, and no other has the patient. The desk decides."""

    data: WithdrawnData


class MovedToAnotherPlaceData(Moved):
    """The new place is in the standing; the old one is given back."""

    old: Place | None = Field(default=None, description="none where none was held any more")
    why: Literal["rebooked", "redirected", "service withdrew", "session withdrawn", "place freed"]


class ReferralRebooked(ReferralEvent, type="referral.rebooked", topic=Topic.REFERRALS, classification="clinical"):
    """The patient has another place than before. The new one was held before the old one was given back."""

    data: MovedToAnotherPlaceData


class ReferralWaitListed(ReferralEvent, type="referral.wait-listed", topic=Topic.REFERRALS, classification="clinical"):
    """The patient waits for a place with a service that is full."""

    data: Moved


class CancelledData(Moved):
    """Why, and what was held."""

    reason: CancellationReason
    place: Place | None = Field(default=None, description="what was held, and is given back")


class ReferralCancelled(ReferralEvent, type="referral.cancelled", topic=Topic.REFERRALS, classification="clinical"):
    """The referrer's desk took the referral back. The referral is over."""

    data: CancelledData


class ArrangedElsewhereData(Moved):
    """By what means, in the desk's words."""

    words: Words
    place: Place | None = Field(default=None, description="what was held, and is given back")


class ReferralArrangedElsewhere(
    ReferralEvent, type="referral.arranged-elsewhere", topic=Topic.REFERRALS, classification="clinical"
):
    """The referrer's desk arranged what the patient needs by other means. The referral is over."""

    data: ArrangedElsewhereData


class EscalatedData(Moved):
    """What nobody did in time."""

    missed: Literal["acknowledgement", "answer", "outcome", "attendance", "decision", "information", "placement"]
    was_due: Instant


class ReferralEscalated(ReferralEvent, type="referral.escalated", topic=Topic.REFERRALS, classification="clinical"):
    """A due time passed. Who owns the patient now is told loudly."""

    data: EscalatedData


class Said(Data):
    """Something that leaves the referral where it stands."""

    standing: Standing
    by: Referrer


class MessageLeftData(Said):
    """What was said."""

    words: Words


class ReferralMessageLeft(
    ReferralEvent, type="referral.message-left", topic=Topic.REFERRALS, classification="clinical"
):
    """One desk said something to the other."""

    data: MessageLeftData


class ContactRecordedData(Said):
    """Whether the patient was reached."""

    reached: bool
    words: Words | None = None


class ReferralContactRecorded(
    ReferralEvent, type="referral.contact-recorded", topic=Topic.REFERRALS, classification="clinical"
):
    """The receiving service has reached the patient, or tried to."""

    data: ContactRecordedData


DocumentKind = Literal["discharge-summary", "clinic-letter", "test-result", "image", "care-plan", "other"]
DocumentTitle = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class Document(Data):
    """What was attached: its content is read from referrals, never from the log."""

    document_id: UUID
    kind: DocumentKind = "other"
    title: DocumentTitle
    media_type: Literal["application/pdf", "image/jpeg", "image/png", "text/plain"]
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class DocumentAttachedData(Said):
    """Which document."""

    document: Document


class ReferralDocumentAttached(
    ReferralEvent, type="referral.document-attached", topic=Topic.REFERRALS, classification="clinical"
):
    """One desk attached a document for the other."""

    data: DocumentAttachedData


class DuplicateSuspectedData(Data):
    """Of the other referral its id, its desk with a telephone, and when it was sent; nothing of the patient there."""

    standing: Standing
    other_referral: UUID
    other_desk: Desk
    other_submitted_at: Instant
    match: Literal["nhs-number", "name-and-age"] = Field(
        description="what is the same; name-and-age, with the gender, where one has no number: a weaker match"
    )
    due: Instant = Field(description="by when the desk should have talked to the other")


class ReferralDuplicateSuspected(
    ReferralEvent, type="referral.duplicate-suspected", topic=Topic.REFERRALS, classification="clinical"
):
    """Somebody else referred the same patient within a set time. Nothing is merged or dropped: the desks talk."""

    data: DuplicateSuspectedData


class DuplicateRuledOutData(Said):
    """Which referral is not of the same patient, or is wanted beside this one."""

    other_referral: UUID
    words: Words | None = None


class ReferralDuplicateRuledOut(
    ReferralEvent, type="referral.duplicate-ruled-out", topic=Topic.REFERRALS, classification="clinical"
):
    """The desk says that the two referrals are no duplicates. The other desk says so of its own."""

    data: DuplicateRuledOutData


Refusal = Literal["unknown", "not-yours", "wrong-state", "moved-on", "not-possible", "no-place"]


class ActionRefusedData(Data):
    """Why an action was not done, and what to do instead."""

    action: ActionName
    by: Referrer
    refusal: Refusal
    why: str
    standing: Standing | None = Field(default=None, description="none for one who is not on the referral")


class ReferralActionRefused(
    ReferralEvent, type="referral.action-refused", topic=Topic.REFERRALS, classification="clinical"
):
    """What was asked is not done; the referral stands where it stood."""

    data: ActionRefusedData


class PlacementRequestedData(Data):
    """A further search for somewhere to go, under a placement of its own: this event's id.

    Where a desk asked for it, a clinician there decided: what the brief's `accept` names is fit, whatever triage found.
    """

    brief: Brief
    standing: Standing = Field(description="while it is looked for: what is held is kept")
    why: Literal["rebooking", "redirection", "service withdrew", "session withdrawn", "waiting"]
    without: tuple[ServiceId, ...] = Field(default=(), description="who is not asked again")
    wait_until: Instant | None = Field(
        default=None, description="where none is free, wait until then for one that is freed; no later than answer_by"
    )


class PlacementRequested(ReferralEvent, type="placement.requested", topic=Topic.REFERRALS, classification="clinical"):
    """Another place is looked for. Pathways asks for candidates, booking settles it."""

    data: PlacementRequestedData


class BookingWithdrawnData(Data):
    """The booking that no longer counts."""

    placement_id: UUID
    reference: str = Field(pattern=r"^[0-9]{12}$")
    service_id: ServiceId
    organisation: OrganisationCode
    why: Literal[
        "cancelled",
        "rejected",
        "rebooked",
        "placement closed",
        "not attended",
        "service withdrew",
        "session withdrawn",
        "arranged elsewhere",
        "outcome given",
    ]


class BookingWithdrawn(ReferralEvent, type="booking.withdrawn", topic=Topic.REFERRALS, classification="operational"):
    """What a placement held is to be given back. Booking does, once."""

    data: BookingWithdrawnData
