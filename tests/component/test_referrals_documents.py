"""Documents on a referral over real HTTP, on a real PostgreSQL: attached once, read by the two desks alone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn

from services.chassis.database import Database
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.referrals.deciding_store import Decisions
from services.referrals.documents import MEDIA_TYPES
from services.referrals.documents_http import document_routes
from services.referrals.documents_store import Documents
from services.referrals.facts import fact_in
from services.referrals.finding import Finding
from services.referrals.handlers import decide
from services.referrals.news import News
from services.referrals.objects import PIECE_BYTES, PostgresObjects
from services.referrals.service import MIGRATIONS
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals
from tests.document_examples import PDF, PNG, TEXT, WHOLE
from tests.recording import RecordingPublisher
from tests.referrals_examples import CLOCKS, RECEIVER, REFERRER, STRANGER, placed

pytestmark = pytest.mark.backing

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
MOST_BYTES = 3 * PIECE_BYTES
MOST = 3
LEFT_AFTER = timedelta(minutes=60)


class AllRead:
    """A log of which all is read."""

    async def end_offset(self, *_: Any) -> int:
        """Its end."""
        return 0

    async def has_passed(self, *_: Any) -> bool:
        """Whether it is read."""
        return True


@dataclass
class Replica:
    """One process that serves documents, with a referral that is placed."""

    database: Database
    documents: Documents
    address: str
    private_key: Path
    referral: UUID
    now: datetime = NOW

    @property
    def path(self) -> str:
        """Where the referral's documents are."""
        return f"/referrals/{self.referral}/documents"

    def headers(self, organisation: str) -> dict[str, str]:
        """Who asks."""
        token = sign(
            self.private_key, organisation=organisation, practitioner="P7", role="nurse", now=datetime.now(UTC)
        )
        return {"Authorization": f"Bearer {token}"}

    async def attach(
        self,
        content: Any,
        media_type: str = "application/pdf",
        *,
        key: UUID | None = None,
        title: str = "Letter",
        organisation: str = RECEIVER,
        path: str | None = None,
        query: str = "?kind=discharge-summary",
    ) -> httpx.Response:
        """Attach a document."""
        headers = {"Content-Type": media_type, "Idempotency-Key": str(key or uuid4()), "Document-Title": title}
        async with httpx.AsyncClient(base_url=self.address, headers=self.headers(organisation), timeout=30) as client:
            return await client.post(f"{path or self.path}{query}", content=content, headers=headers)

    async def get(self, path: str, organisation: str = REFERRER) -> httpx.Response:
        """The answer to a GET."""
        async with httpx.AsyncClient(base_url=self.address, headers=self.headers(organisation), timeout=30) as client:
            return await client.get(path)

    async def kept(self) -> tuple[int, int, int, int]:
        """How many uploads, pieces, documents and facts of documents there are."""
        row = await self.database.pool.fetchrow(
            """select (select count(*) from uploads), (select count(distinct object_id) from pieces),
                (select count(*) from documents),
                (select count(*) from facts where type = 'referral.document-attached')"""
        )
        assert row is not None
        return tuple(row)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def replica(database: str, keys: tuple[Path, Path]) -> AsyncIterator[Replica]:
    """A process that serves documents, over real HTTP."""
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url=database, keys_file=keys[1], pool_size=8)
    own = Database(settings, "referrals", *MIGRATIONS)
    own.migrate()
    await own.start()
    referral, times = uuid4(), [NOW]
    referrals = Referrals(own, lambda: times[0], CLOCKS)
    decisions = Decisions(own, lambda: times[0], CLOCKS, Outbox(own, RecordingPublisher()))  # type: ignore[arg-type]
    facts = [fact_in(event.to_json(), event.type) for event in placed(referral)[:4]]
    await decide(facts, referrals=referrals, decisions=decisions, news=News())
    documents = Documents(own, PostgresObjects(own), decisions, lambda: times[0], most=MOST, left_after=LEFT_AFTER)
    finding = Finding(referrals, own, AllRead(), News(), ReferralsSettings())
    service = Service("referrals", settings, database=own)
    service.serves(document_routes(documents, finding, News(), most_bytes=MOST_BYTES))
    app = create_app([service], Verifier.from_file(keys[1]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5, http="httptools")
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        replica = Replica(own, documents, address, keys[0], referral)
        replica.times = times  # type: ignore[attr-defined]
        yield replica
        server.should_exit = True
        await serving
    await own.stop()


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
async def test_what_is_attached_by_one_desk_is_read_by_both(replica: Replica, media_type: Any) -> None:
    """Byte for byte, with its sum; to be saved under a name that nobody wrote, and never guessed at or run."""
    content = WHOLE[media_type]
    attached = await replica.attach(content, media_type, title="Entlassung%20%C3%BC")
    document = attached.json()
    assert (201, "discharge-summary", "Entlassung ü", RECEIVER, sha256(content).hexdigest()) == (
        attached.status_code,
        document["kind"],
        document["title"],
        document["by"],
        document["sha256"],
    )
    for organisation in (REFERRER, RECEIVER):
        read = await replica.get(attached.headers["location"], organisation)
        assert (200, content, "nosniff", "private, no-store") == (
            read.status_code,
            read.content,
            read.headers["x-content-type-options"],
            read.headers["cache-control"],
        )
        disposition = read.headers["content-disposition"]
        assert disposition.startswith(f'attachment; filename="{document["document_id"]}.')
        assert media_type == read.headers["content-type"].partition(";")[0]
        assert [document] == (await replica.get(replica.path, organisation)).json()["documents"]


async def test_the_other_desk_is_told_in_the_same_transaction(replica: Replica) -> None:
    """The fact is in both feeds and in the outbox; it names the document and holds none of it."""
    document = (await replica.attach(PDF)).json()
    fact, told = await replica.database.pool.fetchrow(
        """select f.body, o.body from facts f join outbox o on o.event_id = f.event_id
        where f.type = 'referral.document-attached' and f.referrer = $1 and f.receiver = $2""",
        REFERRER,
        RECEIVER,
    )
    assert fact == told
    assert document["document_id"] in fact
    assert "%PDF" not in fact


async def test_a_stranger_attaches_and_reads_nothing(replica: Replica) -> None:
    """As of a referral that is not there; nor is a document of one referral read as one of another."""
    location = (await replica.attach(PDF)).headers["location"]
    answers = [
        await replica.attach(PDF, organisation=STRANGER),
        await replica.get(location, STRANGER),
        await replica.get(replica.path, STRANGER),
        await replica.attach(PDF, path=f"/referrals/{uuid4()}/documents"),
        await replica.get(f"{replica.path}/{uuid4()}"),
    ]
    assert [404] * 5 == [answer.status_code for answer in answers]
    assert (1, 1, 1, 1) == await replica.kept()


async def test_each_read_leaves_an_audit_row(replica: Replica) -> None:
    """Who read which document of which referral, before it is sent."""
    attached = await replica.attach(PDF)
    await replica.get(attached.headers["location"])
    rows = await replica.database.pool.fetch("select organisation, ids from audit where action = 'read document'")
    assert [(REFERRER, [str(replica.referral), attached.json()["document_id"]])] == [tuple(row) for row in rows]


async def test_a_key_attaches_once_however_often_and_however_fast(replica: Replica) -> None:
    """A retry, and many at the same time, are answered with the first; another content under the key is refused."""
    key = uuid4()
    answers = await asyncio.gather(*(replica.attach(PDF, key=key) for _ in range(6)))
    answers.append(await replica.attach(PDF, key=key))
    others = [
        await replica.attach(PNG, "image/png", key=key),
        await replica.attach(PDF, key=key, title="Another"),
        await replica.attach(PDF, key=key, query=""),
    ]
    assert 1 == len({(answer.status_code, answer.text) for answer in answers})
    assert [409] * 3 == [answer.status_code for answer in others]
    assert (1, 1, 1, 1) == await replica.kept()


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (PNG, "application/pdf", 422),
        (PDF[:40], "application/pdf", 422),
        (b"MZ\x90\x00" * 100, "application/pdf", 422),
        (b"Caf\xe9", "text/plain", 422),
        (b"", "text/plain", 422),
        (PDF, "text/html", 415),
        (PDF + b" " * MOST_BYTES, "application/pdf", 413),
    ],
)
async def test_what_is_not_what_it_says_is_refused_and_nothing_is_kept(
    replica: Replica, content: bytes, media_type: str, status: int
) -> None:
    """With a sentence that explains; neither a row nor a byte stays."""

    async def in_parts() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]

    whole, in_pieces = await replica.attach(content, media_type), await replica.attach(in_parts(), media_type)
    assert (status, status) == (whole.status_code, in_pieces.status_code)
    assert whole.json()["detail"]
    assert (0, 0, 0, 0) == await replica.kept()


