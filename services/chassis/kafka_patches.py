"""What is overridden in the libraries, and why. tests/unit/test_library_guards.py fails when they change."""

import asyncio
import time
from functools import wraps
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaTimeoutError
from aiokafka.producer.message_accumulator import MessageAccumulator

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


def wait_for_a_partition_as_long_as_is_said() -> None:
    """Let a batch wait for its turn on a partition until its time is over. Unpatched, each batch that is let go first
    takes all the time since the beginning off again: after eight, ten seconds are over in less than three."""
    original = MessageAccumulator.add_batch
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    async def add_batch(self: MessageAccumulator, builder: Any, tp: Any, timeout: float) -> Any:
        until = time.monotonic() + timeout
        while True:
            try:
                return await original(self, builder, tp, until - time.monotonic())
            except KafkaTimeoutError:
                if time.monotonic() >= until:
                    raise

    MessageAccumulator.add_batch = add_batch
