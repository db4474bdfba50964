"""A service reading on a real broker: failures, rebalances, stops and kills, and every event accounted for."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaConnectionError

from contracts.directory import CapacityReported, DeskListed, ServiceListed
from contracts.envelope import Event
from contracts.topics import PARTITIONS, Topic
from services.chassis import service as hosting
from services.chassis.failures import Poison, Transient
from services.chassis.kafka import Kafka
from services.chassis.service import NotAnswering, Service
from services.chassis.step import Step
from services.chassis.topics import PartitionsDiffer, TopicMissing, apply, declared
from tests.chassis_examples import (
    NOWHERE,
    admin_of,
    committed,
    desk,
    effect,
    everything_on,
    hosted,
    make_topics,
    settings,
    tell_effects,
    until,
)
from tests.pathways_examples import listed
from tests.pathways_examples import service as entry

pytestmark = pytest.mark.backing

Handle = Callable[[Sequence[DeskListed]], Awaitable[Sequence[Event]]]


@pytest.fixture
async def topics(kafka: Kafka, prefix: str) -> None:
    """Desks to read, capacities to tell, and dead letters."""
    await make_topics(kafka, prefix, "desks", "capacity", "booking.dlq")


def booking(kafka: Kafka, prefix: str, handler: Handle = tell_effects, *, replica: str = "") -> Service:
    """A service that reads desks and tells capacities."""
    service = Service("booking", settings(kafka, prefix=prefix).model_copy(update={"replica": replica}))
    service.reads(Topic.DESKS, handler, DeskListed)
    return service


async def tell_desks(kafka: Kafka, prefix: str, count: int, *, first: int = 1) -> list[UUID]:
    """Desks of 50 keys, numbered in order. Returns the ids of their effects."""
    async with hosted(Service("pathways", settings(kafka, prefix=prefix))) as service:
        events = [desk(f"key-{n % 50}", version=n) for n in range(first, first + count)]
        await service.publisher.tell(events)
    return [effect(event).id for event in events]


async def told(kafka: Kafka, prefix: str) -> Counter[UUID]:
    """How often each effect was told."""
    records = await everything_on(kafka, f"{prefix}capacity")
    return Counter(CapacityReported.read(record.value).id for record in records)


async def versions_by_key(kafka: Kafka, prefix: str) -> dict[bytes, list[int]]:
    """The versions of the effects of each key, as told."""
    versions: dict[bytes, list[int]] = {}
    for record in await everything_on(kafka, f"{prefix}capacity"):
        versions.setdefault(record.key, []).append(CapacityReported.read(record.value).data.version)
    return versions


async def test_what_is_read_is_handled_told_and_committed(topics: None, kafka: Kafka, prefix: str) -> None:
    """Every event once, in the order of each key, and its offset after it."""
    expected = await tell_desks(kafka, prefix, 2000)
    async with hosted(booking(kafka, prefix)) as service:
        await committed(kafka, service.group(Topic.DESKS), at_least=2000)
    assert Counter(expected) == await told(kafka, prefix)
    assert all(versions == sorted(versions) for versions in (await versions_by_key(kafka, prefix)).values())


async def test_dead_letters_keep_every_byte(kafka: Kafka, prefix: str) -> None:
    """Key, value and headers as they came, null ones and those that are no text included, with why and where from."""
    odd: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (b"RX1", b"junk", [("type", b"desk.listed")]),
        (None, b"\xff\x00\xfe", [("a", None), ("a", b"\xff\xfe"), ("a", b""), ("type", b"desk.listed")]),
        (b"\xff", None, []),
        (b"", b"", [("é", "é".encode())]),
        (None, b'{"type": "desk.listed"}', []),
    ]
    good = desk()
    await make_topics(kafka, prefix, "triage", "capacity", "booking.dlq")  # for a compacted topic takes no null key
    async with AIOKafkaProducer(**kafka.client()) as producer:
        for key, value, headers in odd:
            await producer.send_and_wait(f"{prefix}triage", value, key, partition=0, headers=headers)
        await producer.send_and_wait(f"{prefix}triage", good.to_json(), b"RX1", partition=0)
    service = Service("booking", settings(kafka, prefix=prefix))
    service.reads(Topic.TRIAGE, tell_effects, DeskListed)
    async with hosted(service):
        await committed(kafka, service.group(Topic.TRIAGE), at_least=len(odd) + 1)
    buried = await everything_on(kafka, f"{prefix}booking.dlq")
    assert [(key, value, tuple(headers)) for key, value, headers in odd] == [
        (record.key, record.value, record.headers[:-2]) for record in buried
    ]
    assert [f"{prefix}triage/0/{n}".encode() for n in range(len(odd))] == [
        dict(record.headers)["dead-origin"] for record in buried
    ]
    assert b"a record without a value (a tombstone) on a topic of facts" == dict(buried[2].headers)["dead-because"]
    assert {effect(good).id: 1} == await told(kafka, prefix)


async def test_the_largest_record_can_be_buried(topics: None, kafka: Kafka, prefix: str) -> None:
    """A record that fills its topic's limit leaves room in the dead letters for why and where from."""
    async with AIOKafkaProducer(**kafka.client(), max_request_size=2_000_000) as producer:
        await producer.send_and_wait(
            f"{prefix}desks", b"x" * 1_048_450, b"RX1", partition=0, headers=[("h", b"y" * 20)]
        )
    async with hosted(booking(kafka, prefix)) as service:
        await committed(kafka, service.group(Topic.DESKS), at_least=1)
    assert [1_048_450] == [len(record.value) for record in await everything_on(kafka, f"{prefix}booking.dlq")]


