"""Records that nobody of ours would send, on every topic of the flow: each reader passes over them or buries them, and
what must always be true can be asked as before."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from services.chassis.kafka import Kafka
from services.chassis.partitions import partition_of
from services.invariants.check import BURIED, FLOW
from tests.contracts.golden_examples import VALID
from tests.edges.whole_system import Whole
from tests.settled import once_nothing_is_under_way

pytestmark = pytest.mark.backing

KEY = "no referral"


def odd(topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Type by the header, and value."""
    example = next(one for one in VALID if topic == one.contract.TOPIC)
    known = example.type.encode()
    fact: dict[str, Any] = example.document | {"partitionkey": KEY}
    for subject in (KEY, "", "\0", "x" * 200, "٣"):
        yield known, json.dumps(fact | {"subject": subject}).encode()
    foreign = fact | {"type": "weather.changed", "subject": KEY}
    for more in ({}, {"data": {"placement_id": "none"}}, {"data": [1e308, 10**40]}, {"id": 7}):
        value = json.dumps(foreign | more).encode()
        yield b"weather.changed", value
        yield None, value
    for value in (None, b"", b"{", b"[]", b'{"type":7}', b"\xff"):
        yield known, value
        yield b"\xff", value
        yield None, value


async def test_what_must_always_be_true_can_be_asked_whatever_topics_hold(whole: Whole, kafka: Kafka) -> None:
    """Nothing is broken by them, nothing is left unchecked, and every service goes on."""
    async with AIOKafkaProducer(**kafka.client()) as producer:
        for topic in FLOW:
            for type_, value in odd(topic):
                headers = [] if type_ is None else [("type", type_)]
                await producer.send_and_wait(
                    f"{whole.prefix}{topic}", value, KEY.encode(), partition=partition_of(KEY), headers=headers
                )
    checked = await once_nothing_is_under_way(kafka, whole.database, whole.prefix)
    assert {} == {group: count for group, count in checked.behind.items() if count}
    assert [] == [f"{one.sentence}: {one.examples}" for one in checked.findings if one.broken or one.unchecked]
    assert 0 < next(one.looked_at for one in checked.findings if one.sentence == BURIED)
    whole.system.wait_until_ready()
