"""What this service reads of what became of a referral: whom it concerns, where they are expected, who acts by when."""

from typing import ClassVar, Literal
from uuid import UUID

from contracts.envelope import Instant
from contracts.people import Desk
from contracts.referrals import (
    BookingWithdrawn,
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
)
from services.chassis.views import Part
from services.notification.outcomes import Envelope, Organisation, Reachable, ServiceNamed


class Place(Part):
    """Where the patient is expected, or was."""

    placement_id: UUID
    outcome: str
    service: ServiceNamed
    starts_at: Instant | None = None
    acceptance_due: Instant | None = None
    reference: str


class Standing(Part):
    """Where the referral stands: who owns the patient, and by when they look again."""

    owner: Desk
    due: Instant
    desk: Desk
    """Of the organisation that refers."""
    referrer: Organisation
    patient: Reachable
    place: Place | None = None


class Expected(Standing):
    """The same of a patient who is expected somewhere."""

    place: Place


class Told(Part):
    """What every fact has."""

    standing: Standing
    by: Organisation | None = None
    """Nobody where a time passed."""


class _Expected(Told):
    standing: Expected


class _Left(Told):
    place: Place


class _Rejected(_Left):
    reason: str


class _PerhapsLeft(Told):
    was: str
    place: Place | None = None


class _Cancelled(_PerhapsLeft):
    reason: str


class _Rebooked(_Expected):
    old: Place | None = None


class _Escalated(Told):
    missed: str
    was_due: Instant


class _Duplicate(Told):
    other_desk: Desk
    other_submitted_at: Instant
    match: str
    due: Instant


class Accepted(Envelope):
    """`referral.accepted`."""

    TYPE: ClassVar[str] = ReferralAccepted.TYPE
    type: Literal["referral.accepted"]
    data: _Expected


class Rejected(Envelope):
    """`referral.rejected`."""

    TYPE: ClassVar[str] = ReferralRejected.TYPE
    type: Literal["referral.rejected"]
    data: _Rejected


class InformationWanted(Envelope):
    """`referral.information-wanted`."""

    TYPE: ClassVar[str] = ReferralInformationWanted.TYPE
    type: Literal["referral.information-wanted"]
    data: _Expected


class InformationGiven(Envelope):
    """`referral.information-given`."""

    TYPE: ClassVar[str] = ReferralInformationGiven.TYPE
    type: Literal["referral.information-given"]
    data: _Expected


class OutcomeGiven(Envelope):
    """`referral.outcome-given`."""

    TYPE: ClassVar[str] = ReferralOutcomeGiven.TYPE
    type: Literal["referral.outcome-given"]
    data: _Left


class NotAttended(Envelope):
    """`referral.not-attended`."""

    TYPE: ClassVar[str] = ReferralNotAttended.TYPE
    type: Literal["referral.not-attended"]
    data: _Left


class Withdrawn(Envelope):
    """`referral.withdrawn`."""

    TYPE: ClassVar[str] = ReferralWithdrawn.TYPE
    type: Literal["referral.withdrawn"]
    data: _Left


class Rebooked(Envelope):
    """`referral.rebooked`."""

    TYPE: ClassVar[str] = ReferralRebooked.TYPE
    type: Literal["referral.rebooked"]
    data: _Rebooked


class WaitListed(Envelope):
    """`referral.wait-listed`."""

    TYPE: ClassVar[str] = ReferralWaitListed.TYPE
    type: Literal["referral.wait-listed"]
    data: Told


class Cancelled(Envelope):
    """`referral.cancelled`."""

    TYPE: ClassVar[str] = ReferralCancelled.TYPE
    type: Literal["referral.cancelled"]
    data: _Cancelled


class ArrangedElsewhere(Envelope):
    """`referral.arranged-elsewhere`."""

    TYPE: ClassVar[str] = ReferralArrangedElsewhere.TYPE
    type: Literal["referral.arranged-elsewhere"]
    data: _PerhapsLeft


class Escalated(Envelope):
    """`referral.escalated`."""

    TYPE: ClassVar[str] = ReferralEscalated.TYPE
    type: Literal["referral.escalated"]
    data: _Escalated


class MessageLeft(Envelope):
    """`referral.message-left`."""

    TYPE: ClassVar[str] = ReferralMessageLeft.TYPE
    type: Literal["referral.message-left"]
    data: Told


class DocumentAttached(Envelope):
    """`referral.document-attached`."""

    TYPE: ClassVar[str] = ReferralDocumentAttached.TYPE
    type: Literal["referral.document-attached"]
    data: Told


class DuplicateSuspected(Envelope):
    """`referral.duplicate-suspected`."""

    TYPE: ClassVar[str] = ReferralDuplicateSuspected.TYPE
    type: Literal["referral.duplicate-suspected"]
    data: _Duplicate


Fact = (
    Accepted
    | Rejected
    | InformationWanted
    | InformationGiven
    | OutcomeGiven
    | NotAttended
    | Withdrawn
    | Rebooked
    | WaitListed
    | Cancelled
    | ArrangedElsewhere
    | Escalated
    | MessageLeft
    | DocumentAttached
    | DuplicateSuspected
)
"""A fact that somebody hears of. A refused action is none: who asked has the answer."""


class _WithdrawnBooking(Part):
    placement_id: UUID
    reference: str
    organisation: str
    why: str


class WithdrawnBooking(Envelope):
    """`booking.withdrawn`."""

    TYPE: ClassVar[str] = BookingWithdrawn.TYPE
    type: Literal["booking.withdrawn"]
    causationid: UUID
    data: _WithdrawnBooking


def place_left(fact: Fact) -> Place | None:
    """Where the patient is expected no more by this fact."""
    match fact:
        case Rebooked():
            return fact.data.old
        case Rejected() | NotAttended() | Withdrawn() | Cancelled() | ArrangedElsewhere():
            return fact.data.place
    return None
