"""Faults of PostgreSQL and of processes amid placements: one outcome each, what is stored, no place too many."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.placements import BookingRequested
from services.backing import postgres
from services.booking.service import build
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.cli.topics import compare
from tests.booking_processes import FAULTS, stranger, waiting
from tests.booking_requests import listed, requested, service, session
from tests.chassis_examples import everything_on, hosted, make_topics, settings, until
from tests.own_servers import Servers
from tests.running import System

pytestmark = [pytest.mark.backing, pytest.mark.faults]

TOPICS = ("services", "placements", "referrals", "bookings", "booking.dlq")
SERVICES = ("S-1", "S-2")
ROOM = session(capacity=3)
HELD_UP_SECONDS = 20
"""Longer than a process that froze may keep its locks (5 s) and its partitions (6 s), and shorter than a statement may
wait (30 s)."""
OUTCOMES = {"booking.confirmed": BookingConfirmed, "booking.exhausted": BookingExhausted}


def placements(count: int) -> list[BookingRequested]:
    """So many placements, asked for now: more than the places in time, so that some find none."""
    now = datetime.now(UTC)
    return [
        requested(n + 1, *SERVICES, time=now, answer_by=now + timedelta(minutes=15), minutes=240) for n in range(count)
    ]


@pytest.fixture
def own_database(servers: Servers) -> str:
    """A database of this test's own on the servers that it takes away."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(servers.database, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    before, _, options = servers.database.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{options}"


@asynccontextmanager
async def booking(servers: Servers, database: str, prefix: str) -> AsyncIterator[Service]:
    """Booking itself, with two services in its diaries."""
    await make_topics(servers.kafka, prefix, *TOPICS)
    one = build(settings(servers.kafka, database, prefix), {})
    for kept in one.databases:
        await asyncio.to_thread(kept.migrate)
    async with hosted(one):
        await one.publisher.tell([listed(service(name, ROOM)) for name in SERVICES])
        await diaries_are_kept(database)
        yield one


async def diaries_are_kept(database: str) -> None:
    """Return once booking has read both services."""
    async with stranger(database) as connection:
        async with asyncio.timeout(30):
            while await connection.fetchval("select count(*) from diaries") < len(SERVICES):
                await asyncio.sleep(0.02)


async def account(kafka: Kafka, database: str, prefix: str, asked: Sequence[BookingRequested]) -> None:
    """Wait until each placement is told; then: one outcome each, what is told is what is stored, no place too many."""
    expected = {request.data.brief.placement_id for request in asked}
    told: dict[UUID, set[str]] = {}
    async with asyncio.timeout(90):
        while told.keys() != expected:
            await asyncio.sleep(0.2)
            for record in await everything_on(kafka, f"{prefix}bookings"):
                outcome = OUTCOMES[dict(record.headers)["type"].decode()].read(record.value)
                told.setdefault(outcome.data.brief.placement_id, set()).add(record.value.decode())
    async with stranger(database) as connection:
        stored = {row["placement_id"]: {row["told"]} for row in await connection.fetch("select * from placements")}
        wrong = {sentence: await connection.fetch(query) for sentence, query in FAULTS.items()}
        held = await connection.fetchval("select coalesce(sum(held), 0) from slots")
    assert told == stored
    assert [] == [sentence for sentence, rows in wrong.items() if rows]
    assert held > 0
    assert [] == await everything_on(kafka, f"{prefix}booking.dlq")


async def test_a_database_that_is_killed_in_mid_transaction(
    servers: Servers, own_prefix: str, own_database: str
) -> None:
    """Booking waits for a diary inside its transaction when every session is gone: it settles them all afterwards."""
    asked = placements(60)
    async with booking(servers, own_database, own_prefix) as one:
        holder = await psycopg.AsyncConnection.connect(own_database)
        await holder.execute("select from booking.diaries for update")
        await one.publisher.tell(asked)
        async with stranger(own_database) as onlooker:
            await waiting(onlooker, 1)
            await servers.without(postgres.kill, "postgres")
        await holder.close()
        await until(lambda: any("waiting to try again" in reason for reason in one.not_ready()), within=30)
        await servers.whole()
        await account(servers.kafka, own_database, own_prefix, asked)
        await until(lambda: not one.not_ready())


