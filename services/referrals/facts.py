"""What this service reads of each fact. It stores the rest as it came, and does not parse it.

The names are those of the contracts; a member that is not named here is skipped, which takes a third of the time of
reading the whole contract, and keeps a fact that is wrong only where nobody here looks.
"""

from typing import TYPE_CHECKING, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.brief import Acuity
from contracts.notifications import NotificationSent
from contracts.people import Desk, OrganisationCode
from contracts.placements import BookingRequested, Candidate
from contracts.submissions import ReferralSubmitted
from contracts.topics import Topic
from contracts.triage import ReferralTriaged

FactType = Literal[
    "referral.submitted",
    "referral.triaged",
    "booking.requested",
    "booking.confirmed",
    "booking.exhausted",
    "notification.sent",
]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Fact(_Read):
    """A fact in its envelope, with the exact bytes that it was read from."""

    __slots__ = ("_value",)
    if TYPE_CHECKING:
        _value: bytes

    TYPE: ClassVar[str]
    TOPIC: ClassVar[Topic]

    id: UUID
    type: str
    subject: UUID
    """The referral."""

    @classmethod
    def read(cls, value: bytes) -> Self:
        """The fact in a Kafka value. Raises pydantic's ValidationError."""
        fact = cls.model_validate_json(value)
        object.__setattr__(fact, "_value", value)
        return fact

    def to_json(self) -> bytes:
        """The Kafka value, as it was read."""
        return self._value


class _Organisation(_Read):
    organisation: OrganisationCode


class _Brief(_Read):
    answer_by: AwareDatetime
    acuity: Acuity
    referrer: _Organisation
    desk: Desk


class _SubmittedData(_Read):
    referrer: _Organisation
    desk: Desk
    answer_by: AwareDatetime


class Submitted(Fact):
    """`referral.submitted`."""

    TYPE = ReferralSubmitted.TYPE
    TOPIC = ReferralSubmitted.TOPIC
    data: _SubmittedData


class _Briefed(_Read):
    brief: _Brief


class Triaged(Fact):
    """`referral.triaged`."""

    TYPE = ReferralTriaged.TYPE
    TOPIC = ReferralTriaged.TOPIC
    data: _Briefed


class Requested(Fact):
    """`booking.requested`."""

    TYPE = BookingRequested.TYPE
    TOPIC = BookingRequested.TOPIC
    data: _Briefed


class _ConfirmedData(_Briefed):
    outcome: Literal["slot_held", "place_held", "delivered"]
    service: Candidate
    starts_at: AwareDatetime | None = None
    acceptance_due: AwareDatetime | None = None
    reference: str
    owner: Desk
    due: AwareDatetime
    next_step: str


class Confirmed(Fact):
    """`booking.confirmed`."""

    TYPE = BookingConfirmed.TYPE
    TOPIC = BookingConfirmed.TOPIC
    data: _ConfirmedData


class _ExhaustedData(_Briefed):
    why: str
    proposal: Candidate | None = None
    owner: Desk
    due: AwareDatetime
    next_step: str


class Exhausted(Fact):
    """`booking.exhausted`."""

    TYPE = BookingExhausted.TYPE
    TOPIC = BookingExhausted.TOPIC
    data: _ExhaustedData


class Receipt(Fact):
    """`notification.sent`: history, which goes to those of the outcome that it tells."""

    TYPE = NotificationSent.TYPE
    TOPIC = NotificationSent.TOPIC


_BY_TYPE: dict[str, type[Fact]] = {
    fact.TYPE: fact for fact in (Submitted, Triaged, Requested, Confirmed, Exhausted, Receipt)
}


def fact_in(value: bytes, type: str) -> Fact:
    """The fact of this type in a Kafka value. Raises KeyError for an unknown type, pydantic's ValidationError."""
    return _BY_TYPE[type].read(value)
