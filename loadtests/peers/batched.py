"""Peer (b), the strongest possible: one process that consumes the same topic and does all steps for a batch at once.

What separation costs: the same rules and tables without events between steps. For a batch of submissions one set-based
transaction stores the outcome and exactly what is told of it, the places held, the messages, the state and the history;
then outcomes are told and the messages handed to the provider; a second one stores what the provider took, with its
receipts; then those are told, and offsets are committed.

Durability and duties as Onward's: acknowledged by all replicas, synchronous commits, each referral settled once, never
more than a slot holds, one message for each who is to be told, handed over outside any transaction under one reference,
the feed without gaps, and a repeated batch tells again what was stored. Less than Onward: the history has what was
submitted and how it ended, and none of the steps between; a failing record stops it, where Onward buries it.
"""

import argparse
import asyncio
import os
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream.kafka import KafkaBroker

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.notifications import NotificationSent
from contracts.placements import BookingRequested
from contracts.submissions import ReferralSubmitted
from contracts.topics import PARTITIONS, Topic
from loadtests.peers import ground
from loadtests.peers.ground import Book, Ended, Within, fact, outcome_view, receipt, utc_now
from services.booking.diary import Asks, Diary, Given, allocate, latest_start, may_be_booked
from services.booking.locks import lock_diaries
from services.booking.outcome import outcome_of
from services.booking.references import REFERENCES_A_BLOCK
from services.booking.store import STORE, TOLD
from services.chassis.collector import spare_the_collector
from services.chassis.kafka import Kafka
from services.chassis.lean import lean
from services.chassis.publishing import MAX_BATCH_BYTES, KafkaPublisher
from services.notification.messages import Message, messages_of, sent_json
from services.notification.outbound import Outgoing
from services.notification.sandbox import Sandbox
from services.notification.store import ADD, SETTLE

LeanSubmitted = lean(ReferralSubmitted)

FEWEST_MS, GROUP = 50, "batched"
Sent = tuple[UUID, str, bytes]
"""A message's id, its referral, and the fact that it was sent."""

_OUTCOMES: dict[str, type[Ended]] = {one.TYPE: one for one in (BookingConfirmed, BookingExhausted)}

REPEATED = f"""
-- Messages of outcomes that were settled before, with all of their batches, and when the provider took them.
select {", ".join(Message._fields)}, batch, settled_at from messages_as_they_stand
where batch in (select batch from messages where placement = any($1::uuid[]))
"""


