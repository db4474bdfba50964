"""What the gateway reads of an outcome: whose it is. The whole of it is read only where somebody waits for it."""

from typing import ClassVar, cast
from uuid import UUID

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from services.chassis.views import View

Outcome = BookingConfirmed | BookingExhausted

_OUTCOMES: dict[str, type[Event]] = {one.TYPE: one for one in (BookingConfirmed, BookingExhausted)}


class _Seen(View):
    correlationid: UUID
    """The transaction: the id of the submission's event."""


class Confirmed(_Seen):
    """`booking.confirmed`."""

    TYPE: ClassVar[str] = BookingConfirmed.TYPE


class Exhausted(_Seen):
    """`booking.exhausted`."""

    TYPE: ClassVar[str] = BookingExhausted.TYPE


Seen = Confirmed | Exhausted


def whole(seen: Seen) -> Outcome:
    """The outcome, with all that is said of it. Raises pydantic's ValidationError."""
    return cast("Outcome", _OUTCOMES[seen.type].read(seen.to_json()))