async def test_poison_that_a_handler_declares_is_buried_alone(topics: None, kafka: Kafka, prefix: str) -> None:
    """The rest of its batch is told."""

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        for event in events:
            if event.data.version == 7:
                raise Poison(event.id, "no such service")
        return await tell_effects(events)

    expected = await tell_desks(kafka, prefix, 20)
    async with hosted(booking(kafka, prefix, handler)) as service:
        await committed(kafka, service.group(Topic.DESKS), at_least=20)
    assert Counter(expected) - Counter([expected[6]]) == await told(kafka, prefix)
    (buried,) = await everything_on(kafka, f"{prefix}booking.dlq")
    assert b"no such service" == dict(buried.headers)["dead-because"]


async def test_a_bug_stops_the_service_and_its_successor_loses_nothing(topics: None, kafka: Kafka, prefix: str) -> None:
    """Not ready with a reason, nothing buried, offsets kept; the next release reads on from there."""

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        raise KeyError("Ada SENTINEL")

    expected = await tell_desks(kafka, prefix, 300)
    broken = booking(kafka, prefix, handler)
    await broken.start()
    await until(broken.not_ready)
    await until(lambda: "stopped" in broken.not_ready()[0])
    assert broken.not_ready()[0].startswith("stopped: booking failed on desks: KeyError at test_chassis_reading.py:")
    await broken.stop()
    assert 0 == await committed(kafka, broken.group(Topic.DESKS))
    assert [] == await everything_on(kafka, f"{prefix}booking.dlq")
    async with hosted(booking(kafka, prefix)) as mended:
        await committed(kafka, mended.group(Topic.DESKS), at_least=300)
    assert Counter(expected) == await told(kafka, prefix)


