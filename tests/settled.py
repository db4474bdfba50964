"""Waiting for a system to have nothing under way, and holding its invariants then."""

import asyncio

from services.chassis.kafka import Kafka
from services.invariants.check import Checked, check

PATIENCE_SECONDS = 30.0


async def once_nothing_is_under_way(kafka: Kafka, database: str, prefix: str) -> Checked:
    """The check after every reader has read everything; or as it stands when the time is up."""
    checked = await check(kafka, database, prefix=prefix)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(checked.behind.values()):
                await asyncio.sleep(0.25)
                checked = await check(kafka, database, prefix=prefix)
    except TimeoutError:
        pass
    return checked
