"""What is overridden in the libraries, and why. tests/unit/test_library_guards.py fails when they change."""

import asyncio
from functools import wraps
from typing import Any

from aiokafka.client import AIOKafkaClient

PAUSE_SECONDS = 0.25


def pause_after_failed_metadata() -> None:
    """Sleep after a failed metadata update. Unpatched, a client spins on one core for as long as the broker is away."""
    original = AIOKafkaClient._metadata_update
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    async def metadata_update(self: AIOKafkaClient, *args: Any) -> bool:
        updated: bool = await original(self, *args)
        if not updated:
            await asyncio.sleep(PAUSE_SECONDS)
        return updated

    AIOKafkaClient._metadata_update = metadata_update
