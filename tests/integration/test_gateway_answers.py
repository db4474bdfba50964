"""The gateway on a real Kafka and PostgreSQL: what answers wakes requests, on whichever replica they wait."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from faststream.kafka import KafkaBroker

from contracts.actions import ReferralActionRequested
from contracts.people import Desk
from contracts.submissions import ReferralSubmitted, referral_id
from contracts.topics import PARTITIONS
from services.chassis import topics
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.partitions import partition_of
from services.chassis.publishing import MAX_BATCH_BYTES, KafkaPublisher
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.gateway.answer import body_of
from services.gateway.decided import answered
from services.gateway.service import build
from tests.action_examples import REFERRAL, accepted, refused
from tests.gateway_examples import confirmed, exhausted, listed, submission

pytestmark = pytest.mark.backing

SECONDS = 30
"""Deadline for what must happen."""


@dataclass
class Replica:
    """A gateway process with its routes."""

    service: Service
    client: httpx.AsyncClient

    async def act(self, referral: UUID, key: UUID, prefer: str = "wait=30") -> httpx.Response:
        """Post the one action of this test."""
        headers = {"idempotency-key": str(key), "prefer": prefer}
        return await self.client.post(f"/referrals/{referral}/actions", json={"action": "accept"}, headers=headers)

    async def refer(self, key: UUID, prefer: str = "wait=30") -> httpx.Response:
        """Post the one submission of this test."""
        return await self.client.post(
            "/referrals", json=submission(), headers={"idempotency-key": str(key), "prefer": prefer}
        )


Submitted = Callable[[int], Awaitable[list[Any]]]
Start = Callable[..., AbstractAsyncContextManager[Replica]]


@pytest.fixture
async def submitted(kafka: Kafka, prefix: str) -> AsyncIterator[Submitted]:
    """Topics for this test; and what is on `submissions`, once it is so many records."""
    names = {
        f"{prefix}{name}" for name in ("submissions", "bookings", "referrals", "desks", "gateway.dlq", "gateway.replay")
    }
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    await topics.apply(admin, [topic for topic in topics.declared(prefix) if topic.name in names])
    await admin.close()
    consumer = AIOKafkaConsumer(**kafka.client(), enable_auto_commit=False)
    await consumer.start()
    partitions = [TopicPartition(f"{prefix}submissions", number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    records: list[Any] = []

    async def submitted(count: int) -> list[Any]:
        async with asyncio.timeout(SECONDS):
            while len(records) < count:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records.extend(batch)
        return records

    yield submitted
    await consumer.stop()


@pytest.fixture
def start(database: str, kafka: Kafka, prefix: str, submitted: Submitted, tmp_path: Path) -> Start:
    """Start a replica of the gateway; stopped at the end of the block."""
    private, public = make_keys(tmp_path)
    settings = Settings(kafka=kafka, database_url=database, keys_file=public, topic_prefix=prefix, pool_size=4)

    @asynccontextmanager
    async def start(organisation: str = "RX9") -> AsyncIterator[Replica]:
        token = sign(private, organisation=organisation, practitioner="crew-7", role="paramedic", now=datetime.now(UTC))
        service = build(settings, {})
        for store in service.databases:
            store.migrate()
        await service.start()
        try:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(create_app([service], Verifier.from_file(public))),
                base_url="http://gateway",
                headers={"authorization": f"Bearer {token}"},
                timeout=SECONDS,
            ) as client:
                yield Replica(service, client)
        finally:
            await service.stop()

    return start


@pytest.fixture
async def others(kafka: Kafka, prefix: str, submitted: Submitted) -> AsyncIterator[KafkaPublisher]:
    """Publishes in the place of the services that are not here. The organisation's desk is listed already."""
    async with KafkaBroker(
        kafka.bootstrap_servers, security=kafka.security(), max_batch_size=MAX_BATCH_BYTES, logger=None
    ) as broker:
        publisher = KafkaPublisher("others", broker, prefix)
        await publisher.tell([listed()])
        yield publisher


def event_of(record: Any) -> ReferralSubmitted:
    """The event in a record."""
    return ReferralSubmitted.read(record.value)


async def test_an_outcome_on_the_log_wakes_the_request(
    start: Start, submitted: Submitted, others: KafkaPublisher
) -> None:
    """201, with the answer of the outcome that was published."""
    async with start() as replica:
        posting = asyncio.create_task(replica.refer(uuid4()))
        [record] = await submitted(1)
        event = event_of(record)
        outcome = confirmed(event.id, referral_id(event))
        await others.tell([outcome])
        answer = await posting
    assert (201, body_of(outcome)) == (answer.status_code, answer.content)


async def test_the_submission_is_on_the_log_by_its_referral(
    start: Start, submitted: Submitted, others: KafkaPublisher
) -> None:
    """Keyed by the referral's id, on the partition of that key, with its type as a header."""
    async with start() as replica:
        answer = await replica.refer(uuid4(), "respond-async")
        [record] = await submitted(1)
    referral = answer.json()["referral_id"]
    assert (referral.encode(), partition_of(referral), b"referral.submitted", referral) == (
        record.key,
        record.partition,
        dict(record.headers)["type"],
        event_of(record).subject,
    )