class Monolith:
    """All steps of a batch."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", book: Book, publisher: KafkaPublisher) -> None:
        self._pool = pool
        self._book = book
        self._publisher = publisher
        self._sandbox = Sandbox(cast("Any", Within(pool)), utc_now)
        self._references: list[int] = []

    async def work_off(self, submissions: Sequence[ReferralSubmitted]) -> None:
        """Everything for a batch, to the last message told."""
        by_id = {one.id: one for one in submissions}
        before = {row["placement_id"]: row for row in await self._pool.fetch(TOLD, list(by_id))}
        new = [one for one in by_id.values() if one.id not in before]
        outcomes: list[Ended] = [_OUTCOMES[row["told_type"]].read(row["told"].encode()) for row in before.values()]
        messages: list[Message] = []
        batches: set[int] = set()
        sent: list[Sent] = []
        for *columns, batch, settled_at in await self._pool.fetch(REPEATED, list(before)) if before else ():
            message = Message._make(columns)
            if settled_at is None:
                messages.append(message)
                batches.add(batch)
            else:
                sent.append((message.id, message.referral, sent_json(message, settled_at)))
        if new:
            ended, batch = await self._settle(new)
            outcomes += ended
            batches.add(batch)
            messages += [message for one in ended for message in messages_of(outcome_view(one))]
        delivered, _ = await asyncio.gather(self._deliver(messages, batches), self._publisher.tell(outcomes))
        sent += delivered
        await self._publisher.tell_json([(NotificationSent, key, value) for _, key, value in sent])

    async def _settle(self, submissions: Sequence[ReferralSubmitted]) -> tuple[list[Ended], int]:
        """The outcomes, and the batch of their messages."""
        requests = await self._book.requests(submissions)
        async with self._pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            now = utc_now()
            decisions = allocate(requests, await _lock(connection, requests, now), now)
            while len(self._references) < len(requests):
                block = await connection.fetchval("select nextval('reference_blocks')")
                self._references += range(block * REFERENCES_A_BLOCK, (block + 1) * REFERENCES_A_BLOCK)
            ended, rows = [], []
            for request, decision in zip(requests, decisions, strict=True):
                held: tuple[str | None, str | None, datetime | None] = (None, None, None)
                if isinstance(decision, Given):
                    held = str(self._references.pop(0)), decision.service.service_id, decision.starts_at
                assert not isinstance(decision, Asks), "no receiver here keeps its own diary"
                outcome = outcome_of(request, decision, reference=held[0] or "", now=now)
                ended.append(cast("Ended", outcome))
                told = outcome.to_json().decode()
                rows.append((request.data.brief.placement_id, request.subject, outcome.type, told, *held))
            rows.sort(key=lambda row: row[0].int)
            stored = await connection.fetchrow(STORE, now, *zip(*rows, strict=True))
            assert stored is not None
            assert stored["placed"] == len(rows), "another process has this partition"
            assert stored["all_held"], "a slot went away although its diary was locked"
            messages = [message for one in ended for message in messages_of(outcome_view(one))]
            ordered = sorted(messages, key=lambda message: message.id.int)
            batch = await connection.fetchval(ADD, now, *zip(*ordered, strict=True))
            history = ground.history(connection, now)
            await history.store([fact(one) for one in (*submissions, *ended)])
        return ended, batch

    async def _deliver(self, messages: Sequence[Message], batches: Collection[int]) -> list[Sent]:
        """Hand whole batches of messages over, and store that, with the receipts; what is to be told of each."""
        if not messages:
            return []
        outgoing = [
            Outgoing(one.id, one.audience, one.channel, one.organisation, one.address, one.template, one.text)
            for one in messages
        ]
        await self._sandbox.deliver(outgoing)
        now = utc_now()
        sent = [(one.id, one.referral, sent_json(one, now)) for one in messages]
        async with self._pool.acquire() as connection, connection.transaction():
            settled = await connection.fetch(SETTLE, list(batches), now)
            assert len(settled) == len(batches), "another process has this partition"
            await ground.history(connection, now).store([receipt(*one) for one in sent])
        return sent


async def _lock(connection: Any, requests: Sequence[BookingRequested], now: datetime) -> dict[str, Diary]:
    bookable = [request for request in requests if may_be_booked(request, now)]
    wanted: dict[str, int] = {}
    for request in bookable:
        for candidate in request.data.candidates:
            wanted[candidate.service_id] = wanted.get(candidate.service_id, 0) + 1
    if not wanted:
        return {}
    until = max(latest_start(request, now) for request in bookable)
    return await lock_diaries(connection, wanted, now, ground.LEAD, until)


async def lane(kafka: Kafka, prefix: str, numbers: Sequence[int], monolith: Monolith, batch: int) -> None:
    """Work off some partitions, for ever: while one lane waits for the database, another computes."""
    consumer = AIOKafkaConsumer(
        **kafka.client(),
        group_id=f"{prefix}{GROUP}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FEWEST_MS,
        max_partition_fetch_bytes=4_000_000,
    )
    await consumer.start()
    partitions = [TopicPartition(f"{prefix}{Topic.SUBMISSIONS}", number) for number in numbers]
    consumer.assign(partitions)
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=batch)
            records = [record for of in batches.values() for record in of]
            if records:
                await monolith.work_off([LeanSubmitted.read(record.value) for record in records])
                await consumer.commit({partition: of[-1].offset + 1 for partition, of in batches.items() if of})
    finally:
        await consumer.stop()


async def serve(kafka: Kafka, database: str, prefix: str, lanes: int, batch: int, room: int) -> None:
    """Work off the topic until told to stop."""
    broker = KafkaBroker(
        kafka.bootstrap_servers,
        security=kafka.security(),
        acks="all",
        enable_idempotence=False,
        max_batch_size=MAX_BATCH_BYTES,
        allow_auto_create_topics=False,
        logger=None,
    )
    await broker.connect()
    pool = await ground.pool(database, 2 * lanes)
    monolith = Monolith(pool, Book.shipped(room), KafkaPublisher("batched", broker, prefix))
    spare_the_collector()
    print("ready", flush=True)
    await asyncio.gather(
        *(lane(kafka, prefix, range(number, PARTITIONS, lanes), monolith, batch) for number in range(lanes))
    )


def main() -> None:
    """Read the arguments, and where Kafka is from the environment."""
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("--database", "--prefix"):
        arguments.add_argument(name, required=True)
    for name, default in (("--lanes", 3), ("--batch", 2_000), ("--room", 1000)):
        arguments.add_argument(name, type=int, default=default)
    given = arguments.parse_args()
    kafka = Kafka.read(os.environ)
    assert kafka is not None
    uvloop.run(serve(kafka, given.database, given.prefix, given.lanes, given.batch, given.room))


if __name__ == "__main__":
    main()
