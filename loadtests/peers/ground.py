"""What the peers stand on: Onward's contracts, its pure rules and its tables, so that the architecture alone differs.

Each peer has a database of its own on the same server, with Onward's own migrations, and topics of its own.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import psycopg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.directory import Service, ServiceListed, ServiceListedData
from contracts.placements import BookingRequested
from contracts.submissions import ReferralSubmitted
from contracts.topics import PARTITIONS, Topic
from contracts.triage import ReferralTriaged
from loadtests.searches import index_of
from services.booking.listing import Listings
from services.booking.settings import BookingSettings
from services.booking.waiting import WaitingList
from services.chassis.kafka import Kafka
from services.chassis.lean import lean
from services.chassis.outbox import Outbox
from services.chassis.settings import Settings
from services.chassis.versioned_table import read_table
from services.cli.directory import SHIPPED
from services.composition import migrate
from services.notification.outcomes import Outcome
from services.pathways.codes import CodeTable
from services.pathways.directory_file import read_file
from services.pathways.handlers import rank
from services.pathways.index import Index
from services.pathways.settings import PathwaysSettings
from services.referrals.clocks import ClockTable
from services.referrals.facts import Confirmed, Exhausted, Fact, Receipt, Submitted
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals
from services.triage.handlers import triage
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import TriageSettings

SOURCE = "onward/peer"
SCHEMAS = "booking,notification,referrals,sandbox,gateway,pathways"
LEAD = timedelta(minutes=BookingSettings().slot_lead_minutes)
HORIZON = timedelta(days=BookingSettings().horizon_days)
AS_DECLARED = {"message.timestamp.type": "LogAppendTime"}
TOPICS = (Topic.SUBMISSIONS, Topic.TRIAGE, Topic.PLACEMENTS, Topic.BOOKINGS, Topic.NOTIFICATIONS)
CLOCKS = read_table(ReferralsSettings().clocks, ClockTable)
Ended = BookingConfirmed | BookingExhausted


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def directory(room: int) -> list[Service]:
    """The small directory, with room for so many in every slot: as the system under load has it."""
    from loadtests.system import roomy

    return [cast("Service", roomy(one, room)) for one in read_file(SHIPPED).services]


@dataclass(frozen=True)
class Book:
    """What decides: the shipped rules of triage, the code table, and the directory in memory."""

    rules: Rules
    codes: CodeTable
    index: Index

    @classmethod
    def shipped(cls, room: int) -> "Book":
        """As Onward has it after its start."""
        return cls(
            Rules(load(TriageSettings().rule_pack)),
            read_table(PathwaysSettings().codes, CodeTable),
            index_of(directory(room), {}),
        )

    async def requests(self, submissions: Sequence[ReferralSubmitted]) -> list[BookingRequested]:
        """Triage and search of a batch, by what the services themselves do with one; nothing is written in between."""
        return await self.ranked(await triage(submissions, rules=self.rules, clock=utc_now))

    async def ranked(
        self, events: Sequence[ReferralTriaged], clock: Callable[[], datetime] = utc_now
    ) -> list[BookingRequested]:
        """The search alone."""
        return await rank(events, index=self.index, clock=clock, codes=self.codes)


def outcome_view(event: Ended) -> Outcome:
    """An outcome as notification reads it: it has all that the view has, so it need not be parsed again."""
    return cast("Outcome", event)


_FACTS: dict[str, type[Fact]] = {one.TYPE: lean(one) for one in (Submitted, Confirmed, Exhausted)}
LeanReceipt = lean(Receipt)


def fact(event: ReferralSubmitted | Ended) -> Fact:
    """A fact as the history reads it, made of what is in memory."""
    contract = _FACTS[event.type]
    said = {name: getattr(event, name) for name in contract.model_fields} | {"subject": UUID(event.subject)}
    return _told(contract(**said), event.to_json())


def receipt(id: UUID, referral: str, json: bytes) -> Fact:
    """The receipt of a message, as the history reads it."""
    return _told(LeanReceipt(id=id, type=Receipt.TYPE, subject=UUID(referral)), json)


def _told(fact: Fact, json: bytes) -> Fact:
    fact._kept = json  # type: ignore[attr-defined]
    return fact


class Within:
    """A connection in the place of a service's database: what its store does joins the transaction under way."""

    def __init__(self, connection: Any) -> None:
        self.pool = connection


def history(connection: Any, now: datetime) -> Referrals:
    """The state and the history of referrals, in the transaction under way."""
    return Referrals(cast("Any", Within(connection)), lambda: now, CLOCKS)


async def pool(url: str, size: int) -> "asyncpg.Pool[asyncpg.Record]":
    """Connections that see all schemas, with the settings of the services' own."""
    settings = {"search_path": SCHEMAS, "jit": "off", "plan_cache_mode": "force_custom_plan"}
    return await asyncpg.create_pool(
        url, min_size=size, max_size=size, command_timeout=30, server_settings=settings, reset=_nothing
    )


async def _nothing(_connection: Any) -> None:
    """As the services do: nothing outlives the block that began it."""


@asynccontextmanager
async def laid(kafka: Kafka, database_url: str, name: str, room: int) -> AsyncIterator[str]:
    """A database with Onward's tables and the small directory's diaries, and empty topics. Gives its address."""
    database = f"peer_{name}"
    beside = _beside(database_url, database)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {database} with (force)")
        connection.execute(f"create database {database}")
    await asyncio.to_thread(migrate, Settings(kafka=kafka, database_url=beside), os.environ)
    with psycopg.connect(beside, autocommit=True) as connection:
        connection.execute("create index on referrals.facts (at) where position is null")
    connections = await pool(beside, 1)
    within = cast("Any", Within(connections))
    outbox = Outbox(within, cast("Any", None))  # in new diaries nobody loses a slot: nothing is told
    waiting = WaitingList(within, outbox, clock=utc_now, lead=LEAD)
    listings = Listings(within, outbox, waiting, set(), clock=utc_now, horizon=HORIZON)
    listed = [
        ServiceListed.first(
            ServiceListedData(version=1, service=service),
            id=uuid4(),
            source=SOURCE,
            subject=service.service_id,
            time=utc_now(),
        )
        for service in directory(room)
    ]
    await listings.list_services(listed)
    await connections.close()
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    try:
        names = [f"{prefix_of(name)}{topic}" for topic in TOPICS]
        known = set(await admin.list_topics())
        await admin.create_topics(
            [NewTopic(one, PARTITIONS, 1, topic_configs=AS_DECLARED) for one in names if one not in known]
        )
        yield beside
    finally:
        await admin.close()


def prefix_of(name: str) -> str:
    """What stands before a peer's topics."""
    return f"peer-{name}-"


def _beside(url: str, name: str) -> str:
    before, mark, options = url.partition("?")
    scheme, _, rest = before.partition("://")
    authority, _, _ = rest.partition("/")
    return f"{scheme}://{authority}/{name}{mark}{options}"


async def stored(database: str) -> int:
    """How many placements have ended."""
    connection = await asyncpg.connect(database)
    try:
        return int(await connection.fetchval("select count(*) from booking.placements"))
    finally:
        await connection.close()
