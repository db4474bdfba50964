"""Sending: each stream on its schedule, whatever the system does. A stall is never hidden by sending less."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from faststream.kafka import KafkaBroker
from pydantic_core import from_json

from contracts.people import Referrer
from contracts.submissions import ReferralSubmitted
from loadtests import material
from loadtests.client import Client, Reply
from loadtests.journal import Entry, Fate, Journal
from loadtests.material import Body, EventTemplate
from loadtests.scenario import Load
from loadtests.target import Target
from services.chassis.failures import is_transient
from services.chassis.publishing import MAX_BATCH_BYTES, KafkaPublisher

LOOK_SECONDS = 0.25
"""How soon a stop is seen."""

REQUESTS_AT_ONCE = 50
"""So many late requests may leave at once before what came back is looked at."""

EVENTS_AT_ONCE = 1_000
GATHER_SECONDS = 0.01
"""What is due within so long after a batch of events leaves as the next: at most so late, and late counts."""

ASKED_AGAIN = 20
"""So often is asked what came of a request that nobody knows the end of."""

TELLINGS = 4
"""Batches of events under way: more would only wait for each other in the producer."""

Stopped = Callable[[], bool]
Due = list[tuple[int, float]]
"""The number and the intended moment of each request, in seconds since 1970."""


async def due(moments: Iterator[float], began: float, most: int, stopped: Stopped) -> AsyncIterator[Due]:
    """What is due, when it is, at most so much at a time, until a stop."""
    numbered = ((number, began + at) for number, at in enumerate(moments))
    following = next(numbered, None)
    while following is not None:
        while (ahead := following[1] - time.time()) > 0 and not stopped():
            await asyncio.sleep(min(ahead, LOOK_SECONDS))
        if stopped():
            return
        now, together = time.time(), list[tuple[int, float]]()
        while following is not None and following[1] <= now and len(together) < most:
            together.append(following)
            following = next(numbered, None)
        yield together
        await asyncio.sleep(0)


class Stream(Protocol):
    """Requests of one kind."""

    async def send(self, moments: Iterator[float], began: float, stopped: Stopped) -> None:
        """Send at these moments, from `began` on; return once each has ended."""

    async def ask_again(self) -> None:
        """Ask again what nobody knows the end of, as a device does, so that each that was stored is told."""


class Requests:
    """A stream over HTTP, a request at a time."""

    def __init__(
        self,
        journal: Journal,
        name: str,
        kind: str,
        ask: Callable[[Entry, int], Awaitable[Reply]],
        reachable: Callable[[int], bool] = lambda _number: False,
    ) -> None:
        self._journal = journal
        self._name = name
        self._kind = kind
        self._ask = ask
        self._reachable = reachable
        self._unknown: list[tuple[int, Entry]] = []

    async def send(self, moments: Iterator[float], began: float, stopped: Stopped) -> None:
        """Each request in a task of its own: none waits for another."""
        under_way: set[asyncio.Task[Entry]] = set()
        async for together in due(moments, began, REQUESTS_AT_ONCE, stopped):
            for number, moment in together:
                task = asyncio.create_task(self.one(number, moment))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        while under_way:
            await asyncio.gather(*under_way)

    async def one(self, number: int, moment: float) -> Entry:
        """One request, from the journal to the journal."""
        entry = Entry(self._name, self._kind, str(uuid4()), moment, self._reachable(number))
        entry.sent = time.time()
        self._journal.sending([entry])
        reply = await self._ask(entry, number)
        entry.ended = time.time()
        entry.status, entry.error = reply.status, reply.error
        judge(entry, reply)
        if entry.fate == "failed":
            self._unknown.append((number, entry))
        self._journal.ended([entry])
        return entry

    async def ask_again(self) -> None:
        """Under the same key, a few times. In the figures it stays a failure: its sender was left without an answer."""
        for _ in range(ASKED_AGAIN):
            left = []
            for number, entry in self._unknown:
                again = replace(entry)
                judge(again, await self._ask(entry, number))
                entry.referral = again.referral or entry.referral
                if again.fate in ("failed", "refused"):
                    left.append((number, entry))
            self._unknown = left
            if left:
                await asyncio.sleep(LOOK_SECONDS)


def transactions(
    journal: Journal, name: str, client: Client, bodies: Sequence[Body], *, wait_seconds: int = 5
) -> Requests:
    """`POST /referrals`, each under a key of its own."""

    async def ask(entry: Entry, number: int) -> Reply:
        headers = {"Idempotency-Key": entry.id, "Prefer": f"wait={wait_seconds}"}
        return await client.post("/referrals", bodies[number % len(bodies)].json, headers)

    return Requests(journal, name, "transaction", ask, lambda number: bodies[number % len(bodies)].reachable)


def lookups(journal: Journal, name: str, client: Client, searches: Sequence[dict[str, object]]) -> Requests:
    """`GET /pathways`."""

    async def ask(_entry: Entry, number: int) -> Reply:
        return await client.get("/pathways", searches[number % len(searches)])

    return Requests(journal, name, "lookup", ask)


def judge(entry: Entry, reply: Reply) -> None:
    """What the sender knows after a reply."""
    match reply.status:
        case 200:
            entry.fate = "answered"
        case 201:
            answer = from_json(reply.body)
            entry.fate, entry.referral, entry.outcome = "answered", answer["referral_id"], answer["outcome"]
        case 202:
            answer = from_json(reply.body)
            known = answer["referral_id"] is not None
            entry.fate, entry.referral = "taken" if known else "failed", answer["referral_id"] or ""
        case status if 400 <= status < 500:
            entry.fate = "refused"
        case _:
            entry.fate = "failed"


class Events:
    """Submissions told on their topic, in the gateway's place: what is due together is told together."""

    def __init__(
        self, journal: Journal, name: str, publisher: KafkaPublisher, templates: Sequence[EventTemplate]
    ) -> None:
        self._journal = journal
        self._name = name
        self._publisher = publisher
        self._templates = templates
        self._lanes = asyncio.Semaphore(TELLINGS)

    async def send(self, moments: Iterator[float], began: float, stopped: Stopped) -> None:
        """Batches in tasks of their own, a few at a time."""
        under_way: set[asyncio.Task[None]] = set()
        async for together in due(moments, began, EVENTS_AT_ONCE, stopped):
            await self._lanes.acquire()
            task = asyncio.create_task(self._tell(together))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            if len(together) < EVENTS_AT_ONCE:
                await asyncio.sleep(GATHER_SECONDS)
        while under_way:
            await asyncio.gather(*under_way)

    async def ask_again(self) -> None:
        """Nothing: what the log may or may not have is told under an id that nobody else has."""

    async def _tell(self, together: Due) -> None:
        try:
            now = time.time()
            at = datetime.fromtimestamp(now, UTC)
            entries, told = [], []
            for number, moment in together:
                template = self._templates[number % len(self._templates)]
                id, referral, value = material.new_event(template, at)
                entries.append(Entry(self._name, "event", id, moment, template.reachable, referral, now))
                told.append((ReferralSubmitted, referral, value))
            self._journal.sending(entries)
            fate: Fate = "taken"
            error = ""
            try:
                await self._publisher.tell_json(told)
            except Exception as problem:
                if not is_transient(problem):
                    raise
                fate, error = "failed", type(problem).__name__
            ended = time.time()
            for entry in entries:
                entry.fate, entry.error, entry.ended = fate, error, ended
            self._journal.ended(entries)
        finally:
            self._lanes.release()


