"""A submission that is answered."""

import asyncio
from datetime import UTC, datetime

import httpx

from contracts.submissions import referral_id
from tests.gateway_examples import confirmed
from tests.gateway_running import Replica

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def settled(replica: Replica, posting: "asyncio.Task[httpx.Response]", *, told: int = 1) -> httpx.Response:
    """The answer of a request whose event is settled as a held slot, by waking and by the group."""
    event = (await replica.told(told))[-1]
    outcome = confirmed(event.id, referral_id(event))
    replica.waiters.wake([outcome])
    await replica.remember(outcome)
    return await posting