async def test_a_database_that_is_restarted_amid_placements(
    servers: Servers, own_prefix: str, own_database: str
) -> None:
    """Sessions end in order and new ones are refused for a while: nobody is told anything else than what is stored."""
    asked = placements(400)
    async with booking(servers, own_database, own_prefix) as one:

        async def ask() -> None:
            for first in range(0, len(asked), 10):
                await one.publisher.tell(asked[first : first + 10])
                await asyncio.sleep(0.05)

        asking = asyncio.create_task(ask())
        async with asyncio.timeout(30):
            while len(await everything_on(servers.kafka, f"{own_prefix}bookings")) < 50:
                await asyncio.sleep(0.05)
        await servers.without(postgres.stop, "postgres")
        assert not asking.done()
        await servers.whole()
        await asking
        await account(servers.kafka, own_database, own_prefix, asked)
        await until(lambda: not one.not_ready())


async def test_a_database_that_is_out_of_connections(servers: Servers, own_prefix: str, own_database: str) -> None:
    """Others hold every connection: booking says that it waits, and goes on when there is one again."""
    asked = placements(20)
    async with booking(servers, own_database, own_prefix) as one:
        with ExitStack() as greedy:
            await asyncio.to_thread(take_every_connection, greedy, own_database)
            await one.publisher.tell(asked)
            await until(lambda: any("waiting to try again" in reason for reason in one.not_ready()), within=30)
            assert [] == await everything_on(servers.kafka, f"{own_prefix}bookings")
        await account(servers.kafka, own_database, own_prefix, asked)
        await until(lambda: not one.not_ready())


def take_every_connection(greedy: ExitStack, database: str) -> None:
    """End the connections of booking and take all that are left, until booking has none and none is left for it."""
    of_booking = "from pg_stat_activity where application_name = 'onward-booking'"
    own = greedy.enter_context(psycopg.connect(database, autocommit=True))
    while own.execute(f"select count(pg_terminate_backend(pid)) {of_booking}").fetchone() != (0,):
        with suppress(psycopg.OperationalError):
            while True:
                greedy.enter_context(psycopg.connect(database))


@pytest.mark.parametrize(
    "halt",
    ["select from diaries for no key update", "lock table placements in access exclusive mode"],
    ids=["under the locks of its diaries", "before it has any lock"],
)
async def test_two_booking_processes_that_both_think_they_own_a_partition(
    kafka: Kafka, database: str, prefix: str, tmp_path: Path, halt: str
) -> None:
    """One freezes amid a batch, the other settles that too, and the first goes on with it: each has one outcome."""
    asked = placements(600)
    system = await asyncio.to_thread(System.prepare, kafka, database, prefix, tmp_path)
    await compare(kafka, prefix, change=True)
    try:
        system.start("booking")
        system.start("booking-too", "booking")
        await asyncio.to_thread(system.wait_until_ready)
        async with hosted(Service("pathways", settings(kafka, prefix=prefix))) as sender, stranger(database) as holder:
            await sender.publisher.tell([listed(service(name, session(capacity=30))) for name in SERVICES])
            await diaries_are_kept(database)
            await sender.publisher.tell(asked[:100])
            await account(kafka, database, prefix, asked[:100])
            async with holder.transaction():
                await holder.execute(halt)
                await sender.publisher.tell(asked[100:400])
                await waiting(holder, 2)
                system.freeze("booking")
            await sender.publisher.tell(asked[400:])
            await account(kafka, database, prefix, asked)
            told = len(await everything_on(kafka, f"{prefix}bookings"))
            longest = await holder.fetchval(LONGEST_SILENCE)
            system.thaw("booking")
            await went_on(kafka, prefix, tmp_path / "booking.log", told)
            await asyncio.to_thread(system.wait_until_ready)
            await account(kafka, database, prefix, asked)
        print(f"\nthe other was held up for {longest:.1f} s")
        assert longest < HELD_UP_SECONDS
    finally:
        await asyncio.to_thread(system.stop)


LONGEST_SILENCE = """
select extract(epoch from max(after - settled_at))
from (select settled_at, lead(settled_at) over (order by settled_at) after from placements) gaps
"""


async def went_on(kafka: Kafka, prefix: str, log: Path, told: int) -> None:
    """Return once the process that was thawed told its batch again, or lost the connection that it settled it with."""
    async with asyncio.timeout(30):
        while (
            "put_off" not in await asyncio.to_thread(log.read_text)
            and len(await everything_on(kafka, f"{prefix}bookings")) == told
        ):
            await asyncio.sleep(0.1)
