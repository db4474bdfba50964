"""Outcomes in; nothing out at once, for `notification.sent` is told only after the provider took the message."""

from collections.abc import Callable, Sequence
from datetime import datetime

from contracts.envelope import Event
from services.notification.messages import messages_of
from services.notification.outcomes import Outcome
from services.notification.store import Messages


async def tell(
    outcomes: Sequence[Outcome], *, messages: Messages, clock: Callable[[], datetime], wake: Callable[[], None]
) -> list[Event]:
    """Store a message for everyone who must hear of these outcomes, and wake the dispatcher.

    An outcome that was seen before adds none.
    """
    await messages.add([message for outcome in outcomes for message in messages_of(outcome)], clock())
    wake()
    return []
