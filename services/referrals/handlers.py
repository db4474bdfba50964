"""Facts in: store them, decide where somebody must, and say so to whoever waits."""

from collections.abc import Sequence

from pydantic import ValidationError

from contracts.actions import ReferralActionRequested
from contracts.bookings import BookingConfirmed, BookingDisplaced, BookingExhausted
from contracts.envelope import Event
from services.chassis.dead_letters import DeadLetter
from services.chassis.failures import Poison
from services.referrals.deciding import Cause
from services.referrals.deciding_store import Decisions
from services.referrals.facts import Confirmed, Exhausted, Fact, is_of_further_placement
from services.referrals.news import News
from services.referrals.store import Referrals
from services.referrals.unreadable_store import DeadLetterBox


async def remember(facts: Sequence[Fact], *, referrals: Referrals, news: News) -> list[Event]:
    """Store each fact once, and bring its referral up to date. Nothing is told of it."""
    await referrals.store(facts)
    news.ring()
    return []


async def decide(
    came: Sequence[Fact | Event], *, referrals: Referrals, decisions: Decisions, news: News
) -> list[Event]:
    """Store what the flow told; decide about what was asked for, and about outcomes that are not simply the flow's."""
    flow: list[Fact] = []
    causes: list[Cause] = []
    for one in came:
        if isinstance(one, ReferralActionRequested | BookingDisplaced):
            causes.append(one)
        elif isinstance(one, Confirmed | Exhausted) and is_of_further_placement(one):
            causes.append(_whole(one))
        elif isinstance(one, Fact):
            flow.append(one)
    late = await referrals.store(flow)
    causes = [*(_whole(one) for one in late if isinstance(one, Confirmed | Exhausted)), *causes]
    try:
        return await decisions.decide(causes)
    finally:
        news.ring()


def _whole(ended: Confirmed | Exhausted) -> BookingConfirmed | BookingExhausted:
    """All of an outcome, for it is passed on. Raises Poison for one that is not what its contract says."""
    contract = BookingConfirmed if isinstance(ended, Confirmed) else BookingExhausted
    try:
        return contract.read(ended.to_json())
    except ValidationError:
        raise Poison(ended.id, f"it is to be decided about, and is no {contract.TYPE} as its contract has it") from None


async def keep(dead: Sequence[DeadLetter], *, letters: DeadLetterBox) -> list[Event]:
    """Keep what some reader could not use, so that it is on a worklist. Nothing is told of it."""
    await letters.keep(dead)
    return []
