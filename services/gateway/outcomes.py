"""What the gateway reads of an outcome: whose it is. The whole of it is read only where somebody waits for it."""

from typing import ClassVar, cast
from uuid import UUID

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from services.chassis.lean import lean
from services.chassis.views import View
from services.gateway.answer import body_of
from services.gateway.answered import Answered

Outcome = BookingConfirmed | BookingExhausted

_OUTCOMES: dict[str, type[Event]] = {one.TYPE: lean(one) for one in (BookingConfirmed, BookingExhausted)}


class Seen(View):
    """A fact that may answer an attempt."""

    correlationid: UUID
    """The transaction: the id of the attempt's event."""


class Confirmed(Seen):
    """`booking.confirmed`."""

    TYPE: ClassVar[str] = BookingConfirmed.TYPE


class Exhausted(Seen):
    """`booking.exhausted`."""

    TYPE: ClassVar[str] = BookingExhausted.TYPE


def whole(seen: Seen) -> Outcome:
    """The outcome, with all that is said of it. Raises pydantic's ValidationError."""
    return cast("Outcome", _OUTCOMES[seen.type].read(seen.to_json()))


def answered(seen: Seen) -> Answered:
    """The answer that an outcome is to a submission. Raises pydantic's ValidationError."""
    return Answered(body_of(whole(seen)))
