"""Processes of booking on a real PostgreSQL: several on one database, each with a pool of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.directory import Service
from contracts.envelope import Event
from contracts.placements import BookingRequested
from contracts.referrals import BookingWithdrawn
from services.booking.asking import Asking
from services.booking.free_slots import FreeSlots
from services.booking.leases import Leases
from services.booking.listing import Listings
from services.booking.releases import Releases
from services.booking.service import MIGRATIONS
from services.booking.settings import BookingSettings
from services.booking.store import Diaries
from services.booking.waiting import WaitingList
from services.chassis.database import OUTBOX, Database
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.settings import Settings
from tests.booking_requests import NOON, listed
from tests.recording import RecordingPublisher

PATIENCE = 30.0
"""Seconds that a fact may take to come about."""
LEAD = timedelta(minutes=10)


class Clock:
    """A time that tests set."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time that was set."""
        return self.now


@dataclass
class Booking:
    """One process, as far as these tests need it."""

    database: Database
    diaries: Diaries
    listings: Listings
    releases: Releases
    waiting: WaitingList
    asking: Asking
    leases: Leases
    changed: set[str]
    free_slots: FreeSlots
    outbox: Outbox
    publisher: RecordingPublisher

    async def lists(self, *entries: Service, version: int = 1) -> None:
        """Read these services' listings, in one batch."""
        await self.listings.list_services([listed(entry, version) for entry in entries])

    async def settles(self, *requests: BookingRequested) -> list[Any]:
        """What is told of these placements."""
        return list(await self.diaries.settle(requests))

    async def releases_of(self, *withdrawn: BookingWithdrawn) -> list[Any]:
        """What is told of these withdrawals."""
        return list(await self.releases.release(withdrawn))

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """What the database holds."""
        return [tuple(row) for row in await self.database.pool.fetch(query, *arguments)]

    async def put_out(self) -> list[Any]:
        """What waits in the outbox, in its order."""
        rows = await self.rows("select type, body from outbox order by position")
        return [Event.KNOWN[type_].read(body.encode()) for type_, body in rows]

    async def slots(self, service_id: str) -> list[tuple[Any, ...]]:
        """Every slot of a diary in order: begin, minutes, capacity, held, withdrawn."""
        return await self.rows(
            "select starts_at, minutes, capacity, held, withdrawn from slots where service_id = $1 order by starts_at",
            service_id,
        )


@asynccontextmanager
async def booking(
    url: str,
    clock: Callable[[], datetime] = Clock(),  # noqa: B008 the time stands still where nobody sets it
    *,
    lead: timedelta = LEAD,
    horizon: timedelta = timedelta(days=1),
    own: BookingSettings = BookingSettings(),  # noqa: B008 frozen
) -> AsyncIterator[Booking]:
    """A process of booking, running: its tables made if they are missing."""
    settings = Settings(kafka=Kafka("127.0.0.1:1"), database_url=url, keys_file=Path("none"))
    database = Database(settings, "booking", MIGRATIONS, OUTBOX)
    database.migrate()
    await database.start()
    publisher = RecordingPublisher()
    outbox = Outbox(database, publisher)  # type: ignore[arg-type]
    waiting = WaitingList(database, outbox, clock=clock, lead=lead)
    changed: set[str] = set()
    asking = Asking(database, outbox, waiting, changed, clock=clock, new_id=uuid4, lead=lead, settings=own)
    leases = Leases(database, clock=clock, new_id=uuid4, settings=own)
    diaries = Diaries(database, waiting, asking, changed, clock=clock, lead=lead)
    listings = Listings(database, outbox, waiting, changed, clock=clock, horizon=horizon)
    free_slots = FreeSlots(database, outbox, changed, clock=clock, new_id=uuid4, lead=lead)
    releases = Releases(database, waiting, asking, changed, clock=clock)
    try:
        yield Booking(
            database, diaries, listings, releases, waiting, asking, leases, changed, free_slots, outbox, publisher
        )
    finally:
        await database.stop()


@asynccontextmanager
async def stranger(url: str) -> AsyncIterator[Any]:
    """A connection of someone else, who sees the tables of booking."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "booking"})
    try:
        yield connection
    finally:
        await connection.close()


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    """Return once it is so; fail if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not await fact():
        assert time.monotonic() < deadline, "it never came about"
        await asyncio.sleep(0.005)


async def waiting(connection: Any, number: int) -> None:
    """Return once so many connections to this database wait for a lock."""
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

    async def so_many() -> bool:
        return bool(await connection.fetchval(query) == number)

    await until(so_many)


