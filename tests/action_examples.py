"""What tests of actions send, and the facts that answer: a referral that is placed with RX8 and referred by RX9."""

from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from contracts.actions import ReferralActionRequested
from contracts.envelope import Data, Event
from contracts.people import Contact, Desk, PatientIdentity, Referrer
from contracts.referrals import (
    ActionRefusedData,
    Clocks,
    Moved,
    MovedToAnotherPlaceData,
    Place,
    ReferralAccepted,
    ReferralActionRefused,
    ReferralRebooked,
    ReferralRejected,
    RejectedData,
    Standing,
)
from tests.gateway_examples import DESK, MOBILE, NHS_NUMBER, NOON, candidate

RECEIVER = Desk(organisation="RX8", name="Riverside desk", telephone="01632 960146")
BY = Referrer(organisation="RX8", practitioner="nurse-4", role="receiving-team")
REFERRAL = UUID("11111111-2222-4333-8444-555555555555")
OTHER = UUID("11111111-2222-4333-8444-666666666666")
WORDS = "She lives with her sister Ida."

WHOLE: dict[str, dict[str, Any]] = {
    "receive": {},
    "accept": {"words": "Bring the walking frame."},
    "reject": {"reason": "no-capacity"},
    "want_information": {"words": "Which leg?"},
    "give_information": {"words": "The left."},
    "record_contact": {"reached": True},
    "begin_care": {},
    "see": {},
    "give_outcome": {"kind": "advice-given", "documents": [str(OTHER)]},
    "not_attended": {},
    "withdraw": {},
    "redirect": {"accept": [{"service_type": 135}], "agreed": True},
    "rebook": {"accept": "any"},
    "wait": {"service": "S-146-1", "until": "2026-03-03T12:00:00+00:00"},
    "cancel": {"reason": "patient-better"},
    "arrange_elsewhere": {"words": "The GP visits."},
    "leave_message": {"words": "Telephone after six."},
    "not_duplicate": {"other": str(OTHER)},
}
"""What each action says, by its name."""


def place(service_id: str = "S-146-1") -> Place:
    """A slot with a service of RX8."""
    return Place(
        placement_id=uuid5(NAMESPACE_OID, service_id),
        outcome="slot_held",
        service=candidate(service_id),
        starts_at=NOON + timedelta(minutes=45),
        slot_minutes=30,
        reference="123456789012",
    )


def standing(**changes: Any) -> Standing:
    """Where a referral stands once it was accepted, with members replaced."""
    whole: dict[str, Any] = {
        "version": 5,
        "state": "accepted",
        "owner": RECEIVER,
        "due": NOON + timedelta(minutes=75),
        "next_step": "The service sees the patient.",
        "acuity": "urgent",
        "place": place(),
        "clocks": Clocks(answer_by=NOON + timedelta(minutes=30)),
        "desk": DESK,
        "referrer": Referrer(organisation="RX9", practitioner="crew-7", role="paramedic"),
        "patient": PatientIdentity(nhs_number=NHS_NUMBER, contact=Contact(mobile=MOBILE)),
    }
    return Standing(**(whole | changes))


def _decided(contract: type[Event], data: Data, transaction: UUID, referral: UUID) -> Any:
    fact = contract.first(
        data, id=uuid4(), source="onward/referrals", subject=str(referral), time=NOON + timedelta(milliseconds=20)
    )
    return fact.model_copy(update={"correlationid": transaction, "causationid": transaction})


def accepted(transaction: UUID, referral: UUID) -> ReferralAccepted:
    """The action whose event this is was done: the service will see the patient."""
    return _decided(
        ReferralAccepted, Moved(standing=standing(), was="placed", by=BY, words=WORDS), transaction, referral
    )


def rejected(transaction: UUID, referral: UUID) -> ReferralRejected:
    """The service will not see the patient, and what it held is given back."""
    now = standing(state="rejected", version=6, place=None, owner=DESK)
    data = RejectedData(standing=now, was="placed", by=BY, words=WORDS, reason="not-suitable", place=place())
    return _decided(ReferralRejected, data, transaction, referral)


def rebooked(transaction: UUID, referral: UUID) -> ReferralRebooked:
    """The patient has another place."""
    now = standing(state="placed", version=7, place=place("S-146-2"), owner=DESK)
    data = MovedToAnotherPlaceData(standing=now, was="placed", old=place(), why="rebooked")
    return _decided(ReferralRebooked, data, transaction, referral)


def refused(
    transaction: UUID, referral: UUID, refusal: str = "wrong-state", *, known: bool = True
) -> ReferralActionRefused:
    """The action is not done; of a referral that its sender is on, unless it is not `known` to them."""
    data = ActionRefusedData(
        action="accept",
        by=BY,
        refusal=refusal,
        why="It is cancelled already.",
        standing=standing(state="cancelled") if known else None,
    )
    return _decided(ReferralActionRefused, data, transaction, referral)


def asked(event: Event) -> ReferralActionRequested:
    """An event that was told, which must be an action's."""
    assert isinstance(event, ReferralActionRequested)
    return event