@asynccontextmanager
async def publisher(target: Target) -> AsyncIterator[KafkaPublisher]:
    """Tells submissions as the gateway does."""
    broker = KafkaBroker(
        target.kafka.bootstrap_servers,
        security=target.kafka.security(),
        enable_idempotence=True,
        acks="all",
        max_batch_size=MAX_BATCH_BYTES,
        allow_auto_create_topics=False,
        logger=None,
    )
    await broker.connect()
    try:
        yield KafkaPublisher("load", broker, target.prefix)
    finally:
        await broker.stop()


def templates(load: Load, seed: int, count: int, target: Target) -> list[EventTemplate]:
    """Events of a stream, but for their ids and times."""
    now = datetime.now(UTC)
    referrer = Referrer(organisation=target.organisation, practitioner="load", role="paramedic")
    return [
        EventTemplate(incident.submission, referrer, target.desk, now)
        for incident in material.incidents(load, seed, count)
    ]


async def slow_reader(client: Client, pause_s: float, stopped: Stopped) -> int:
    """Follow the facts of the feed and take so long over each piece of them. Returns how many bytes came."""
    came = 0
    while not stopped():
        try:
            async with client.stream("/events") as response:
                response.raise_for_status()
                while not stopped():
                    async with asyncio.timeout(1.0):
                        piece = await response.content.read(512)
                    came += len(piece)
                    if not piece:
                        break
                    await asyncio.sleep(pause_s)
        except TimeoutError:
            continue
    return came
