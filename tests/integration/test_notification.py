"""Notification on a real Kafka and PostgreSQL: outcomes off the log, facts onto it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.notifications import NotificationSent
from contracts.topics import PARTITIONS, Topic
from services.chassis import topics
from services.chassis.kafka import Kafka
from services.chassis.partitions import partition_of
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.notification.hearing import messages_about
from services.notification.messages import messages_of
from services.notification.service import build
from tests.notification_examples import BY_TEXT, confirmed, every_outcome
from tests.notification_facts import event_of, every_fact

pytestmark = pytest.mark.backing


@pytest.fixture
async def notification(kafka: Kafka, prefix: str, database: str) -> AsyncIterator[Service]:
    """The service as its process hosts it, on this test's topics and database."""
    settings = Settings(kafka=kafka, database_url=database, keys_file=Path("keys.json"), topic_prefix=prefix)
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    await topics.apply(admin, topics.declared(prefix))
    await admin.close()
    service = build(settings, {})
    for one in service.databases:
        await asyncio.to_thread(one.migrate)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def notifications(kafka: Kafka, prefix: str, notification: Service) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads the topic of notifications from its beginning."""
    consumer = AIOKafkaConsumer(**kafka.client())
    await consumer.start()
    partitions = [TopicPartition(f"{prefix}{Topic.NOTIFICATIONS}", number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    yield consumer
    await consumer.stop()


async def sent(notifications: AIOKafkaConsumer, count: int) -> list[tuple[int, bytes, NotificationSent]]:
    """The next so many facts, each with its partition and key."""
    facts: list[tuple[int, bytes, NotificationSent]] = []
    async with asyncio.timeout(60):
        while len(facts) < count:
            for records in (await notifications.getmany(timeout_ms=200)).values():
                facts += [(record.partition, record.key, NotificationSent.read(record.value)) for record in records]
    return facts


async def test_outcomes_on_the_log_become_facts_on_the_log(
    notification: Service, notifications: AIOKafkaConsumer
) -> None:
    """Every message of every kind of outcome is told, on its referral's key and partition."""
    outcomes = every_outcome(BY_TEXT)
    expected = {
        (partition_of(outcome.subject), outcome.subject.encode(), message.id)
        for outcome in outcomes
        for message in messages_of(outcome)
    }
    await notification.publisher.tell(outcomes)
    facts = await sent(notifications, len(expected))
    assert expected == {(partition, key, fact.data.message_id) for partition, key, fact in facts}


async def test_what_becomes_of_a_referral_is_told_too(notification: Service, notifications: AIOKafkaConsumer) -> None:
    """Every message about every fact of the topic of referrals is told, on its referral's key and partition."""
    facts = every_fact()
    expected = {
        (partition_of(fact.subject), fact.subject.encode(), message.id)
        for fact in facts
        for message in messages_about(fact)
    }
    await notification.publisher.tell([event_of(fact) for fact in facts])
    told = await sent(notifications, len(expected))
    assert expected == {(partition, key, fact.data.message_id) for partition, key, fact in told}


async def test_an_outcome_that_was_written_twice_is_told_once(
    notification: Service, notifications: AIOKafkaConsumer
) -> None:
    """A record that the log holds twice tells nobody again, by the time that the referral's next outcome is told."""
    once = confirmed(BY_TEXT, of="once")
    same_key = {"subject": once.subject, "partitionkey": once.partitionkey}
    next_one = confirmed(BY_TEXT, of="next").model_copy(update=same_key)
    await notification.publisher.tell([once])
    await sent(notifications, 3)
    await notification.publisher.tell([once])
    await notification.publisher.tell([next_one])
    await sent(notifications, 3)
    rows = await notification.databases[1].pool.fetch("select reference, raw_deliveries from deliveries")
    expected = {message.id: 1 for outcome in (once, next_one) for message in messages_of(outcome)}
    assert expected == {row["reference"]: row["raw_deliveries"] for row in rows}
