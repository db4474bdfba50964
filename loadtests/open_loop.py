"""An open loop: requests leave on a schedule, and each is timed from the moment at which it was to leave."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Send = Callable[[int], Awaitable[None]]


async def constant(send: Send, *, per_second: float, seconds: float, first: int = 0) -> list[float]:
    """Send at a constant rate; returns each latency in milliseconds, from the intended moment. Errors come out.

    A late sender shows as latency: a stall of the system is never hidden by sending less.
    """
    count = int(per_second * seconds)
    began = time.perf_counter() + 0.05
    latencies: list[float] = []

    async def one(number: int) -> None:
        intended = began + number / per_second
        await asyncio.sleep(max(0.0, intended - time.perf_counter()))
        await send(first + number)
        latencies.append((time.perf_counter() - intended) * 1000)

    await asyncio.gather(*(one(number) for number in range(count)))
    return latencies


def percentile(latencies: list[float], part: float) -> float:
    """The latency that `part` (0 to 1) of them do not exceed."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
