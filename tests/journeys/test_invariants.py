"""`onward check` finds each thing that must never happen, once it has been made to happen."""

from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from contracts.topics import PARTITIONS, Topic
from services.chassis.kafka import Kafka
from services.chassis.partitions import partition_of
from services.cli.checking import described, lines_of
from services.cli.connection import TRUST
from services.device.queue import Queue
from services.invariants.check import BURIED, check
from tests.journeys.sending import send_all
from tests.running import System
from tests.settled import once_nothing_is_under_way

pytestmark = [pytest.mark.backing, pytest.mark.sabotage]
REFERRALS = 24

SABOTAGE = (
    """update booking.slots set held = held + 1
        where ctid in (select ctid from booking.slots where held < capacity limit 1)""",
    """delete from booking.slots where (service_id, starts_at) in (
        select service_id, starts_at from booking.bookings where starts_at is not null limit 1)""",
    """delete from booking.bookings where reference in (
        select min(reference) from booking.bookings where starts_at is null)""",
    """update booking.bookings set reference = '999999999999' where reference in (
        select min(reference) from booking.bookings where starts_at is null)""",
    """update booking.placements
        set told = jsonb_set(told::jsonb, '{data,brief,accept}', '[{"service": "elsewhere"}]')::text
        where told_type = 'booking.confirmed'""",
    "update booking.bookings set released_at = null, released = null where released_at is not null",
    """update booking.bookings set released_at = now(), released = '{"data": {"reference": "1", "placement_id": "2"}}'
        where reference in (select min(reference) from booking.bookings where starts_at is null)""",
    """insert into booking.waiting
        select placement_id, referral_id, '', '[]', '{}', 0, now(), now(), now() - interval '1 hour'
        from booking.placements limit 1""",
    """insert into booking.asking (placement_id, referral_id, request, tried, place, service_id, receiver, address,
            since, latest_start, last_at, give_up_at, due_at)
        select placement_id, referral_id, '', '[]', 0, '', '', '', now(), now(), now(), now(),
            now() - interval '1 hour' from booking.placements limit 1""",
    """insert into booking.elsewhere
            (key, placement_id, service_id, receiver, address, starts_at, minutes, state, quiet_at)
        select gen_random_uuid(), placement_id, '', '', '', now(), 5, 'asked', now() from booking.placements limit 1""",
    "update booking.placements set settled_at = settled_at + interval '1 day'",
    "update referrals.feed set last = last + 1",
    # The facts that say what was held for those that are finished now are left where they are.
    """update referrals.referrals set owner = null, version = version + 1, state = case when id in (
        select referral_id from referrals.facts where type = 'booking.confirmed' and event_id::text >= '8'
    ) then 'cancelled' else 'triaged' end""",
    "delete from referrals.facts where type <> 'booking.confirmed' or event_id::text < '8'",
    """insert into referrals.searches (id, referral_id, why, cause, state)
        select gen_random_uuid(), id, 'rebooking', id, 'open' from referrals.referrals r
        where state = 'cancelled' and not exists (
            select from referrals.searches s where s.referral_id = r.id and s.state = 'open'
        )""",
    "delete from referrals.pieces where number = 0",
    """insert into referrals.suspicions
        select id, gen_random_uuid(), 'nhs-number', gen_random_uuid(), now() from referrals.referrals limit 1""",
    """update gateway.attempts set referral_id = gen_random_uuid() where key in (
        select min(key::text)::uuid from gateway.attempts where kind = 'submission' and answer is not null)""",
    """update gateway.attempts set answer = null, answered_at = null where key not in (
        select min(key::text)::uuid from gateway.attempts where kind = 'submission' and answer is not null)""",
    """insert into notification.messages
        select (json_populate_record(m, json_build_object('id', gen_random_uuid()))).* from notification.messages m""",
    """insert into sandbox.deliveries
        select (json_populate_record(d, json_build_object('reference', gen_random_uuid()))).*
        from sandbox.deliveries d""",
)
"""Each harms what another does not."""


