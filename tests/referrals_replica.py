"""A process that serves referrals over HTTP, on a real PostgreSQL, with a log that is as a test says."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis.database import Database
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.referrals.deciding_store import Decisions
from services.referrals.facts import fact_in
from services.referrals.feed import Feed
from services.referrals.finding import Finding
from services.referrals.handlers import decide
from services.referrals.http import routes
from services.referrals.news import News
from services.referrals.service import MIGRATIONS
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals
from tests.recording import RecordingPublisher
from tests.referrals_examples import CLOCKS, REFERRER

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
SETTINGS = ReferralsSettings(arrival_seconds=0.3, feed_chunk=3, feed_poll_seconds=0.05, heartbeat_seconds=0.2)


@dataclass
class Log:
    """How far the group has read, as a test says; asked of what came is `asked`."""

    passed: bool = True
    failure: Exception | None = None
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    on_question: Callable[[], Any] | None = None

    async def end_offset(self, topic: Topic, key: str) -> int:
        """The end, for the question after it."""
        if self.failure is not None:
            raise self.failure
        return 17

    async def has_passed(self, topic: Topic, key: str, end: int) -> bool:
        """Whether the group has passed it."""
        self.asked.append((topic, key, end))
        if self.on_question is not None:
            await self.on_question()
        return self.passed


@dataclass
class Replica:
    """One process that serves referrals."""

    database: Database
    referrals: Referrals
    decisions: Decisions
    news: News
    log: Log
    address: str
    private_key: Path

    async def store(self, events: Sequence[Event], *, quietly: bool = False) -> None:
        """Store events, a topic at a time; quietly as another process would."""
        for event in events:
            await self.store_as_it_came(event.to_json(), event.type, quietly=quietly)

    async def store_as_it_came(self, value: bytes, type: str, *, quietly: bool = False) -> None:
        """Store what stands on the log, whether or not its contract takes it."""
        news = News() if quietly else self.news
        await decide([fact_in(value, type)], referrals=self.referrals, decisions=self.decisions, news=news)

    @asynccontextmanager
    async def client(self, organisation: str = REFERRER) -> AsyncIterator[httpx.AsyncClient]:
        """A client that calls for an organisation."""
        token = sign(
            self.private_key, organisation=organisation, practitioner="P7", role="nurse", now=datetime.now(UTC)
        )
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.address, headers=headers, timeout=30) as client:
            yield client

    async def get(self, path: str, organisation: str = REFERRER, **headers: str) -> httpx.Response:
        """The answer to a GET; headers are named with underscores."""
        async with self.client(organisation) as client:
            return await client.get(path, headers={name.replace("_", "-"): said for name, said in headers.items()})

    async def follow(
        self, count: int, organisation: str = REFERRER, query: str = "", last_event_id: str | None = None
    ) -> list[dict[str, str]]:
        """The first so many blocks of the feed that have data, after which the connection is dropped."""
        async with self.stream(organisation, query, last_event_id) as blocks:
            return [block async for block in first(count, blocks)]

    @asynccontextmanager
    async def stream(
        self, organisation: str = REFERRER, query: str = "", last_event_id: str | None = None
    ) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
        """The blocks of the feed as they come, those without data included."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        async with (
            self.client(organisation) as client,
            client.stream("GET", f"/events{query}", headers=headers) as response,
        ):
            assert 200 == response.status_code
            yield blocks_of(response)

    async def audited(self, action: str) -> list[tuple[str, list[str]]]:
        """Who read what, in order."""
        rows = await self.database.pool.fetch(
            "select organisation, ids from audit where action = $1 order by position", action
        )
        return [(row["organisation"], row["ids"]) for row in rows]


async def blocks_of(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Blocks of a stream of Server-Sent Events, a field each."""
    block: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            block[name] = value
        elif block:
            yield block
            block = {}


async def first(count: int, blocks: AsyncIterator[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
    """The first so many blocks with data."""
    async with asyncio.timeout(60):
        while count:
            block = await anext(blocks)
            if "data" in block:
                count -= 1
                yield block


@asynccontextmanager
async def serving(database: str, keys_folder: Path) -> AsyncIterator[Replica]:
    """A replica, over real HTTP. In the folder are the keys of callers, or they are made."""
    signing, public = make_keys(keys_folder)
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url=database, keys_file=public)
    own = Database(settings, "referrals", *MIGRATIONS)
    own.migrate()
    await own.start()
    referrals, news, log = Referrals(own, lambda: NOW, CLOCKS), News(), Log()
    service = Service("referrals", settings, database=own)
    finding = Finding(referrals, own, log, news, SETTINGS)
    service.serves(routes(referrals, Feed(referrals, own, news, SETTINGS), finding, lambda: NOW))
    app = create_app([service], Verifier.from_file(public))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5, http="httptools")
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield Replica(
            own,
            referrals,
            Decisions(own, lambda: NOW, CLOCKS, Outbox(own, RecordingPublisher())),  # type: ignore[arg-type]
            news,
            log,
            f"http://127.0.0.1:{listener.getsockname()[1]}",
            signing,
        )
        server.should_exit = True
        await serving
    await own.stop()
