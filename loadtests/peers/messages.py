"""Peer (c): FastStream as its documentation writes it, a message at a time.

The same services with the same topics between them; each handler takes one event, does its part in one transaction, and
returns what is published. A failure gives the message back (`NACK_ON_ERROR`, the only policy that loses nothing), the
producer is idempotent and waits for all replicas. The history stores every fact, one at a time.
"""

import argparse
import os
from typing import Any, cast

import asyncpg
import uvloop
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaResponse

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from contracts.notifications import NotificationSent
from contracts.placements import BookingRequested
from contracts.submissions import ReferralSubmitted
from contracts.topics import Topic
from contracts.triage import ReferralTriaged
from loadtests.peers import ground, singly
from loadtests.peers.ground import TOPICS, Book, Ended, Within, outcome_view, utc_now
from services.booking.store import TOLD
from services.chassis.collector import spare_the_collector
from services.chassis.kafka import Kafka
from services.notification.messages import messages_of, sent_json
from services.notification.outbound import Outgoing
from services.notification.sandbox import Sandbox
from services.notification.store import ADD, SETTLE
from services.referrals.facts import Fact, fact_in
from services.triage.handlers import triage

PARTS = {"edge": ("pathways",), "decide": ("triage", "booking"), "record": ("notification", "referrals")}
"""Three processes, as many as Onward has, split as its were at first."""

BATCHES = "select distinct batch from messages where id = any($1::uuid[])"

_OUTCOMES: dict[str, type[Ended]] = {one.TYPE: one for one in (BookingConfirmed, BookingExhausted)}


async def as_it_came(message: KafkaMessage, _original: Any) -> bytes:
    """Contracts read bytes."""
    return message.body


def response(event: Event) -> KafkaResponse:
    """A fact as it is published: under its key, its type in the headers."""
    return KafkaResponse(event.to_json(), key=event.partitionkey.encode(), headers={"type": event.type})


class Handlers:
    """The services' parts, a message at a time."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", book: Book, broker: KafkaBroker, prefix: str) -> None:
        self._pool = pool
        self._book = book
        self._broker = broker
        self._prefix = prefix
        self._references = singly.References()
        self._sandbox = Sandbox(cast("Any", Within(pool)), utc_now)

    async def triage(self, body: bytes) -> KafkaResponse:
        """A submission is triaged."""
        (told,) = await triage([ReferralSubmitted.read(body)], rules=self._book.rules, clock=utc_now)
        return response(told)

    async def pathways(self, body: bytes) -> KafkaResponse:
        """A placement is asked for."""
        (asked,) = await self._book.ranked([ReferralTriaged.read(body)])
        return response(asked)

    async def booking(self, body: bytes) -> KafkaResponse:
        """A placement ends, once."""
        request, now = BookingRequested.read(body), utc_now()
        placement = request.data.brief.placement_id
        async with self._pool.acquire() as connection:
            for row in await connection.fetch(TOLD, [placement]):
                return response(_OUTCOMES[row["told_type"]].read(row["told"].encode()))
            async with connection.transaction(isolation="read_committed"):
                settled = await singly.settle(connection, request, self._references, now)
                outcome = settled.outcome
                told = outcome.to_json().decode()
                place = placement, request.subject, outcome.type, told, now, *settled[1:]
                assert await connection.fetchval(singly.PLACE, *place) is not None, "another has this partition"
        return response(outcome)

    async def notification(self, body: bytes, message: KafkaMessage) -> None:
        """Everyone who is to hear of an outcome is told, and that is told."""
        outcome = _OUTCOMES[message.headers["type"]].read(body)
        messages = messages_of(outcome_view(outcome))
        ordered = sorted(messages, key=lambda one: one.id.int)
        await self._pool.execute(ADD, utc_now(), *zip(*ordered, strict=True))
        await self._sandbox.deliver(
            [
                Outgoing(one.id, one.audience, one.channel, one.organisation, one.address, one.template, one.text)
                for one in ordered
            ]
        )
        now = utc_now()
        batches = await self._pool.fetch(BATCHES, [one.id for one in ordered])
        await self._pool.execute(SETTLE, [row["batch"] for row in batches], now)
        for one in ordered:
            await self._broker.publish(
                sent_json(one, now),
                f"{self._prefix}{Topic.NOTIFICATIONS}",
                key=one.referral.encode(),
                headers={"type": NotificationSent.TYPE},
            )

    async def referrals(self, body: bytes, message: KafkaMessage) -> None:
        """A fact is in the history."""
        async with self._pool.acquire() as connection, connection.transaction():
            said = cast("Fact", fact_in(body, message.headers["type"]))
            await ground.history(connection, utc_now()).store([said])


def subscribe(broker: KafkaBroker, handlers: Handlers, parts: tuple[str, ...], prefix: str) -> None:
    """Each service to its topics."""

    def reads(group: str, topic: Topic) -> Any:
        return broker.subscriber(
            f"{prefix}{topic}",
            group_id=f"{prefix}{group}.{topic}",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            decoder=as_it_came,
            fetch_max_wait_ms=50,
        )

    def tells(topic: Topic) -> Any:
        return broker.publisher(f"{prefix}{topic}")

    if "triage" in parts:
        reads("triage", Topic.SUBMISSIONS)(tells(Topic.TRIAGE)(handlers.triage))
    if "pathways" in parts:
        reads("pathways", Topic.TRIAGE)(tells(Topic.PLACEMENTS)(handlers.pathways))
    if "booking" in parts:
        reads("booking", Topic.PLACEMENTS)(tells(Topic.BOOKINGS)(handlers.booking))
    if "notification" in parts:
        reads("notification", Topic.BOOKINGS)(handlers.notification)
    if "referrals" in parts:
        for topic in TOPICS:
            reads("referrals", topic)(handlers.referrals)


async def serve(kafka: Kafka, database: str, prefix: str, part: str, pool_size: int, room: int) -> None:
    """Run some services until told to stop."""
    broker = KafkaBroker(
        kafka.bootstrap_servers, security=kafka.security(), acks="all", enable_idempotence=True, logger=None
    )
    pool = await ground.pool(database, pool_size)
    subscribe(broker, Handlers(pool, Book.shipped(room), broker, prefix), PARTS[part], prefix)
    app = FastStream(broker, logger=None)

    @app.after_startup
    async def ready() -> None:
        spare_the_collector()
        print("ready", flush=True)

    await app.run()


def main() -> None:
    """Read the arguments, and where Kafka is from the environment."""
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("--database", "--prefix"):
        arguments.add_argument(name, required=True)
    arguments.add_argument("--part", choices=PARTS, required=True)
    for name, default in (("--pool", 4), ("--room", 1000)):
        arguments.add_argument(name, type=int, default=default)
    given = arguments.parse_args()
    kafka = Kafka.read(os.environ)
    assert kafka is not None
    uvloop.run(serve(kafka, given.database, given.prefix, given.part, given.pool, given.room))


if __name__ == "__main__":
    main()
