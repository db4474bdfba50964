"""A service's metrics on a real broker: what waits, for how long, and what was buried."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY

from contracts.directory import CapacityReported, DeskListed
from contracts.topics import Topic
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from tests.chassis_examples import desk, hosted, make_topics, settings, tell_effects, until

pytestmark = pytest.mark.backing


def value(name: str, **labels: str) -> float:
    """A metric of the service under test; 0 where it has none yet."""
    return REGISTRY.get_sample_value(f"onward_{name}", {"service": "booking", **labels}) or 0.0


async def test_what_waits_is_measured(kafka: Kafka, prefix: str) -> None:
    """Lag and ages while a handler hangs; nothing waits when it is done; what was unreadable is counted by reason."""
    await make_topics(kafka, prefix, "desks", "capacity", "booking.dlq")
    gate = asyncio.Event()

    async def slow(batch: Sequence[DeskListed]) -> list[CapacityReported]:
        await gate.wait()
        return await tell_effects(batch)

    service = Service("booking", settings(kafka, prefix=prefix))
    service.reads(Topic.DESKS, slow, DeskListed)
    buried = value("events_buried_total", topic="desks", reason="unreadable")
    batches = value("step_records_count", topic="desks")
    async with hosted(service):
        before = time.time()
        await service.publisher.tell([desk("one")])
        async with AIOKafkaProducer(**kafka.client()) as producer:
            await producer.send_and_wait(f"{prefix}desks", b"{", key=b"one")
        await asyncio.sleep(0.2)  # so that there is an age; it is not judged how much

        async def measured() -> tuple[float, float]:
            await service.measure()
            return value("group_lag_records", topic="desks"), value("unfinished_oldest_seconds", topic="desks")

        async with asyncio.timeout(20):
            while (await measured())[0] != 2:
                await asyncio.sleep(0.1)
        lag, oldest = await measured()
        assert 2 == lag
        assert 0.2 <= oldest <= time.time() - before + 0.01
        assert 0 < value("unfinished_newest_seconds", topic="desks") <= oldest
        gate.set()
        async with asyncio.timeout(20):
            while await measured() != (0, 0) or value("dead_letters") != 1:
                await asyncio.sleep(0.1)
        assert buried + 1 == value("events_buried_total", topic="desks", reason="unreadable")
        assert batches < value("step_records_count", topic="desks")
        await until(lambda: not service.not_ready())
        assert 1 == value("ready")
