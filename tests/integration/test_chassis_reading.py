"""What a service reads from a real Kafka: handled, told, committed, and buried byte for byte."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaConnectionError

from contracts.directory import CapacityReported, DeskListed, ServiceListed
from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis import service as hosting
from services.chassis.failures import Poison, Transient
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.topics import apply, declared
from tests.chassis_examples import (
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
from tests.chassis_reading import booking, count_assignments, tell_desks, told, versions_by_key
from tests.pathways_examples import listed
from tests.pathways_examples import service as entry

pytestmark = pytest.mark.backing


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