async def test_another_replica_answers_the_same(start: Start, submitted: Submitted, others: KafkaPublisher) -> None:
    """Also one that never saw the request; and nothing is told again."""
    key = uuid4()
    async with start() as one, start() as other:
        posting = asyncio.create_task(one.refer(key))
        event = event_of((await submitted(1))[0])
        await others.tell([exhausted(event.id, referral_id(event))])
        first = await posting
        async with asyncio.timeout(SECONDS):  # the group, which may be on either, writes it down a moment later
            while (second := await other.refer(key, "respond-async")).status_code != 201:
                await asyncio.sleep(0.05)
    assert (201, first.content, first.headers["location"]) == (
        second.status_code,
        second.content,
        second.headers["location"],
    )


async def test_a_retry_on_another_replica_is_woken_there(
    start: Start, submitted: Submitted, others: KafkaPublisher
) -> None:
    """The first replica is gone; the retry tells the stored event again and waits where it is."""
    key = uuid4()
    async with start() as one:
        pending = await one.refer(key, "respond-async")
    async with start() as other:
        posting = asyncio.create_task(other.refer(key))
        records = await submitted(2)
        event = event_of(records[1])
        await others.tell([confirmed(event.id, referral_id(event))])
        answer = await posting
    assert (202, 201, pending.headers["location"], records[0].value) == (
        pending.status_code,
        answer.status_code,
        answer.headers["location"],
        records[1].value,
    )


async def test_an_outcome_that_came_while_nobody_ran_is_the_answer(
    start: Start, submitted: Submitted, others: KafkaPublisher
) -> None:
    """The group goes on where it was, and the key is answered from the row."""
    key = uuid4()
    async with start() as before:
        await before.refer(key, "respond-async")
        event = event_of((await submitted(1))[0])
    outcome = confirmed(event.id, referral_id(event))
    await others.tell([confirmed(uuid4(), uuid4()), outcome])
    async with start() as after:
        async with asyncio.timeout(SECONDS):
            while (answer := await after.refer(key, "respond-async")).status_code != 201:
                await asyncio.sleep(0.05)
    assert body_of(outcome) == answer.content


async def test_a_desk_may_be_listed_at_any_time(start: Start, others: KafkaPublisher) -> None:
    """What was listed before the gateway's start it knows at once; what is listed later it learns."""
    newcomer = Desk(organisation="RX8", name="Other hub", telephone="01632 960008")
    async with start() as replica, start(organisation="RX8") as theirs:
        known = await replica.refer(uuid4(), "respond-async")
        unknown = await theirs.refer(uuid4(), "respond-async")
        await others.tell([listed(newcomer)])
        async with asyncio.timeout(SECONDS):
            while (await theirs.refer(uuid4(), "respond-async")).status_code != 202:
                await asyncio.sleep(0.05)
    assert (202, 403) == (known.status_code, unknown.status_code)


async def test_many_requests_each_get_their_own_outcome(
    start: Start, submitted: Submitted, others: KafkaPublisher
) -> None:
    """On two replicas at once: no answer is lost, doubled or given to another."""
    count = 100
    async with start() as one, start() as other:
        posting = [asyncio.create_task((one, other)[number % 2].refer(uuid4())) for number in range(count)]
        events = [event_of(record) for record in await submitted(count)]
        await others.tell([confirmed(event.id, referral_id(event)) for event in events])
        answers = await asyncio.gather(*posting)
    assert {201} == {answer.status_code for answer in answers}
    assert {event.subject for event in events} == {json.loads(answer.content)["referral_id"] for answer in answers}
    assert all(answer.headers["location"].endswith(answer.json()["referral_id"]) for answer in answers)


async def test_what_referrals_decides_wakes_the_action_and_answers_its_key_anywhere(
    start: Start, submitted: Submitted, others: KafkaPublisher
) -> None:
    """On the referral's key; the booking of a further placement passes by first and is no answer to it."""
    key = uuid4()
    async with start("RX8") as one, start("RX8") as other:
        acting = asyncio.create_task(one.act(REFERRAL, key))
        [record] = await submitted(1)
        action = ReferralActionRequested.read(record.value)
        done = accepted(action.id, REFERRAL)
        await others.tell([confirmed(action.id, REFERRAL), done])
        first = await acting
        async with asyncio.timeout(SECONDS):  # the group, which may be on either, writes it down a moment later
            while (second := await other.act(REFERRAL, key, "respond-async")).status_code != 200:
                await asyncio.sleep(0.05)
    answer = answered(done)
    assert (str(REFERRAL).encode(), partition_of(str(REFERRAL)), b"referral.action-requested") == (
        record.key,
        record.partition,
        dict(record.headers)["type"],
    )
    assert [(200, answer.body, 'W/"5"')] * 2 == [
        (one.status_code, one.content, one.headers["etag"]) for one in (first, second)
    ]


async def test_a_refusal_that_came_while_nobody_ran_is_the_answer(
    start: Start, submitted: Submitted, others: KafkaPublisher
) -> None:
    """The group goes on where it was, and the key is answered from the row, under the refusal's own status."""
    key = uuid4()
    async with start("RX8") as before:
        await before.act(REFERRAL, key, "respond-async")
        action = ReferralActionRequested.read((await submitted(1))[0].value)
    await others.tell([refused(action.id, REFERRAL, "moved-on")])
    async with start("RX8") as after:
        async with asyncio.timeout(SECONDS):
            while (answer := await after.act(REFERRAL, key, "respond-async")).status_code == 202:
                await asyncio.sleep(0.05)
    assert (412, "moved-on") == (answer.status_code, answer.json()["refusal"])