@pytest.mark.parametrize("title", ["", "x" * 201, "%FF", "%00"])
async def test_a_title_is_needed(replica: Replica, title: str) -> None:
    """One that can be read."""
    assert 422 == (await replica.attach(PDF, title=title)).status_code


async def test_a_referral_has_so_many_documents(replica: Replica) -> None:
    """One more is refused, also where several come at once; nothing of it is kept."""
    answers = await asyncio.gather(*(replica.attach(PDF) for _ in range(MOST + 3)))
    assert [201] * MOST + [409] * 3 == sorted(answer.status_code for answer in answers)
    assert (MOST, MOST, MOST, MOST) == await replica.kept()


async def test_a_sender_that_is_cut_off_leaves_nothing(replica: Replica) -> None:
    """The connection ends before the body: what came is dropped."""

    async def cut() -> AsyncIterator[bytes]:
        yield TEXT * 8_000
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        await replica.attach(cut(), "text/plain")
    async with asyncio.timeout(30):
        while await replica.kept() != (0, 0, 0, 0):
            await asyncio.sleep(0.02)


async def test_what_is_left_is_cleared_away_and_nothing_else(replica: Replica) -> None:
    """An upload whose process died goes after its time; one that somebody goes on with, and documents, stay."""
    times: list[datetime] = replica.times  # type: ignore[attr-defined]
    await replica.attach(PDF)
    left, at_work = await replica.documents.begin(), await replica.documents.begin()
    await replica.documents.write(left, 0, b"x")
    times[0] = NOW + LEFT_AFTER
    await replica.documents.write(at_work, 0, b"x")
    assert 0 == await replica.documents.clear()
    times[0] += timedelta(minutes=1)
    assert 1 == await replica.documents.clear()
    assert (2, 2, 1, 1) == await replica.kept()
    rows = await replica.database.pool.fetch("select id from uploads where state = 'open'")
    assert [at_work] == [row["id"] for row in rows]
