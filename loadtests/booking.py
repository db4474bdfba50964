"""`make bench-booking`: settling as shipped beside one row at a time with `skip locked`, into build/bench/booking.json.

One hot service that all want, and a spread of 1,000 services of which each placement names four; 1, 2 and 4 writers,
each a process with a connection of its own; a little less room than is wanted, so that *full* is said and can be held
against what was free. Both settle the same kind of placements in the same tables on a real PostgreSQL that syncs each
commit, in turns. What is compared is placements settled a second: outcome made, stored and acknowledged.
"""

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4, uuid5

import asyncpg
import psycopg
import uvloop

from contracts.brief import Brief, Disposition
from contracts.directory import DAYS, Service, ServiceListed, ServiceListedData, SlotSession
from contracts.people import Age, Contact, Desk, PatientIdentity, Position, Referrer
from contracts.placements import BookingRequested, BookingRequestedData, Candidate
from loadtests.peers.skip_locked import settle_each
from services.backing import postgres
from services.backing.settings import Settings as BackingSettings
from services.booking.asking import Asking
from services.booking.listing import Listings
from services.booking.service import MIGRATIONS
from services.booking.settings import BookingSettings
from services.booking.store import Diaries
from services.booking.waiting import WaitingList
from services.chassis.database import OUTBOX, Database
from services.chassis.kafka import Kafka
from services.chassis.lean import lean
from services.chassis.outbox import Outbox
from services.chassis.service import MAX_RECORDS
from services.chassis.settings import Settings

RESULT = Path("build") / "bench" / "booking.json"
NOW = datetime(2026, 1, 14, 12, tzinfo=UTC)
LEAD = timedelta(minutes=10)
ROOM = 0.95
"""Of the placements of a run, so many can be given a slot."""
WRITERS = (1, 2, 4)
ROUNDS = 3
BAR = 5.0
FAMILY = UUID("6a1d3c52-0000-4000-8000-00000000be9c")
HERE = Position(latitude=52.9, longitude=-1.2)

AS_READ = lean(BookingRequested)

Way = Literal["as shipped", "row at a time"]
WAYS: tuple[Way, ...] = ("as shipped", "row at a time")


class Scenario(NamedTuple):
    """What is asked for."""

    name: str
    services: int
    named: int
    """Candidates of each placement."""
    placements: dict[Way, int]
    """In a run: about a second or two of work for either way."""

    def session(self, placements: int) -> SlotSession:
        """Slots from one o'clock, with a little less room than is wanted."""
        room = round(placements * ROOM / self.services)
        slots = min(room, 20)
        ends = f"{13 + slots // 2}:{slots % 2 * 3}0"
        return SlotSession(days=DAYS, begins="13:00", ends=ends, slot_minutes=30, capacity=room // slots)


SCENARIOS = (
    Scenario("hot", 1, 1, {"as shipped": 16_000, "row at a time": 2_000}),
    Scenario("spread", 1_000, 4, {"as shipped": 16_000, "row at a time": 2_000}),
)


@dataclass(frozen=True)
class Run:
    """What came of one run."""

    per_second: float
    placed: int
    double_bookings: int
    false_full: int


def listed(service: Service, version: int) -> ServiceListed:
    """The event that lists a service."""
    data = ServiceListedData(version=version, service=service)
    return ServiceListed.first(
        data, id=uuid5(FAMILY, service.service_id), source="bench", subject=service.service_id, time=NOW
    )


def candidate(number: int) -> Candidate:
    """A service of the benchmark."""
    return Candidate(
        service_id=f"S{number:04}",
        name=f"Service {number}",
        service_type=135,
        organisation="ONW02",
        telephone="01632 960100",
        instructions="Ring ahead.",
        position=HERE,
        distance_km=2.5,
        booking="slots",
        why="nearest suitable open urgent treatment centre, 2.5 km",
    )


def asked(scenario: Scenario, first: int, placements: int) -> list[BookingRequested]:
    """So many placements, each naming some of the services by chance, the same for the same numbers; as a service reads
    them, either way."""
    chance = random.Random(first)
    candidates = [candidate(number) for number in range(scenario.services)]
    requests = []
    for number in range(first, first + placements):
        brief = Brief(
            placement_id=UUID(int=number + 1),
            answer_by=NOW + timedelta(minutes=15),
            accept="any",
            position=HERE,
            age=Age(value=70),
            gender="female",
            surgery=None,
            presentation="fall",
            service_types=(135,),
            to_clinician=False,
            disposition=Disposition(code="UTC-TODAY", name="Urgent treatment centre", minutes=24 * 60),
            acuity="standard",
            reasons=(),
            patient=PatientIdentity(nhs_number="9000000009", contact=Contact(mobile="07700 900123")),
            referrer=Referrer(organisation="ONW01", practitioner="P1", role="paramedic"),
            desk=Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960000"),
        )
        data = BookingRequestedData(brief=brief, candidates=tuple(chance.sample(candidates, scenario.named)))
        subject = str(uuid5(FAMILY, str(number)))
        event = BookingRequested.first(data, id=UUID(subject), source="bench", subject=subject, time=NOW)
        requests.append(AS_READ.read(event.to_json()))
    return requests


def write(pipe: Pipe, url: str) -> None:
    """A writer: settles what it is told to, at the word *go*, and says from when to when."""
    uvloop.run(_write(pipe, url))


async def _write(pipe: Pipe, url: str) -> None:
    database = _database(url)
    await database.start()
    outbox = Outbox(database, None)  # type: ignore[arg-type] # nothing is told by it here
    waiting = WaitingList(database, outbox, clock=lambda: NOW, lead=LEAD)
    changed: set[str] = set()
    asking = Asking(
        database,
        outbox,
        waiting,
        changed,
        clock=lambda: NOW,
        new_id=uuid4,
        lead=LEAD,
        settings=BookingSettings(),
    )
    diaries = Diaries(database, waiting, asking, changed, clock=lambda: NOW, lead=LEAD)
    alone: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url, server_settings={"search_path": "booking"})
    while (work := pipe.recv()) is not None:
        way, scenario, first, placements = work
        requests = asked(scenario, first, placements)
        references = (str(500_000_000_000 + number) for number in count(first))
        pipe.send("ready")
        pipe.recv()
        began = time.monotonic()
        if way == "as shipped":
            for begin in range(0, placements, MAX_RECORDS):
                await diaries.settle(requests[begin : begin + MAX_RECORDS])
        else:
            await settle_each(alone, requests, NOW, LEAD, references)
        pipe.send((began, time.monotonic()))
    await alone.close()
    await database.stop()


