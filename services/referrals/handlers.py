"""Facts in: store them, and say so to whoever waits."""

from collections.abc import Sequence

from contracts.envelope import Event
from services.referrals.facts import Fact
from services.referrals.news import News
from services.referrals.store import Referrals


async def remember(facts: Sequence[Fact], *, referrals: Referrals, news: News) -> list[Event]:
    """Store each fact once, and bring its referral up to date. Nothing is told of it."""
    await referrals.store(facts)
    news.ring()
    return []
