"""One run of a scenario: prepare, send on schedule, wait for what follows, account for it, and keep the figures."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from loadtests import account, material, streams
from loadtests.account import Account
from loadtests.client import Client
from loadtests.journal import Entry, Journal
from loadtests.material import Body
from loadtests.sampling import Sample, Sampler
from loadtests.scenario import Load, Scenario
from loadtests.schedules import Schedule
from loadtests.streams import Stream
from loadtests.target import Target
from loadtests.witness import Witness
from services.chassis.collector import spare_the_collector
from services.chassis.publishing import KafkaPublisher

LEAD_SECONDS = 0.5
"""From when all is prepared to the first request."""

PATIENCE_SECONDS = 30.0
"""How long nothing may come before what is missing counts as lost."""

CAPACITY_SENDERS = 64
CAPACITY_WARM_SECONDS, CAPACITY_SECONDS = 3.0, 8.0


@dataclass
class Asked:
    """How a scenario is run, beside what it says."""

    shorten: float = 1.0
    faster: float = 1.0
    times: float = 1.0
    seed: int | None = None
    capacity: float | None = None
    """Transactions a second that the system does; found out where it is needed and not given."""

    def schedule(self, load: Load, faster: float, capacity: float) -> Schedule:
        """A stream's schedule in this run of a scenario that is so much faster than it says."""
        schedule = load.schedule.schedule.faster(faster * self.faster).shortened(self.shorten).times(self.times)
        return schedule.times(capacity) if load.of_capacity else schedule


@dataclass
class Planned:
    """A stream of a run."""

    load: Load
    schedule: Schedule
    seed: int
    stream: Stream

    @property
    def moments(self) -> list[float]:
        """When each request is to leave, in seconds from the beginning."""
        return list(self.schedule.moments(self.seed))


@dataclass
class Run:
    """A run, while it goes on and when it is over."""

    scenario: Scenario
    asked: Asked
    target: Target
    folder: Path
    journal: Journal
    phase: str = "preparing"
    began: float = 0.0
    ended: float = 0.0
    """When the last request had ended, in seconds since 1970."""
    capacity: float | None = None
    stopped: bool = False
    """Somebody asked to stop: no request leaves any more, and what was sent is accounted for."""
    planned: list[Planned] = field(default_factory=list)
    sampler: Sampler | None = None
    witness: Witness | None = None
    missing: list[Entry] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    streamed_bytes: int = 0

    @property
    def samples(self) -> Sequence[Sample]:
        """What was sampled so far."""
        return [] if self.sampler is None else self.sampler.samples

    @property
    def seconds(self) -> float:
        """How long the schedules take."""
        return max((one.schedule.seconds for one in self.planned), default=0.0)

    def stop(self) -> None:
        """Send no more."""
        self.stopped = True


async def run(under_way: Run) -> Run:
    """Run the scenario to its end, or to a stop; either way what was sent is accounted for."""
    target = under_way.target
    begun_at = datetime.now(UTC)
    async with Client.open(target.url, target.headers()) as client, _witness(under_way) as witness:
        try:
            under_way.capacity = await _capacity_of(under_way, client)
            async with _prepared(under_way, client):
                await _under_load(under_way, client)
            under_way.phase = "waiting for what follows"
            followed = [one for one in under_way.journal.entries if one.referral and is_to_end(one)]
            under_way.missing = await witness.wait_for(followed, patience=PATIENCE_SECONDS)
        finally:
            if under_way.sampler is not None:
                await under_way.sampler.end()
            under_way.journal.close()
        under_way.phase = "accounting"
        await _settled(under_way)
        under_way.account = await account.close(target, under_way.journal.entries, witness, begun_at)
    under_way.phase = "done"
    return under_way


def is_to_end(entry: Entry) -> bool:
    """Whether an outcome must follow: what was taken in, and what was asked again until it was."""
    return entry.fate in ("answered", "taken") or (entry.fate == "failed" and entry.kind == "transaction")


@asynccontextmanager
async def _witness(under_way: Run) -> AsyncIterator[Witness]:
    target = under_way.target
    witness = under_way.witness = await Witness.begin(target.kafka, target.prefix, under_way.scenario.follow)
    try:
        yield witness
    finally:
        await witness.close()