async def test_each_invariant_is_seen_to_break(
    system: System, kafka: Kafka, database: str, prefix: str, tmp_path: Path
) -> None:
    """A system at work holds, a dead letter included; after sabotage of each kind every sentence is broken."""
    await _write(kafka, f"{prefix}{Topic.SUBMISSIONS}", 0, b"{")
    queue = Queue(tmp_path / "device.sqlite")
    await send_all(system.url("gateway"), system.token(TRUST, "paramedic"), queue, count=REFERRALS, at_once=4, seed=3)
    queue.close()
    await _ask_for_something(system, database)
    before = await once_nothing_is_under_way(kafka, database, prefix)
    system.stop()

    assert [] == [one.sentence for one in before.findings if one.broken or one.unchecked]
    assert 2 == next(one.looked_at for one in before.findings if one.sentence == BURIED)  # by triage and by referrals

    with psycopg.connect(database, autocommit=True) as connection:
        for statement in SABOTAGE:
            assert connection.execute(statement).rowcount > 0, statement
    await _lose_a_third_of_what_followed(kafka, prefix)
    after = await check(kafka, database, prefix=prefix)

    assert [] == [one.sentence for one in after.findings if not one.broken]
    assert all(one.examples for one in after.findings)
    assert (False, False) == (after.holds, described(after)["holds"])
    assert f"0 hold, {len(after.findings)} are broken, 0 could not be checked" == lines_of(after)[-1]


async def _ask_for_something(system: System, database: str) -> None:
    """Of every fourth referral that has a place something else is asked: accepted, rejected, spoken of, moved."""
    with psycopg.connect(database) as connection:
        placed = connection.execute(
            "select id::text, receiver from referrals.referrals where state = 'placed' order by id"
        ).fetchall()
    # What is moved first is of the partitions whose placements are lost afterwards.
    placed.sort(key=lambda row: not PARTITIONS // 3 <= partition_of(row[0]) < 2 * PARTITIONS // 3)
    asked = (
        (None, {"action": "rebook", "accept": "any"}),
        ("receiver", {"action": "accept"}),
        ("receiver", {"action": "reject", "reason": "no-capacity"}),
        (None, {"action": "leave_message", "words": "Her son is on his way."}),
    )
    answers = []
    async with httpx.AsyncClient(base_url=system.url("gateway"), timeout=30) as client:
        for number, (referral, receiver) in enumerate(placed):
            by, action = asked[number % len(asked)]
            token = system.token(receiver if by else TRUST, "paramedic")
            headers = {"authorization": f"Bearer {token}", "idempotency-key": str(uuid4())}
            answer = await client.post(f"/referrals/{referral}/actions", json=action, headers=headers)
            answers.append((action["action"], answer.status_code))
        about = {"Idempotency-Key": str(uuid4()), "Document-Title": "Letter", "Content-Type": "text/plain"}
        about["Authorization"] = f"Bearer {system.token(TRUST, 'paramedic')}"
        address = f"{system.url('referrals')}/referrals/{placed[0][0]}/documents"
        assert (await client.post(address, content=b"Discharged.", headers=about)).is_success
    assert {"rebook", "accept", "reject", "leave_message"} == {action for action, _ in answers}
    assert {200, 202, 409} >= {status for _, status in answers}, answers


async def _lose_a_third_of_what_followed(kafka: Kafka, prefix: str) -> None:
    """Of each kind of effect take a third that leaves its cause, and all dead letters; put a fact far from its key."""
    consumer = AIOKafkaConsumer(**kafka.client())
    admin = AIOKafkaAdminClient(**kafka.client())
    await consumer.start()
    await admin.start()
    try:
        lost = [
            TopicPartition(f"{prefix}{topic}", partition)
            for third, topic in enumerate((Topic.TRIAGE, Topic.PLACEMENTS, Topic.BOOKINGS))
            for partition in range(third * PARTITIONS // 3, (third + 1) * PARTITIONS // 3)
        ]
        lost += [TopicPartition(f"{prefix}{reader}.dlq", 0) for reader in ("triage", "referrals")]
        ends = await consumer.end_offsets(lost)
        await admin.delete_records({one: RecordsToDelete(before_offset=end) for one, end in ends.items() if end})
        submissions = [TopicPartition(f"{prefix}{Topic.SUBMISSIONS}", partition) for partition in range(PARTITIONS)]
        consumer.assign(submissions)
        await consumer.seek_to_beginning(*submissions)
        while (record := await consumer.getone()).value == b"{":
            pass
        await _write(kafka, record.topic, (record.partition + 1) % PARTITIONS, record.value, record.key)
    finally:
        await consumer.stop()
        await admin.close()


async def _write(kafka: Kafka, topic: str, partition: int, value: bytes, key: bytes | None = None) -> None:
    producer = AIOKafkaProducer(**kafka.client())
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key, partition)
    finally:
        await producer.stop()
