"""Facts in: store them, and say so to whoever waits."""

from collections.abc import Sequence

from contracts.envelope import Event
from services.chassis.dead_letters import DeadLetter
from services.referrals.facts import Fact
from services.referrals.news import News
from services.referrals.store import Referrals
from services.referrals.unreadable_store import DeadLetterBox


async def remember(facts: Sequence[Fact], *, referrals: Referrals, news: News) -> list[Event]:
    """Store each fact once, and bring its referral up to date. Nothing is told of it."""
    await referrals.store(facts)
    news.ring()
    return []


async def keep(dead: Sequence[DeadLetter], *, letters: DeadLetterBox) -> list[Event]:
    """Keep what some reader could not use, so that it is on a worklist. Nothing is told of it."""
    await letters.keep(dead)
    return []