async def test_a_bug_on_one_record_buries_it_alone(topics: None, kafka: Kafka, prefix: str) -> None:
    """Everything else of its batch is told once, in the order of each key, and all of it is committed."""

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        if any(event.data.version == 137 for event in events):
            raise KeyError("Ada SENTINEL")
        return await tell_effects(events)

    expected = await tell_desks(kafka, prefix, 300)
    async with hosted(booking(kafka, prefix, handler)) as service:
        await committed(kafka, service.group(Topic.DESKS), at_least=300)
    (buried,) = await everything_on(kafka, f"{prefix}booking.dlq")
    assert 137 == DeskListed.read(buried.value).data.version
    assert dict(buried.headers)["dead-because"].startswith(
        b"a bug, 3 times alone: KeyError at test_chassis_reading.py:"
    )
    assert Counter(expected) - Counter([expected[136]]) == await told(kafka, prefix)
    assert all(versions == sorted(versions) for versions in (await versions_by_key(kafka, prefix)).values())


async def test_an_effect_that_the_broker_refuses_buries_its_cause(kafka: Kafka, prefix: str) -> None:
    """Too large for its topic will be too large next time. What comes after it on its partition is told."""
    await make_topics(kafka, prefix, "desks", "booking.dlq")
    (capacity,) = [topic for topic in declared(prefix) if topic.name == f"{prefix}capacity"]
    capacity.config["max.message.bytes"] = "200"
    async with admin_of(kafka) as admin:
        await apply(admin, [capacity])
    await tell_desks(kafka, prefix, 1)
    async with hosted(booking(kafka, prefix)) as service:
        await committed(kafka, service.group(Topic.DESKS), at_least=1)
        await make_topics(kafka, prefix, "capacity")  # as it is declared
        (fitting,) = await tell_desks(kafka, prefix, 1)
        await committed(kafka, service.group(Topic.DESKS), at_least=2)
    (buried,) = await everything_on(kafka, f"{prefix}booking.dlq")
    assert b"MessageSizeTooLargeError" in dict(buried.headers)["dead-because"]
    assert {fitting: 1} == await told(kafka, prefix)