FAULTS = {
    "a slot holds another number of patients than it has bookings": """
        select s.service_id, s.starts_at from slots s
        left join bookings b on b.service_id = s.service_id and b.starts_at = s.starts_at and b.released_at is null
            and b.elsewhere is null
        group by s.service_id, s.starts_at having count(b.reference) <> s.held""",
    "a slot holds more than its capacity": "select service_id, starts_at from slots where held > capacity",
    "a booking has no slot": """
        select b.reference from bookings b left join slots s using (service_id, starts_at)
        where b.released_at is null and b.starts_at is not null and b.elsewhere is null and s.service_id is null""",
    "a placement has more than one booking": """
        select placement_id from bookings where released_at is null group by placement_id having count(*) > 1""",
    "a confirmed placement has no booking, or an exhausted one has": """
        select p.placement_id from placements p left join bookings b using (placement_id)
        where (coalesce(p.told_type, 'none yet') = 'booking.confirmed') <> (b.reference is not null)""",
    "what was told is not what is booked": """
        select p.placement_id from placements p join bookings b using (placement_id)
        where (p.told::json #>> '{data,reference}', p.told::json #>> '{data,service,service_id}')
            <> (b.reference, b.service_id)
            or coalesce(p.told::json #>> '{data,starts_at}', p.told::json #>> '{data,hour,begins}')::timestamptz
                is distinct from b.starts_at""",
    "more patients are held in an hour than the service takes": """
        select s.service_id, date_trunc('hour', s.starts_at) from slots s join diaries d using (service_id)
        where d.patients_an_hour is not null and not s.withdrawn
        group by 1, 2, d.patients_an_hour having sum(s.held) > d.patients_an_hour""",
    "a release says something else than what was held": """
        select reference from bookings
        where (released::json #>> '{data,reference}', released::json #>> '{data,placement_id}',
                released::json #>> '{data,service_id}') <> (reference, placement_id::text, service_id)
            or released is not null
                and (released::json #>> '{data,starts_at}')::timestamptz is distinct from starts_at""",
    "a placement of which nothing is told does not wait or ask, or one that is told of does, or it does both": """
        select coalesce(p.placement_id, w.placement_id) from placements p full join (
            select placement_id from waiting union all select placement_id from asking
        ) w using (placement_id)
        group by 1, p.placement_id, p.told, p.told_type, w.placement_id
        having p.placement_id is null or (p.told is null) <> (w.placement_id is not null)
            or (p.told is null) <> (p.told_type is null) or count(*) > 1""",
    "what a receiver may have booked is neither asked for, held by a booking, nor given back": """
        select e.key from elsewhere e left join asking a on a.key = e.key
        left join bookings b on b.elsewhere = e.key and b.released_at is null
        where (e.state = 'asked') <> (a.key is not null) or (e.state = 'held') <> (b.reference is not null)""",
    "a reference has not 12 digits": "select reference from bookings where reference !~ '^[1-9][0-9]{11}$'",
}
"""Each a sentence, and a query that finds what breaks it."""


async def faults(process: Booking) -> list[str]:
    """What is wrong in the tables: nothing, always."""
    found = {sentence: await process.rows(query) for sentence, query in FAULTS.items()}
    return [f"{sentence}: {len(rows)}, such as {rows[0]}" for sentence, rows in found.items() if rows]


async def false_fulls(process: Booking, outcomes: Sequence[Any]) -> list[tuple[str, str]]:
    """Services that were said to be full, and have a slot in time at the end: nothing was ever given back."""
    free = dict(
        await process.rows(
            """select d.service_id, min(s.starts_at) from diaries d
            cross join lateral free_slots(d.service_id, d.patients_an_hour, $1) s group by 1""",
            NOON + LEAD,
        )
    )
    return [
        (str(outcome.data.brief.placement_id), tried.service_id)
        for outcome in outcomes
        for tried in outcome.data.tried
        if tried.service_id in free
        and free[tried.service_id] <= outcome.time + timedelta(minutes=outcome.data.brief.disposition.minutes)
    ]


def confirmed(outcomes: Sequence[Any]) -> list[BookingConfirmed]:
    """Those that got a place."""
    return [one for one in outcomes if one.type == BookingConfirmed.TYPE]


def exhausted(outcomes: Sequence[Any]) -> list[BookingExhausted]:
    """Those that did not."""
    return [one for one in outcomes if one.type == BookingExhausted.TYPE]
