"""Pathways' tables and routes on a real PostgreSQL, with a publisher that only records."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from contracts.directory import Service, ServiceListed
from contracts.people import Desk
from services.chassis.database import AUDIT, OUTBOX, Database
from services.chassis.identity import Caller, Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.service import Service as Hosted
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.pathways import capacity_http, places_http
from services.pathways.capacity_store import CapacityReports
from services.pathways.directory_file import write_rows
from services.pathways.http import routes
from services.pathways.postcodes import Postcodes
from services.pathways.service import MIGRATIONS
from services.pathways.store import Listings
from tests.pathways_examples import NOON
from tests.recording import RecordingPublisher

EDITOR = Caller("ONW01", "editor-1", "directory-editor")


@dataclass
class Pathways:
    """Pathways without Kafka, as far as these tests need it."""

    database: Database
    outbox: Outbox
    publisher: RecordingPublisher
    listings: Listings
    client: httpx.AsyncClient
    signing: Path
    now: datetime = NOON
    """The time, which tests set."""

    async def load(self, *services: Service, desks: tuple[Desk, ...] = (), **options: Any) -> dict[str, Any]:
        """What the store answers."""
        with tempfile.TemporaryFile() as rows:
            write_rows((*services, *desks), rows)
            return (await self.listings.load(rows, by=EDITOR, **options)).model_dump()

    async def told(self) -> list[Any]:
        """Everything that was told, in order, once the outbox is empty."""
        draining = asyncio.create_task(self.outbox.drain())
        try:
            async with asyncio.timeout(10):
                while await self.database.pool.fetchval("select count(*) from outbox"):
                    await asyncio.sleep(0.01)
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
        return self.publisher.told

    async def listed(self) -> list[tuple[str, int, bool]]:
        """Id, version and whether it is active, of each service that was told, in order."""
        told = [event.data for event in await self.told() if isinstance(event, ServiceListed)]
        return [(data.service.service_id, data.version, data.service.active) for data in told]

    async def post(self, body: bytes, *, role: str = EDITOR.role, **query: str) -> httpx.Response:
        """Post a document."""
        headers = self.token(role) | {"content-type": "application/json"}
        return await self.client.post("/services/import", content=body, params=query, headers=headers)

    def token(self, role: str, organisation: str = "ONW01") -> dict[str, str]:
        """The header of a caller of this role."""
        token = sign(self.signing, organisation=organisation, practitioner="editor-1", role=role, now=datetime.now(UTC))
        return {"authorization": f"Bearer {token}"}

    async def audited(self) -> list[tuple[str, str, set[str]]]:
        """Who did what to which, in order."""
        rows = await self.database.pool.fetch("select practitioner, action, ids from audit order by position")
        return [(row["practitioner"], row["action"], set(row["ids"])) for row in rows]


@asynccontextmanager
async def running(database: str, folder: Path) -> AsyncIterator[Pathways]:
    """Pathways on this database, with keys in this folder."""
    signing, public = make_keys(folder)
    settings = Settings(kafka=Kafka("127.0.0.1:1"), database_url=database, keys_file=public)
    store = Database(settings, "pathways", MIGRATIONS, OUTBOX, AUDIT)
    store.migrate()
    await store.start()
    publisher = RecordingPublisher()
    outbox = Outbox(store, publisher)  # type: ignore[arg-type]

    def clock() -> datetime:
        return one.now

    listings = Listings(store, outbox, clock=clock, new_id=uuid4)
    hosted = Hosted("pathways", settings, database=store)
    hosted.serves(routes(listings))
    hosted.serves(capacity_http.routes(CapacityReports(store, outbox, clock=clock, new_id=uuid4)))
    hosted.serves(places_http.routes(Postcodes(store)))
    app = create_app([hosted], Verifier.from_file(public))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pathways") as client:
        one = Pathways(store, outbox, publisher, listings, client, signing)
        yield one
    await store.stop()
