"""Facts in; nothing out at once, for `notification.sent` is told only after the provider took the message."""

from collections.abc import Callable, Sequence
from datetime import datetime

from contracts.envelope import Event
from services.notification.facts import Fact, WithdrawnBooking
from services.notification.given_back import GivenBack, untold_of
from services.notification.hearing import messages_about
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


async def tell_on(
    facts: Sequence[Fact | WithdrawnBooking],
    *,
    messages: Messages,
    given_back: GivenBack,
    clock: Callable[[], datetime],
    wake: Callable[[], None],
) -> list[Event]:
    """Store a message for everyone who must hear what became of these referrals, and wake the dispatcher.

    First, what is given back here is told to nobody who has not heard of it. A fact that was seen before adds nothing.
    """
    now = clock()
    moved = [fact for fact in facts if not isinstance(fact, WithdrawnBooking)]
    await given_back.forestall([one for fact in moved for one in untold_of(fact)], now)
    corrections = await given_back.corrections([fact for fact in facts if isinstance(fact, WithdrawnBooking)], now)
    await messages.add([*(one for fact in moved for one in messages_about(fact)), *corrections], now)
    wake()
    return []