async def _settled(under_way: Run) -> None:
    """Wait until every reader is at its end, as far as it gets there: offsets are committed some time after."""
    sampler = Sampler(under_way.target, os.getpid())
    await sampler.begin()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(sampler.samples[-1].lag.values()) and time.monotonic() < deadline:
            await asyncio.sleep(0.25)
            await sampler.look()
    finally:
        await sampler.end()


@asynccontextmanager
async def _prepared(under_way: Run, client: Client) -> AsyncIterator[None]:
    """Make everything that will be sent."""
    scenario, asked, target = under_way.scenario, under_way.asked, under_way.target
    seed = scenario.seed if asked.seed is None else asked.seed
    async with contextlib.AsyncExitStack() as stack:
        publisher: KafkaPublisher | None = None
        for number, load in enumerate(scenario.load):
            schedule = asked.schedule(load, scenario.faster, under_way.capacity or 0.0)
            count, own_seed = round(schedule.requests) + 1, seed * 1_000 + number
            stream: Stream
            match load.kind:
                case "event":
                    if publisher is None:
                        publisher = await stack.enter_async_context(streams.publisher(target))
                    templates = streams.templates(load, own_seed, count, target)
                    stream = streams.Events(under_way.journal, load.name, publisher, templates)
                case "transaction":
                    bodies = bodies_of(load, own_seed, count)
                    stream = streams.transactions(
                        under_way.journal, load.name, client, bodies, wait_seconds=load.wait_seconds
                    )
                case "lookup":
                    searches = [material.search_of(one) for one in material.incidents(load, own_seed, count)]
                    stream = streams.lookups(under_way.journal, load.name, client, searches)
            under_way.planned.append(Planned(load, schedule, own_seed, stream))
        yield


def bodies_of(load: Load, seed: int, count: int) -> list[Body]:
    """Submissions of a stream."""
    return [Body.of(one.submission) for one in material.incidents(load, seed, count)]


async def _under_load(under_way: Run, client: Client) -> None:
    sampler = under_way.sampler = Sampler(under_way.target, os.getpid())
    moments = [one.moments for one in under_way.planned]
    await sampler.begin()

    def stopped() -> bool:
        return under_way.stopped

    over = False
    readers = [
        asyncio.create_task(streams.slow_reader(client, reader.pause_ms / 1000, lambda: over))
        for reader in under_way.scenario.reader
        for _ in range(reader.count)
    ]
    spare_the_collector()  # the sender's CPU is taken from the machine that is measured
    under_way.began = time.time() + LEAD_SECONDS
    under_way.phase = "sending"
    await asyncio.gather(
        *(
            one.stream.send(iter(own), under_way.began, stopped)
            for one, own in zip(under_way.planned, moments, strict=True)
        )
    )
    under_way.ended = time.time()
    over = True
    await asyncio.gather(*(one.stream.ask_again() for one in under_way.planned))
    under_way.streamed_bytes = sum(await asyncio.gather(*readers))


async def _capacity_of(under_way: Run, client: Client) -> float | None:
    """What the system does of transactions a second, given or found out: as many senders as keep it busy."""
    relative = [one for one in under_way.scenario.load if one.of_capacity]
    if not relative or under_way.asked.capacity is not None:
        return under_way.asked.capacity
    under_way.phase = "finding out the capacity"
    bodies = bodies_of(relative[0], 0, 1_000)
    await closed_loop(under_way.journal, client, bodies, CAPACITY_WARM_SECONDS, CAPACITY_SENDERS)
    found = await closed_loop(under_way.journal, client, bodies, CAPACITY_SECONDS, CAPACITY_SENDERS)
    return max(found, 1.0)


async def closed_loop(
    journal: Journal, client: Client, bodies: Sequence[Body], seconds: float, senders: int, name: str = "capacity"
) -> float:
    """So many senders, each of which sends again when it has its answer. Returns answers a second.

    It says how much a system does, and nothing of how long anyone waits: a slow answer puts off the next question.
    """
    asking = streams.transactions(journal, name, client, bodies)
    began = time.time()
    numbers = iter(range(10**9))
    answered = 0

    async def sender() -> None:
        nonlocal answered
        while time.time() < began + seconds:
            entry = await asking.one(next(numbers), time.time())
            answered += entry.fate == "answered"

    await asyncio.gather(*(sender() for _ in range(senders)))
    rate = answered / (time.time() - began)
    await asking.ask_again()
    return rate