@pytest.mark.parametrize("error", [KafkaConnectionError(), RuntimeError("a bug")])
async def test_a_failure_after_part_of_a_batch_was_published(
    topics: None, kafka: Kafka, prefix: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is told again under the same ids: nothing is lost, and readers take the repeats for one."""
    expected = await tell_desks(kafka, prefix, 300)
    service = booking(kafka, prefix)
    send, calls = AIOKafkaProducer.send_batch, 0

    async def failing(*batch: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise error
        return await send(*batch, **options)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", failing)
    async with hosted(service):
        await committed(kafka, service.group(Topic.DESKS), at_least=300)
    effects = await told(kafka, prefix)
    assert set(expected) == effects.keys()
    assert 300 < effects.total()
    assert [] == await everything_on(kafka, f"{prefix}booking.dlq")


async def test_a_record_of_a_wrong_shape_is_buried_and_one_of_a_later_shape_is_read(
    topics: None, kafka: Kafka, prefix: str
) -> None:
    """What lacks a member or has another kind of value is buried; a member that is not known yet harms nothing."""
    whole = json.loads(desk().to_json())
    lacking = whole | {"data": {"version": 1}}
    other = whole | {"data": whole["data"] | {"version": "first"}}
    later = json.loads((newer := desk()).to_json())
    later["data"]["desk"]["opened"] = "2031-01-01"
    foreign = whole | {"type": "desk.moved"}
    async with AIOKafkaProducer(**kafka.client()) as producer:
        for body in (lacking, other, later, foreign):
            headers = [("type", body["type"].encode())]
            await producer.send_and_wait(
                f"{prefix}desks", json.dumps(body).encode(), b"RX1", partition=0, headers=headers
            )
    async with hosted(booking(kafka, prefix)) as service:
        await committed(kafka, service.group(Topic.DESKS), at_least=4)
    why = [dict(record.headers)["dead-because"] for record in await everything_on(kafka, f"{prefix}booking.dlq")]
    assert [b"/data/desk: Field required", b"/data/version: Input should be a valid integer"] == [
        one.partition(b", unable")[0] for one in why
    ]
    assert {effect(newer).id: 1} == await told(kafka, prefix)


async def test_a_tombstone_of_a_compacted_topic_is_passed_over(topics: None, kafka: Kafka, prefix: str) -> None:
    """It says no more than the fact before it did, and is nobody's fault: nothing is buried."""
    (expected,) = await tell_desks(kafka, prefix, 1)
    async with AIOKafkaProducer(**kafka.client()) as producer:
        await producer.send_and_wait(f"{prefix}desks", None, b"RX1", partition=0)
    async with hosted(booking(kafka, prefix)) as service:
        await committed(kafka, service.group(Topic.DESKS), at_least=2)
    assert [] == await everything_on(kafka, f"{prefix}booking.dlq")
    assert {expected: 1} == await told(kafka, prefix)


async def test_topics_whose_partitions_have_no_leader_yet(kafka: Kafka, prefix: str) -> None:
    """A service that starts in the same moment as its topics waits for their leaders and loses nothing."""
    names = {f"{prefix}{name}" for name in ("desks", "capacity", "booking.dlq", "booking.replay")}
    wanted = [
        NewTopic(one.name, one.partitions, 1, topic_configs=one.config) for one in declared(prefix) if one.name in names
    ]
    events = [desk(f"key-{n}") for n in range(50)]
    service = booking(kafka, prefix)
    async with admin_of(kafka) as admin:
        await admin.create_topics(wanted)
        async with asyncio.timeout(20):
            while not names <= set(await admin.list_topics()):  # known of, and led or not
                pass
    try:
        await service.start()
        await service.publisher.tell(events)
        await committed(kafka, service.group(Topic.DESKS), at_least=50)
    finally:
        await service.stop()
    assert Counter(effect(event).id for event in events) == await told(kafka, prefix)


async def test_what_is_away_holds_up_its_own_topic_only(
    kafka: Kafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits longer than Kafka lets a silent member live, is not expelled, and goes on in order when it can."""
    monkeypatch.setattr(hosting, "MAX_POLL_SECONDS", 1.5)
    await make_topics(kafka, prefix, "desks", "services", "capacity", "booking.dlq")
    away = True

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        if away:
            raise Transient("away")
        return await tell_effects(events)

    others: list[Event] = []

    async def other(events: Sequence[ServiceListed]) -> list[Event]:
        others.extend(events)
        return []

    expected = await tell_desks(kafka, prefix, 700)
    service = booking(kafka, prefix, handler)
    service.reads(Topic.SERVICES, other, ServiceListed)
    try:
        await service.start()
        await until(lambda: any("waiting to try again" in reason for reason in service.not_ready()))
        desks = service._steps[0]
        failed = desks._failures
        joined = Counter[str]()
        for step in service._steps:
            count_assignments(step, joined)
        async with hosted(Service("pathways", service.settings)) as meanwhile:
            for n in range(30):
                await meanwhile.publisher.tell([listed(entry(f"S-{n}"))])
                await asyncio.sleep(0.1)
        await until(lambda: len(others) == 30)
        assert desks._failures > failed
        assert 0 == await committed(kafka, service.group(Topic.DESKS))
        away = False
        await until(lambda: not service.not_ready())
        await committed(kafka, service.group(Topic.DESKS), at_least=700)
    finally:
        await service.stop()
    assert {} == joined
    assert Counter(expected) == await told(kafka, prefix)
    assert all(versions == sorted(versions) for versions in (await versions_by_key(kafka, prefix)).values())


def count_assignments(step: Step, into: Counter[str]) -> None:
    """Count how often a step is assigned partitions from now on."""
    assigned = step.on_partitions_assigned

    async def counted(partitions: object) -> None:
        into[step.topic] += 1
        await assigned(partitions)

    step.on_partitions_assigned = counted  # type: ignore[method-assign]


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
        assert "stopped: booking: dispatch failed with KeyError at test_chassis_reading.py" in service.not_ready()[0]
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
