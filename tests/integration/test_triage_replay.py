"""A replay from a real topic: by partition and offset, up to a bound, beside the group that decides."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from contracts.submissions import ReferralSubmitted
from contracts.topics import PARTITIONS, Topic
from services.chassis import topics
from services.chassis.kafka import Kafka
from services.cli.rules import past_submissions
from tests.chassis_examples import admin_of
from tests.triage_examples import submitted

pytestmark = pytest.mark.backing

ACTION = b'{"type": "referral.action-requested"}'


@pytest.fixture
async def topic(kafka: Kafka, prefix: str) -> str:
    """The topic of submissions: six submissions on five partitions, and an action."""
    name = f"{prefix}{Topic.SUBMISSIONS}"
    async with admin_of(kafka) as admin:
        await topics.apply(admin, [one for one in topics.declared(prefix) if one.name == name])
    async with AIOKafkaProducer(**kafka.client(), acks="all") as producer:

        async def put(value: bytes, type: str, partition: int) -> None:
            await producer.send_and_wait(name, value, partition=partition, headers=[("type", type.encode())])

        for number, partition in enumerate((0, 0, 3, 4, 7, PARTITIONS - 1), start=1):
            await put(submitted(number, "fall").to_json(), ReferralSubmitted.TYPE, partition)
        await put(ACTION, "referral.action-requested", 3)
    return name


async def read(kafka: Kafka, topic: str, *, most: int = 1000, since: datetime | None = None) -> list[int]:
    """The numbers of the submissions that a replay reads."""
    values = [value async for value in past_submissions(kafka, topic, most=most, since=since)]
    return sorted(int(UUID(json.loads(value)["subject"])) for value in values)


@pytest.mark.parametrize(
    ("right", "most"),
    [
        (lambda read: read == [1, 2, 3, 4, 5, 6], 1000),
        (lambda read: len(read) <= 3 and 1 not in read, 3),
    ],
    ids=["all", "at most three, and the newest of a partition first"],
)
async def test_a_replay_reads_up_to_its_bound(
    kafka: Kafka, topic: str, right: Callable[[list[int]], bool], most: int
) -> None:
    """Submissions alone, of every partition; a second reading finds the same, for nothing is committed."""
    first, again = await read(kafka, topic, most=most), await read(kafka, topic, most=most)
    assert right(first)
    assert first == again


async def test_a_replay_of_what_came_since(kafka: Kafka, topic: str) -> None:
    """By the log's own time: everything of the last hour, and nothing of the next."""
    now = datetime.now(UTC)
    assert [1, 2, 3, 4, 5, 6] == await read(kafka, topic, since=now - timedelta(hours=1))
    assert [] == await read(kafka, topic, since=now + timedelta(hours=1))
