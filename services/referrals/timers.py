"""Due times: a referral of which nobody did what was due goes back to its desk.

A time counts only once this service has read everything that was told to it before that time: after an outage an
answer may still be on the log, and must not be overlooked. What was told in the last seconds is always still on its
way, so a due time counts some seconds late.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from services.chassis.database import Database
from services.referrals.deciding_store import AT_ONCE, Decisions
from services.referrals.news import News

EVERY_SECONDS = 1.0
BEHIND = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1))
"""How far behind the reading may be for due times to count up to there, the nearest first."""


class Reading(Protocol):
    """How far this service has read: its host knows."""

    async def has_read_until(self, at: datetime) -> bool:
        """Whether every fact that the log took before a moment is processed."""


async def watch_due_times(
    decisions: Decisions, database: Database, reading: Reading, clock: Callable[[], datetime], news: News
) -> None:
    """Look again and again what is due, for ever; of all replicas one does. Raises Kafka's and PostgreSQL's errors."""
    while True:
        async with database.alone("timers") as connection:
            while connection is not None:
                await asyncio.sleep(EVERY_SECONDS)
                if await pass_due_times(decisions, reading, clock()):
                    news.ring()
        await asyncio.sleep(EVERY_SECONDS)


async def pass_due_times(decisions: Decisions, reading: Reading, now: datetime) -> int:
    """Escalate what was due before the moment up to which everything is read. Returns how many referrals."""
    for behind in BEHIND:
        until = now - behind
        if await reading.has_read_until(until):
            total = 0
            while passed := await decisions.escalate(until):
                total += passed
                if passed < AT_ONCE:
                    break
            return total
    return 0
