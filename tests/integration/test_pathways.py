"""Pathways on a real Kafka and PostgreSQL: the directory through the topics, and placements out of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.directory import Service
from contracts.envelope import Event
from contracts.placements import BookingRequested
from contracts.topics import PARTITIONS, Topic
from contracts.triage import ReferralTriaged
from services.chassis import service as hosting
from services.chassis import topics
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.pathways.directory_file import Directory
from services.pathways.service import build
from tests.pathways_examples import COMMUNITY, STROKE, brief, further, reported, service, triaged

pytestmark = pytest.mark.backing

EMPTY = "the directory is empty: load one with onward directory load FILE"


@dataclass
class Replica:
    """One process of pathways."""

    service: hosting.Service
    client: httpx.AsyncClient
    token: str

    async def load(self, *services: Service, delist_missing: bool = False) -> None:
        """Load these services over HTTP."""
        answer = await self.client.post(
            "/services/import",
            content=Directory(services=services).model_dump_json(),
            params={"delist_missing": delist_missing},
            headers={"authorization": f"Bearer {self.token}", "content-type": "application/json"},
        )
        assert 200 == answer.status_code

    async def once_ready(self) -> None:
        """Return once nothing speaks against it."""
        async with asyncio.timeout(30):
            while self.service.not_ready():
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop the process, unless it is stopped."""
        if not self.client.is_closed:
            await self.client.aclose()
            await self.service.stop()


Start = Callable[[], Awaitable[Replica]]


@pytest.fixture
async def start(kafka: Kafka, prefix: str, database: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a replica on this test's topics and database."""
    signing, public = make_keys(tmp_path)
    settings = Settings(kafka=kafka, database_url=database, keys_file=public, topic_prefix=prefix)
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    await topics.apply(admin, topics.declared(prefix))
    await admin.close()
    token = sign(signing, organisation="ONW01", practitioner="editor-1", role="directory-editor", now=datetime.now(UTC))
    started: list[Replica] = []

    async def start() -> Replica:
        pathways = build(settings, {})
        for one in pathways.databases:
            await asyncio.to_thread(one.migrate)
        await pathways.start()
        app = create_app([pathways], Verifier.from_file(public))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pathways")
        started.append(Replica(pathways, client, token))
        return started[-1]

    yield start
    for replica in started:
        await replica.stop()


@pytest.fixture
async def placements(kafka: Kafka, prefix: str, start: Start) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads the topic of placements from its beginning."""
    consumer = AIOKafkaConsumer(**kafka.client())
    await consumer.start()
    partitions = [TopicPartition(f"{prefix}{Topic.PLACEMENTS}", number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    yield consumer
    await consumer.stop()


async def asked_for(placements: AIOKafkaConsumer, cause: Event) -> list[str]:
    """The candidates' ids of the placement that an event caused."""
    async with asyncio.timeout(30):
        while True:
            for records in (await placements.getmany(timeout_ms=200)).values():
                for record in records:
                    request = BookingRequested.read(record.value)
                    if request.causationid == cause.id:
                        assert cause.partitionkey.encode() == record.key
                        return [candidate.service_id for candidate in request.data.candidates]


async def test_ready_once_a_directory_is_loaded(start: Start) -> None:
    """With an empty directory it is not ready, and says what to do; it takes a directory all the same."""
    replica = await start()
    assert [EMPTY] == replica.service.not_ready()
    await replica.load(service("S1"))
    await replica.once_ready()


async def test_a_triaged_referral_becomes_a_placement(start: Start, placements: AIOKafkaConsumer) -> None:
    """What was loaded over HTTP is ranked, through outbox, topic and index."""
    replica = await start()
    await replica.load(service("NEAR", km=1), service("FAR", km=9), service("OTHER", COMMUNITY))
    await replica.once_ready()
    event = triaged(brief(STROKE))
    await replica.service.publisher.tell([event])
    assert ["NEAR", "FAR"] == await asked_for(placements, event)


async def test_a_further_placement_leaves_out_who_is_not_asked_again(
    start: Start, placements: AIOKafkaConsumer
) -> None:
    """It is asked for on the topic of referrals, and told as the first is."""
    replica = await start()
    await replica.load(service("NEAR", km=1), service("FAR", km=9))
    await replica.once_ready()
    event = further(brief(STROKE), without=("NEAR",))
    await replica.service.publisher.tell([event])
    assert ["FAR"] == await asked_for(placements, event)


async def test_a_new_replica_knows_the_directory_before_it_reads(
    start: Start, placements: AIOKafkaConsumer, kafka: Kafka, prefix: str
) -> None:
    """After a restart what waited meanwhile is ranked by the newest versions: moved, delisted, red."""
    first = await start()
    await first.load(service("GONE", km=1), service("RED", km=2), service("MOVED", km=3), service("S4", km=4))
    await first.once_ready()
    await first.load(service("RED", km=2), service("MOVED", km=5), service("S4", km=4), delist_missing=True)
    await first.service.publisher.tell([reported("RED", "red")])
    async with asyncio.timeout(60):
        candidates: list[str] = []
        while candidates != ["S4", "MOVED"]:  # until it has read its own topics to their ends
            event = triaged(brief(STROKE))
            await first.service.publisher.tell([event])
            candidates = await asked_for(placements, event)
    await first.stop()
    waiting = triaged(brief(STROKE))
    async with AIOKafkaProducer(**kafka.client()) as producer:
        await producer.send_and_wait(
            f"{prefix}{Topic.TRIAGE}",
            waiting.to_json(),
            key=waiting.partitionkey.encode(),
            headers=[("type", ReferralTriaged.TYPE.encode())],
        )
    second = await start()
    assert [] == second.service.not_ready()
    assert ["S4", "MOVED"] == await asked_for(placements, waiting)
