"""Free slots on a real PostgreSQL: what is told of diaries as they change, and what a look over HTTP shows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.diaries import DiaryReported
from services.booking.free_slots import tell_of
from services.booking.http import routes
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service as Hosted
from services.chassis.settings import Settings
from services.chassis.web import create_app
from tests.booking_processes import Booking, Clock, booking, stranger, until, waiting
from tests.booking_requests import NOON, requested, service, session

pytestmark = pytest.mark.backing

HALF_HOUR = timedelta(minutes=30)
FIRST = NOON + HALF_HOUR
"""The first slot that can still be held: one at noon begins within the lead."""


async def told(process: Booking) -> list[Any]:
    """What was told since the last time, once diaries were looked at and the outbox is empty."""
    while await process.free_slots.tell():
        pass
    before = len(process.publisher.told)
    draining = asyncio.create_task(process.outbox.drain())
    try:

        async def empty() -> bool:
            return [(0,)] == await process.rows("select count(*) from outbox")

        await until(empty)
    finally:
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
    return [event.data for event in process.publisher.told[before:] if isinstance(event, DiaryReported)]


def begins(report: Any) -> list[datetime]:
    """When its next free slots begin."""
    return [slot.begins for slot in report.next_free]


async def test_a_listed_diary_is_told_of_once(database: str) -> None:
    """The next five free slots, how many patients the next day takes, as of now; under its own key."""
    async with booking(database, horizon=timedelta(days=2)) as process:
        await process.lists(service("S1", session(capacity=2)), service("S2"))
        [report] = await told(process)
        assert ("S1", 1, NOON, 94, NOON + timedelta(hours=24)) == (
            report.service_id,
            report.version,
            report.as_of,
            report.free,
            report.until,
        )
        assert [FIRST + number * HALF_HOUR for number in range(5)] == begins(report)
        assert {(30, 2)} == {(slot.minutes, slot.free) for slot in report.next_free}
        assert ["S1"] == [event.partitionkey for event in process.publisher.told]
        assert [] == await told(process)


async def test_a_held_slot_is_told_of_under_the_next_version(database: str) -> None:
    """One report for many placements of one look; other diaries are left alone."""
    async with booking(database) as process:
        await process.lists(service("S1", session()), service("S2", session()))
        await told(process)
        await process.settles(*(requested(number, "S1", minutes=600) for number in (1, 2, 3)))
        [report] = await told(process)
        assert ("S1", 2, 44) == (report.service_id, report.version, report.free)
        assert FIRST + 3 * HALF_HOUR == begins(report)[0]


async def test_a_full_diary_has_none(database: str) -> None:
    """And room again is told of too."""
    entry = service("S1", session("12:30", "13:00"))
    async with booking(database, horizon=timedelta(hours=1)) as process:
        await process.lists(entry)
        await told(process)
        await process.settles(*(requested(number, "S1", minutes=3000) for number in (1, 2)))
        [full] = await told(process)
        assert ((), 0) == (full.next_free, full.free)
        await process.lists(service("S1", session("12:30", "13:00", capacity=3)), version=2)
        [room] = await told(process)
        assert ([FIRST, FIRST + timedelta(days=1)], [2, 2], 2) == (
            begins(room),
            [slot.free for slot in room.next_free],
            room.free,
        )


async def test_a_delisted_diary_has_none(database: str) -> None:
    """Nobody is booked there."""
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        await told(process)
        await process.lists(service("S1", session(), active=False), version=2)
        assert [(2, (), 0)] == [(one.version, one.next_free, one.free) for one in await told(process)]


async def test_a_slot_that_can_no_longer_be_held_is_told_of_no_more(database: str) -> None:
    """As time goes by, without any booking: from the moment at which it begins within the lead."""
    clock = Clock()
    async with booking(database, clock) as process:
        await process.lists(service("S1", session()))
        await told(process)
        clock.now = FIRST - timedelta(minutes=10)
        assert [] == await told(process)
        clock.now += timedelta(seconds=1)
        [report] = await told(process)
        assert [FIRST + number * HALF_HOUR for number in range(1, 6)] == begins(report)


async def test_a_process_that_begins_tells_what_another_left_untold(database: str) -> None:
    """The notes of a process that dies are lost; what it stored is not."""
    async with booking(database) as dies, booking(database) as begins_anew:
        await dies.lists(service("S1", session()))
        await told(dies)
        await dies.settles(requested(1, "S1"))
        await begins_anew.free_slots.look_at_all()
        assert [2] == [report.version for report in await told(begins_anew)]
        await begins_anew.free_slots.look_at_all()
        assert [] == await told(begins_anew)


async def test_nothing_is_kept_that_cannot_be_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Report and outbox are one transaction."""

    async def fail(*_: Any) -> None:
        raise ConnectionResetError

    async with booking(database) as process:
        await process.lists(service("S1", session()))
        with monkeypatch.context() as broken:
            broken.setattr(process.outbox, "put", fail)
            with pytest.raises(ConnectionResetError):
                await process.free_slots.tell()
        await process.free_slots.look_at_all()
        assert [1] == [report.version for report in await told(process)]