def _database(url: str) -> Database:
    settings = Settings(kafka=Kafka("127.0.0.1:1"), database_url=url, keys_file=Path("none"), pool_size=1)
    return Database(settings, "booking", MIGRATIONS, OUTBOX)


@contextmanager
def writers(url: str, number: int) -> Iterator[list[Pipe]]:
    """So many processes that settle."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(number):
        ours, theirs = context.Pipe()
        process = context.Process(target=write, args=(theirs, url), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    try:
        yield pipes
    finally:
        for pipe in pipes:
            with suppress(BrokenPipeError):
                pipe.send(None)
        for process in processes:
            process.join(10)
            process.kill()


async def lay_out(url: str, scenario: Scenario, placements: int) -> None:
    """Empty tables, and the diaries of the scenario."""
    database = _database(url)
    await database.start()
    try:
        await database.pool.execute("truncate diaries, slots, bookings, placements")
        outbox = Outbox(database, None)  # type: ignore[arg-type]
        waiting = WaitingList(database, outbox, clock=lambda: NOW, lead=LEAD)
        listings = Listings(database, outbox, waiting, set(), clock=lambda: NOW, horizon=timedelta(days=1))
        session = scenario.session(placements)
        entries = [
            Service(
                **candidate(number).model_dump(include={"service_id", "name", "service_type", "organisation"}),
                position=HERE,
                telephone="01632 960100",
                booking="slots",
                sessions=(session,),
            )
            for number in range(scenario.services)
        ]
        await listings.list_services([listed(one, 1) for one in entries])
        await database.pool.execute("vacuum analyze diaries, slots, bookings, placements")
    finally:
        await database.stop()


DOUBLE = """
-- Slots that hold another number of patients than they have bookings, and placements with more than one.
select (
    select count(*) from slots s
    left join (select service_id, starts_at, count(*) as patients from bookings group by 1, 2) b
        using (service_id, starts_at)
    where s.held <> coalesce(b.patients, 0)
) + (select count(*) from (select from bookings group by placement_id having count(*) > 1) more_than_one)
"""

FALSE_FULL = """
-- Of those whom nobody could take: named services that have a slot in time at the end, for nothing was given back.
with free as (
    select service_id from slots where held < capacity and starts_at >= $1 and starts_at <= $2 group by 1
)
select count(*) from (
    select json_array_elements(told::json #> '{data,tried}') ->> 'service_id' as service_id from placements
) tried join free using (service_id)
"""


def run(url: str, pipes: Sequence[Pipe], scenario: Scenario, way: Way) -> Run:
    """Settle once, in this way, shared among these writers."""
    placements = scenario.placements[way] // len(pipes) * len(pipes)
    uvloop.run(lay_out(url, scenario, placements))
    share = placements // len(pipes)
    for number, pipe in enumerate(pipes):
        pipe.send((way, scenario, number * share, share))
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    times = [pipe.recv() for pipe in pipes]
    took = max(end for _, end in times) - min(begin for begin, _ in times)
    with psycopg.connect(url, options="-c search_path=booking") as connection:

        def number_of(query: str, *arguments: Any) -> int:
            row = connection.execute(query, arguments).fetchone()
            assert row is not None
            return int(row[0])

        settled = number_of("select count(*) from placements")
        if settled != placements:
            sys.exit(f"{placements} placements were asked for and {settled} are settled: the run counts for nothing")
        return Run(
            per_second=placements / took,
            placed=number_of("select count(*) from bookings"),
            double_bookings=number_of(DOUBLE),
            false_full=number_of(
                FALSE_FULL.replace("$1", "%s").replace("$2", "%s"), NOW + LEAD, NOW + timedelta(days=1)
            ),
        )


def measure(url: str) -> dict[str, float | int]:
    """The figures, flat; for each scenario those of the number of writers at which the ratio is the worst."""
    figures: dict[str, float | int] = {}
    with writers(url, max(WRITERS)) as pipes:
        for scenario in SCENARIOS:
            runs: dict[int, dict[Way, list[Run]]] = {}
            for number in WRITERS:
                of_number = runs[number] = {way: [] for way in WAYS}
                for turn in range(ROUNDS + 1):
                    for way in WAYS:
                        one = run(url, pipes[:number], scenario, way)
                        print(f"{scenario.name}, {number} writers, {way}: {one.per_second:.0f}/s, {one}")
                        if turn:  # the first round warms both
                            of_number[way].append(one)
            figures |= _of(scenario.name, runs)
    return figures


def _of(name: str, runs: dict[int, dict[Way, list[Run]]]) -> dict[str, float | int]:
    ours, theirs = WAYS
    speeds = {number: {way: median(one.per_second for one in of[way]) for way in WAYS} for number, of in runs.items()}
    ratios = {number: of[ours] / of[theirs] for number, of in speeds.items()}
    all_of = {way: [one for of in runs.values() for one in of[way]] for way in WAYS}
    figures: dict[str, float | int] = {
        f"{name}_ratio_to_row_at_a_time": round(min(ratios.values()), 2),
        f"{name}_bookings_per_second": round(max(of[ours] for of in speeds.values())),
        f"{name}_double_bookings": sum(one.double_bookings for one in all_of[ours]),
        f"{name}_false_full": sum(one.false_full for one in all_of[ours]),
        f"{name}_row_at_a_time_double_bookings": sum(one.double_bookings for one in all_of[theirs]),
        f"{name}_row_at_a_time_false_full": sum(one.false_full for one in all_of[theirs]),
    }
    for number, of in speeds.items():
        figures[f"{name}_bookings_per_second_{number}_writers"] = round(of[ours])
        figures[f"{name}_row_at_a_time_per_second_{number}_writers"] = round(of[theirs])
        figures[f"{name}_ratio_{number}_writers"] = round(ratios[number], 2)
    return figures


@contextmanager
def a_database() -> Iterator[str]:
    """An empty database: of the server that `DATABASE_URL` names, or of one of this benchmark's own."""
    given = BackingSettings.read().database_url
    with tempfile.TemporaryDirectory(prefix="onward-bench-") as folder:
        url = given or postgres.start(Path(folder), say=print).url
        name = "onward_bench_booking"
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"drop database if exists {name} with (force)")
                connection.execute(f"create database {name}")
                try:
                    before, mark, options = url.partition("?")
                    yield f"{before.rpartition('/')[0]}/{name}{mark}{options}"
                finally:
                    connection.execute(f"drop database {name} with (force)")
        finally:
            if given is None:
                postgres.stop(Path(folder))
                postgres.purge(Path(folder))


def main() -> None:
    """Run, write the result, and fail where a place was given twice, or somebody was told *full* in vain."""
    busy_before = os.getloadavg()[0]
    with a_database() as url:
        _database(url).migrate()
        figures = measure(url)
    figures["double_bookings"] = figures["hot_double_bookings"] + figures["spread_double_bookings"]
    figures["false_full"] = figures["hot_false_full"] + figures["spread_false_full"]
    figures["load_average_before"] = round(busy_before, 2)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(RESULT.read_text())
    if figures["double_bookings"] or figures["false_full"]:
        sys.exit("a place was given twice, or somebody was told that a service with room is full")
    if figures["hot_ratio_to_row_at_a_time"] < BAR:
        sys.exit(f"one hot service is to be settled at least {BAR:.0f} times as fast as one row at a time")


if __name__ == "__main__":
    main()
