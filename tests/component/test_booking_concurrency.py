"""Several processes settle at once, on a real PostgreSQL, also while their connections are cut.

Each placement ends once, no slot passes its capacity, and nobody is told *full* while there is room.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from contracts.placements import BookingRequested
from services.chassis.failures import is_transient
from tests.booking_processes import Booking, booking, confirmed, exhausted, false_fulls, faults, stranger
from tests.booking_requests import requested, service, session

pytestmark = pytest.mark.backing


def batches(requests: Sequence[BookingRequested], size: int) -> list[Sequence[BookingRequested]]:
    """In batches of so many."""
    return [requests[first : first + size] for first in range(0, len(requests), size)]


async def settle(process: Booking, work: Sequence[Sequence[BookingRequested]]) -> list[Any]:
    """What is told of these batches, one after the other. No failure is expected: none is caught."""
    return [outcome for batch in work for outcome in await process.settles(*batch)]


@pytest.mark.parametrize("writers", [2, 4])
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_writers_over_one_hot_diary_fill_it_and_no_more(database: str, writers: int, size: int) -> None:
    """400 patients for 300 places: 300 are held, 100 told that it is full, and no slot has one too many."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(booking(database)) for _ in range(writers)]
        await processes[0].lists(service("S1", session("13:00", "18:00", capacity=30)))
        requests = [requested(number, "S1", minutes=600) for number in range(1, 401)]
        work = [batches(requests[writer::writers], size) for writer in range(writers)]
        told = await asyncio.gather(*map(settle, processes, work))
        outcomes = [outcome for part in told for outcome in part]
        assert (300, 100) == (len(confirmed(outcomes)), len(exhausted(outcomes)))
        assert [(30, 30)] * 10 == [row[2:4] for row in (await processes[0].slots("S1"))[:10]]
        assert [] == await faults(processes[0])


@pytest.mark.parametrize("writers", [2, 4])
@pytest.mark.parametrize("capacity", [2, 12], ids=["too few", "enough"])
async def test_writers_over_many_diaries_skip_no_rank(database: str, writers: int, capacity: int) -> None:
    """Four of forty services each, in any order: what was passed over was full, and stays so."""
    names = [f"S{number:02}" for number in range(40)]
    chance = random.Random(7)
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(booking(database)) for _ in range(writers)]
        await processes[0].lists(*(service(name, session("13:00", "15:00", capacity=capacity)) for name in names))
        requests = [requested(number, *chance.sample(names, 4), minutes=180) for number in range(1, 1201)]
        work = [batches(requests[writer::writers], 50) for writer in range(writers)]
        told = await asyncio.gather(*map(settle, processes, work))
        outcomes = [outcome for part in told for outcome in part]
        assert 1200 == len({outcome.data.brief.placement_id for outcome in outcomes})
        assert [] == await false_fulls(processes[0], outcomes)
        assert [] == skipped_ranks(requests, outcomes)
        assert [] == await faults(processes[0])
        room = 40 * 4 * capacity
        assert (1200 if capacity == 12 else room) == len(confirmed(outcomes))


def skipped_ranks(requests: Sequence[BookingRequested], outcomes: Sequence[Any]) -> list[str]:
    """Placements whose candidates before the chosen one were not all tried, in order."""
    ranked = {one.data.brief.placement_id: [of.service_id for of in one.data.candidates] for one in requests}
    skipped = []
    for outcome in outcomes:
        names = ranked[outcome.data.brief.placement_id]
        tried = [one.service_id for one in outcome.data.tried]
        chosen = [outcome.data.service.service_id] if confirmed([outcome]) else []
        if names[: len(tried) + len(chosen)] != tried + chosen or (not chosen and len(tried) < len(names)):
            skipped.append(str(outcome.data.brief.placement_id))
    return skipped


@pytest.mark.parametrize("writers", [2, 4])
async def test_batches_that_overlap_end_each_placement_once(database: str, writers: int) -> None:
    """Every writer is given every placement, each in an order of its own: all tell the same."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(booking(database)) for _ in range(writers)]
        await processes[0].lists(*(service(f"S{number}", session(capacity=5)) for number in range(5)))
        requests = [requested(number, f"S{number % 5}", f"S{number % 3}") for number in range(1, 201)]
        requests += [requested(number) for number in range(201, 301)]
        work = [batches(random.Random(writer).sample(requests, 300), 30) for writer in range(writers)]
        told = await asyncio.gather(*map(settle, processes, work))
        values = {outcome.to_json() for part in told for outcome in part}
        assert 300 == len(values)
        assert [(300,)] == await processes[0].rows("select count(*) from placements")
        assert [] == await false_fulls(processes[0], told[0])
        assert [] == await faults(processes[0])


class Cutter:
    """Cuts connections of booking, at random moments, until it is stopped."""

    def __init__(self, database: str, seed: int) -> None:
        self._database = database
        self._chance = random.Random(seed)
        self.cut = 0
        self.cut_at_work = 0

    async def run(self) -> None:
        """One connection every few milliseconds."""
        query = """
            select coalesce(state, 'idle') <> 'idle', pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'onward-booking' order by random() limit 1"""
        async with stranger(self._database) as other:
            while True:
                for at_work, _ in await other.fetch(query):
                    self.cut += 1
                    self.cut_at_work += at_work
                await asyncio.sleep(self._chance.uniform(0.0, 0.02))


async def settle_whatever_happens(process: Booking, batch: Sequence[BookingRequested]) -> list[Any]:
    """What is told in the end: what is transient is tried again, as a step does. Anything else fails the test."""
    while True:
        try:
            return await process.settles(*batch)
        except Exception as error:
            if not is_transient(error):
                raise
            await asyncio.sleep(0.002)


async def test_cut_connections_lose_double_and_leak_nothing(database: str) -> None:
    """3,000 placements, each told by two of three processes, for room that is too little, while connections are cut."""
    names = [f"S{number:02}" for number in range(20)]
    chance = random.Random(11)
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(booking(database)) for _ in range(3)]
        await processes[0].lists(*(service(name, session("13:00", "18:00", capacity=12)) for name in names))
        requests = [requested(number, *chance.sample(names, 4), minutes=600) for number in range(1, 3001)]
        cutter = Cutter(database, seed=5)
        cutting = asyncio.create_task(cutter.run())
        try:

            async def writer(number: int) -> list[Any]:
                """Its own third of the placements and a repeat of the next one's, again until enough was cut."""
                told: list[Any] = []
                while not told or (cutter.cut_at_work < 10 and not cutting.done()):
                    for third in (number, (number + 1) % 3):
                        for batch in batches(requests[third::3], 25):
                            told += await settle_whatever_happens(processes[number], batch)
                return told

            told = [outcome for part in await asyncio.gather(*map(writer, range(3))) for outcome in part]
        finally:
            cutting.cancel()
            [ended] = await asyncio.gather(cutting, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)
        assert cutter.cut_at_work >= 10
        values = {outcome.data.brief.placement_id: outcome.to_json() for outcome in told}
        assert (3000, 3000) == (len(values), len({outcome.to_json() for outcome in told}))
        assert values == {
            placement: value.encode()
            for placement, value in await processes[0].rows("select placement_id, told from placements")
        }
        outcomes = list({outcome.data.brief.placement_id: outcome for outcome in told}.values())
        assert [] == await false_fulls(processes[0], outcomes)
        assert [] == skipped_ranks(requests, outcomes)
        assert 20 * 10 * 12 == len(confirmed(outcomes))
        assert [] == await faults(processes[0])