async def test_two_processes_tell_of_one_diary_one_after_the_other(database: str) -> None:
    """The second waits for the first, and a higher version never says something older."""
    async with booking(database) as one, booking(database) as other, stranger(database) as third:
        await one.lists(service("S1", session()))
        await told(one)
        async with third.transaction():
            await third.execute("select from diary_reports for update")
            await one.settles(requested(1, "S1"))
            first = asyncio.create_task(one.free_slots.tell())
            await waiting(third, 1)
            await other.settles(requested(2, "S1"))
            second = asyncio.create_task(other.free_slots.tell())
            await waiting(third, 2)
        await asyncio.gather(first, second)
        reports = await told(one)
        assert FIRST + 2 * HALF_HOUR == begins(max(reports, key=lambda report: report.version))[0]


async def test_settling_does_not_wait_for_what_is_told(database: str) -> None:
    """A look at free slots that hangs half way holds nothing that a placement needs."""
    async with booking(database) as process, stranger(database) as other:
        await process.lists(service("S1", session()))
        async with other.transaction():
            await other.execute("lock table outbox in exclusive mode")
            looking = asyncio.create_task(process.free_slots.tell())
            await waiting(other, 1)
            [outcome] = await process.settles(requested(1, "S1"))
        await looking
        assert FIRST == outcome.data.starts_at


async def test_diaries_are_told_of_in_the_background(database: str) -> None:
    """A process that runs tells of what changes without being asked."""
    async with booking(database) as process:
        await process.lists(service("S1", session()))
        telling = asyncio.create_task(tell_of(process.free_slots))
        try:

            async def stored() -> bool:
                return [(1,)] == await process.rows("select count(*) from outbox")

            await until(stored)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


@pytest.fixture
async def process(database: str) -> AsyncIterator[Booking]:
    """Booking with one diary."""
    async with booking(database, horizon=timedelta(hours=6)) as one:
        await one.lists(service("S1", session(capacity=2)), service("S2"))
        yield one


@pytest.fixture
async def client(process: Booking, keys_folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A caller at booking's routes."""
    signing, public = make_keys(keys_folder)
    settings = Settings(kafka=Kafka("127.0.0.1:1"), database_url="", keys_file=public)
    hosted = Hosted("booking", settings)
    hosted.serves(routes(process.free_slots, clock=lambda: NOON, horizon=timedelta(hours=6)))
    token = sign(signing, organisation="ONW01", practitioner="P1", role="paramedic", now=datetime.now(UTC))
    app = create_app([hosted], Verifier.from_file(public))
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://booking", headers=headers
    ) as caller:
        yield caller


async def test_free_slots_are_paged(process: Booking, client: httpx.AsyncClient) -> None:
    """In order, each once, as of now; what is held fully is not among them."""
    await process.settles(requested(1, "S1"), requested(2, "S1"), requested(3, "S1"))
    first = (await client.get("/services/S1/slots", params={"limit": 2})).json()
    second = (await client.get("/services/S1/slots", params={"limit": 2, "from": first["more_from"]})).json()
    assert [("2026-01-14T13:00:00Z", 1), ("2026-01-14T13:30:00Z", 2)] == shown(first)
    assert [("2026-01-14T14:00:00Z", 2), ("2026-01-14T14:30:00Z", 2)] == shown(second)
    assert ("S1", "slots", "2026-01-14T12:00:00Z") == (first["service_id"], first["booking"], first["as_of"])


def shown(page: dict[str, Any]) -> list[tuple[str, int]]:
    """When its slots begin, and how many patients each takes."""
    return [(slot["begins"], slot["free"]) for slot in page["slots"]]


async def test_free_slots_within_bounds(client: httpx.AsyncClient) -> None:
    """From a time, included, until another, not included; the last page names no other."""
    bounds = {"from": "2026-01-14T14:00:00+00:00", "until": "2026-01-14T15:00:00+00:00"}
    page = (await client.get("/services/S1/slots", params=bounds)).json()
    assert ([("2026-01-14T14:00:00Z", 2), ("2026-01-14T14:30:00Z", 2)], None) == (shown(page), page["more_from"])


async def test_no_slot_of_the_past_or_within_the_lead_is_free(client: httpx.AsyncClient) -> None:
    """Whatever is asked."""
    page = (await client.get("/services/S1/slots", params={"from": "2020-01-01T00:00:00Z"})).json()
    assert "2026-01-14T12:30:00Z" == page["slots"][0]["begins"]


async def test_a_service_without_slots_has_none(client: httpx.AsyncClient) -> None:
    """It says how it takes patients."""
    page = (await client.get("/services/S2/slots")).json()
    assert ("delivery", []) == (page["booking"], page["slots"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/services/NOBODY/slots", 404),
        ("/services/S1/slots?limit=0", 422),
        ("/services/S1/slots?limit=201", 422),
        ("/services/S1/slots?from=noon", 422),
        ("/services/S1/slots?until=2026-01-14T12:00:00", 422),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(client: httpx.AsyncClient, path: str, status: int) -> None:
    """With what is wrong."""
    answer = await client.get(path)
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
