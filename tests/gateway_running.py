"""The gateway on a real PostgreSQL, with a publisher that records, as component tests ask it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import FastAPI

from contracts.envelope import Event
from contracts.people import Desk
from services.chassis.database import Database
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.gateway import decided, outcomes
from services.gateway.action_http import action_routes
from services.gateway.admission import Admission
from services.gateway.desks import Desks
from services.gateway.handlers import Transaction, remember, telling
from services.gateway.http import routes
from services.gateway.service import MIGRATIONS
from services.gateway.settings import GatewaySettings
from services.gateway.store import Attempts, Kind
from services.gateway.waiters import Answering, Waiters
from tests.gateway_examples import DESK, admitting, listed, submission
from tests.recording import RecordingPublisher


@dataclass
class Replica:
    """One gateway process, as far as a test needs it."""

    database: Database
    attempts: Attempts
    waiters: Waiters
    """Of submissions."""
    action_waiters: Waiters
    admission: Admission
    """Of submissions."""
    action_admission: Admission
    publisher: RecordingPublisher
    desks: Desks
    app: FastAPI
    client: httpx.AsyncClient
    token: Callable[..., str]
    clock: Callable[[], datetime]

    async def refer(
        self, body: Any = None, *, key: UUID | str | None = None, organisation: str = "RX9", **headers: str
    ) -> httpx.Response:
        """Post a submission; headers are named with underscores."""
        return await self._post("/referrals", submission() if body is None else body, key, organisation, headers)

    async def act(
        self,
        referral: UUID,
        body: Any,
        *,
        key: UUID | str | None = None,
        organisation: str = "RX8",
        **headers: str,
    ) -> httpx.Response:
        """Post an action of a receiving service; headers are named with underscores."""
        return await self._post(f"/referrals/{referral}/actions", body, key, organisation, headers)

    async def _post(
        self, path: str, body: Any, key: UUID | str | None, organisation: str, headers: dict[str, str]
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token(organisation)}", "idempotency-key": str(key or uuid4())}
        sent |= {"content-type": "application/json"} | {name.replace("_", "-"): said for name, said in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(
            path, content=content, headers={name: said for name, said in sent.items() if said}
        )

    async def attempt(self, key: UUID, *, organisation: str = "RX9") -> httpx.Response:
        """Ask what came of an attempt by its key."""
        return await self.client.get(
            f"/attempts/{key}", headers={"authorization": f"Bearer {self.token(organisation)}"}
        )

    async def told(self, count: int = 1) -> list[Event]:
        """What was told, once it is so many events."""
        async with asyncio.timeout(10):
            while len(self.publisher.told) < count:
                await asyncio.sleep(0.001)
        return self.publisher.told

    async def rows(self) -> list[asyncpg.Record]:
        """Every attempt."""
        return await self.database.pool.fetch("select * from attempts order by received_at, event_id")

    async def remember(self, *facts: Any) -> None:
        """What the group of `bookings` does with outcomes."""
        await self._remember(facts, "submission", outcomes.answered, self.admission)

    async def remember_decided(self, *facts: Any) -> None:
        """What the group of `referrals` does with what was decided."""
        await self._remember(facts, "action", decided.answered, self.action_admission)

    async def _remember(self, facts: Sequence[Any], kind: Kind, answering: Answering, admission: Admission) -> None:
        await remember(
            facts,
            attempts=self.attempts,
            kind=kind,
            answering=answering,
            outstanding=admission.outstanding,
            clock=self.clock,
        )


Start = Callable[..., Awaitable[Replica]]


@asynccontextmanager
async def starting(database: str, keys_folder: Path, *, clock: Callable[[], datetime]) -> AsyncIterator[Start]:
    """What starts replicas on a database; all are stopped in the end."""
    private, public = make_keys(keys_folder)
    started: list[Replica] = []

    async def start(
        *, desks: Sequence[Desk] = (DESK,), desks_known: bool = True, publisher: Any = None, **own: Any
    ) -> Replica:
        settings = Settings(kafka=Kafka("127.0.0.1:1"), database_url=database, keys_file=public)
        gateway = GatewaySettings(**own)
        store = Database(settings, "gateway", MIGRATIONS)
        store.migrate()
        await store.start()
        attempts = Attempts(store, seconds=gateway.store_seconds)
        waiters = Waiters(gateway.waiters, outcomes.answered)
        action_waiters = Waiters(gateway.waiters, decided.answered)
        admission, action_admission = admitting(**own), admitting(**own)
        known = Desks()
        known.learn([listed(desk) for desk in desks])
        recording = publisher or RecordingPublisher()
        service = Service("gateway", settings, database=store)
        told = telling(recording)
        for serve, transaction in (
            (routes, Transaction(attempts, waiters, told, admission)),
            (action_routes, Transaction(attempts, action_waiters, told, action_admission)),
        ):
            service.serves(
                serve(
                    transaction,
                    settings=gateway,
                    desks=known,
                    desks_known=lambda: desks_known,
                    clock=clock,
                    new_id=uuid4,
                )
            )
        app = create_app([service], Verifier.from_file(public))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")

        @cache
        def token(organisation: str) -> str:
            return sign(
                private, organisation=organisation, practitioner="crew-7", role="paramedic", now=datetime.now(UTC)
            )

        started.append(
            Replica(
                database=store,
                attempts=attempts,
                waiters=waiters,
                action_waiters=action_waiters,
                admission=admission,
                action_admission=action_admission,
                publisher=recording,
                desks=known,
                app=app,
                client=client,
                token=token,
                clock=clock,
            )
        )
        return started[-1]

    yield start
    for replica in started:
        await replica.client.aclose()
        await replica.database.stop()
