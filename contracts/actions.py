"""The topic `submissions`, written by the gateway: what somebody asks to be done with a referral."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from contracts.envelope import Data, Instant, ReferralEvent, Text, Version
from contracts.people import Desk, Referrer
from contracts.submissions import Accepted, ServiceId
from contracts.topics import Topic

Words = Annotated[Text, StringConstraints(min_length=1, max_length=2000)]
"""What one desk says to the other. Clinical, and seen only by the organisations on the referral."""

RejectionReason = Literal[
    "no-capacity",
    "not-suitable",
    "not-commissioned",
    "already-referred",
    "cannot-contact-patient",
    "patient-declined",
    "other",
]
CancellationReason = Literal[
    "patient-declined", "patient-better", "patient-died", "already-referred", "entered-in-error", "other"
]
OutcomeKind = Literal[
    "treated-and-discharged",
    "admitted",
    "referred-onward",
    "advice-given",
    "no-care-needed",
    "ambulance-response-wanted",
    "arranged-elsewhere",
    "died",
    "other",
]


class Receive(Data):
    """The receiving service says that it has the referral: somebody has looked at it."""

    action: Literal["receive"]


class Accept(Data):
    """The receiving service will see the patient."""

    action: Literal["accept"]
    words: Words | None = None


class Reject(Data):
    """The receiving service will not see the patient, and why. The referrer's desk owns the patient again."""

    action: Literal["reject"]
    reason: RejectionReason
    words: Words | None = None


class WantInformation(Data):
    """The receiving service cannot decide without an answer from the referrer's desk."""

    action: Literal["want_information"]
    words: Words


class GiveInformation(Data):
    """The referrer's desk answers."""

    action: Literal["give_information"]
    words: Words


class RecordContact(Data):
    """The receiving service has reached the patient, or tried to."""

    action: Literal["record_contact"]
    reached: bool
    words: Words | None = None


class BeginCare(Data):
    """The receiving service is on its way, or has begun."""

    action: Literal["begin_care"]


class See(Data):
    """Somebody has seen the patient."""

    action: Literal["see"]


class GiveOutcome(Data):
    """What came of it, with documents that were attached before, such as a discharge summary."""

    action: Literal["give_outcome"]
    kind: OutcomeKind
    words: Words | None = None
    documents: tuple[UUID, ...] = Field(default=(), max_length=20)


class NotAttended(Data):
    """The patient did not come, or was not there."""

    action: Literal["not_attended"]
    words: Words | None = None


class Withdraw(Data):
    """The receiving service takes back what it had accepted or held. The patient is given another place, or goes back
    to the referrer's desk."""

    action: Literal["withdraw"]
    words: Words | None = None


class Redirect(Data):
    """The receiving service sends the patient on to another, which crew and patient agree to. The place here is kept
    until the other has one."""

    action: Literal["redirect"]
    accept: Accepted
    agreed: Literal[True] = Field(description="the patient agrees to go there: said, never supposed")
    words: Words | None = None


class Rebook(Data):
    """The referrer's desk asks for another place. The one that is held is kept until the other is."""

    action: Literal["rebook"]
    accept: Accepted
    words: Words | None = None


class Wait(Data):
    """The referrer's desk puts the patient on the waiting list of a service that is full."""

    action: Literal["wait"]
    service: ServiceId
    until: Instant = Field(description="past this the wait is over and the desk is told")


class Cancel(Data):
    """The referrer's desk takes the referral back. Whatever is held for it is given back."""

    action: Literal["cancel"]
    reason: CancellationReason
    words: Words | None = None


class ArrangeElsewhere(Data):
    """The referrer's desk has arranged what the patient needs by other means, and says what."""

    action: Literal["arrange_elsewhere"]
    words: Words


class LeaveMessage(Data):
    """One desk says something to the other. The referral stays where it stands."""

    action: Literal["leave_message"]
    words: Words


class NotDuplicate(Data):
    """The referrer's desk has talked to the other one: they are different patients, or both referrals are wanted."""

    action: Literal["not_duplicate"]
    other: UUID = Field(description="the referral that was taken for another of the same patient")
    words: Words | None = None


Action = Annotated[
    Receive
    | Accept
    | Reject
    | WantInformation
    | GiveInformation
    | RecordContact
    | BeginCare
    | See
    | GiveOutcome
    | NotAttended
    | Withdraw
    | Redirect
    | Rebook
    | Wait
    | Cancel
    | ArrangeElsewhere
    | LeaveMessage
    | NotDuplicate,
    Field(discriminator="action"),
]

ActionName = Literal[
    "receive",
    "accept",
    "reject",
    "want_information",
    "give_information",
    "record_contact",
    "begin_care",
    "see",
    "give_outcome",
    "not_attended",
    "withdraw",
    "redirect",
    "rebook",
    "wait",
    "cancel",
    "arrange_elsewhere",
    "leave_message",
    "not_duplicate",
]


class ReferralActionRequestedData(Data):
    """What is asked, by whom, and which version of the referral they had seen."""

    action: Action
    by: Referrer = Field(description="from the verified token")
    desk: Desk | None = Field(default=None, description="of their organisation, where it has one")
    seen_version: Version | None = Field(default=None, description="from If-Match; none where they did not say")


class ReferralActionRequested(
    ReferralEvent, type="referral.action-requested", topic=Topic.SUBMISSIONS, classification="clinical"
):
    """Somebody asks for something to be done with a referral. Whether it is done, referrals alone decides."""

    data: ReferralActionRequestedData
