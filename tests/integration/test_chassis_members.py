"""Readers that come, go, are killed and start, on a real Kafka."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from contracts.directory import CapacityReported, DeskListed
from contracts.topics import PARTITIONS, Topic
from services.chassis import service as hosting
from services.chassis.failures import Transient
from services.chassis.kafka import Kafka
from services.chassis.service import NotAnswering
from services.chassis.topics import PartitionsDiffer, TopicMissing, apply, declared
from tests.chassis_examples import NOWHERE, admin_of, committed, desk, effect, hosted, make_topics, tell_effects, until
from tests.chassis_reading import booking, tell_desks, told

pytestmark = pytest.mark.backing


# Members that come and go


async def test_members_that_come_and_go_lose_nothing(topics: None, kafka: Kafka, prefix: str) -> None:
    """Five times a member joins and leaves under load. What is revoked is finished and committed first."""
    total, chunk = 12_000, 1_000

    async def slow(events: Sequence[DeskListed]) -> list[CapacityReported]:
        await asyncio.sleep(0.02)
        return await tell_effects(events)

    expected: list[UUID] = []
    async with hosted(booking(kafka, prefix, slow)) as staying:

        async def load() -> None:
            for first in range(1, total, chunk):
                expected.extend(await tell_desks(kafka, prefix, chunk, first=first))
                await asyncio.sleep(0.2)

        loading = asyncio.create_task(load())
        for _ in range(5):
            async with hosted(booking(kafka, prefix, slow)):
                await asyncio.sleep(0.1)
        await loading
        await committed(kafka, staying.group(Topic.DESKS), at_least=total)
    assert Counter(expected) == await told(kafka, prefix)


async def test_a_stop_in_the_middle_loses_and_doubles_nothing(topics: None, kafka: Kafka, prefix: str) -> None:
    """Five releases amid thousands: each finishes its batch, commits it, and begins no other."""
    expected = await tell_desks(kafka, prefix, 10_000)
    for share in range(1, 6):
        service = booking(kafka, prefix)
        await service.start()
        await committed(kafka, service.group(Topic.DESKS), at_least=1_500 * share)
        await service.stop()
    async with hosted(booking(kafka, prefix)) as last:
        await committed(kafka, last.group(Topic.DESKS), at_least=len(expected))
    assert Counter(expected) == await told(kafka, prefix)


KILLED = """
import asyncio, os, sys
from tests.chassis_examples import settings, tell_effects
from services.chassis import service as hosting
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from contracts.directory import DeskListed
from contracts.topics import Topic

hosting.COMMIT_SECONDS = 1.0

async def main(prefix):
    service = Service("booking", settings(Kafka.read(os.environ), prefix=prefix).model_copy(update={"replica": "one"}))
    async def slow(events):
        await asyncio.sleep(0.2)
        return await tell_effects(events)
    service.reads(Topic.DESKS, slow, DeskListed)
    await service.start()
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_kill_repeats_effects_under_the_same_ids_and_its_replacement_takes_over(
    topics: None, kafka: Kafka, prefix: str
) -> None:
    """Nothing is lost. The replacement has the name of the one that died, so it need not wait for its session's end."""
    expected = await tell_desks(kafka, prefix, 10_000)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, prefix, env=os.environ | kafka.environ)
    replacement = booking(kafka, prefix, replica="one")
    before = await committed(kafka, replacement.group(Topic.DESKS), at_least=1)
    async with asyncio.timeout(20):
        while (await told(kafka, prefix)).total() <= before:
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    async with hosted(replacement):
        await committed(kafka, replacement.group(Topic.DESKS), at_least=len(expected))
    effects = await told(kafka, prefix)
    assert set(expected) == effects.keys()
    assert len(expected) < effects.total()


# Starting


async def test_a_topic_that_is_missing_is_named_at_the_start(kafka: Kafka, prefix: str) -> None:
    """With the command that makes it, at once."""
    await make_topics(kafka, prefix, "desks", "capacity")
    service = booking(kafka, prefix)
    with pytest.raises(
        TopicMissing, match=rf"the topic {prefix}booking\.dlq does not exist: run `onward topics apply`"
    ):
        await service.start()
    await service.stop()


async def test_a_topic_with_other_partitions_is_named_at_the_start(kafka: Kafka, prefix: str) -> None:
    """Keys are placed by the declared count: with another one they would be looked for in the wrong place."""
    await make_topics(kafka, prefix, "booking.dlq")
    desks = next(topic for topic in declared(prefix) if topic.name == f"{prefix}desks")
    async with admin_of(kafka) as admin:
        await apply(admin, [replace(desks, partitions=3)])
    service = booking(kafka, prefix)
    with pytest.raises(PartitionsDiffer, match=rf"{prefix}desks has 3 and not {PARTITIONS}"):
        await service.start()
    await service.stop()


async def test_a_kafka_that_does_not_answer_is_named_at_the_start(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start waits a while for it, then says what to start."""
    monkeypatch.setattr(hosting, "START_SECONDS", 0.5)
    service = booking(NOWHERE, prefix)
    with pytest.raises(NotAnswering, match="booking: Kafka did not answer"):
        await service.start()
    await service.stop()


async def test_background_work_that_fails_is_begun_again(topics: None, kafka: Kafka, prefix: str) -> None:
    """What is away is waited for; a bug stops the service with a reason."""
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        raise Transient("away") if begun < 3 else KeyError("Ada SENTINEL")

    service = booking(kafka, prefix)
    service.runs("dispatch", work)
    try:
        await service.start()
        await until(lambda: "stopped" in str(service.not_ready()))
        assert 3 == begun
        assert "stopped: booking: dispatch failed with KeyError at test_chassis_members.py" in service.not_ready()[0]
    finally:
        await service.stop()


async def test_a_service_says_why_it_is_not_ready(topics: None, kafka: Kafka, prefix: str) -> None:
    """Before, during and after its life, and when its own check says so."""
    full = True
    service = booking(kafka, prefix)
    service.ready_when(lambda: "the directory is empty" if full else None)
    joining = ["desks: joining its group", "replay: joining its group"]
    assert ["not started", *joining, "the directory is empty"] == service.not_ready()
    await service.start()
    await until(lambda: ["the directory is empty"] == service.not_ready())
    full = False
    assert [] == service.not_ready()
    await service.stop()
    assert "not started" in service.not_ready()


async def test_a_process_that_only_answers_reads_nothing(topics: None, kafka: Kafka, prefix: str) -> None:
    """Another process reads; this one can tell, and is ready."""
    await tell_desks(kafka, prefix, 10)
    service = booking(kafka, prefix)
    await service.start(reading=False)
    try:
        assert [] == service.not_ready()
        await service.publisher.tell([effect(desk())])
    finally:
        await service.stop()
    assert 1 == (await told(kafka, prefix)).total()
