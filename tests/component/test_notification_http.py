"""`GET /messages/{id}`: who may read what was told, and that each read leaves its row. On a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chassis.database import Database
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.notification.http import routes
from services.notification.messages import messages_of
from services.notification.service import MIGRATIONS
from services.notification.store import Messages
from tests.notification_examples import BY_TEXT, MOBILE, NHS_NUMBER, NOON, OWNER, RECEIVER, REFERRER, an_id, confirmed

pytestmark = pytest.mark.backing

TO_SERVICE, TO_OWNER, TO_PATIENT = messages_of(confirmed(BY_TEXT))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def own(database: str, keys: tuple[Path, Path]) -> AsyncIterator[Database]:
    """The service's database with the three messages of one booking."""
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url=database, keys_file=keys[1])
    own = Database(settings, "notification", *MIGRATIONS)
    own.migrate()
    await own.start()
    await Messages(own, largest=1000).add([TO_SERVICE, TO_OWNER, TO_PATIENT], NOON)
    yield own
    await own.stop()


@pytest.fixture
async def client(own: Database, keys: tuple[Path, Path]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the process that serves the messages."""
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url="", keys_file=keys[1])
    service = Service("notification", settings, database=own)
    service.serves(routes(Messages(own, largest=1000), own))
    transport = httpx.ASGITransport(create_app([service], Verifier.from_file(keys[1])), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://onward") as client:
        yield client


@pytest.fixture
def of(keys: tuple[Path, Path]) -> Callable[[str], dict[str, str]]:
    """The headers of a caller of an organisation."""

    def headers(organisation: str) -> dict[str, str]:
        token = sign(keys[0], organisation=organisation, practitioner="P7", role="coordinator", now=datetime.now(UTC))
        return {"Authorization": f"Bearer {token}"}

    return headers


Of = Callable[[str], dict[str, str]]


async def test_the_recipient_reads_what_it_was_told(client: httpx.AsyncClient, of: Of) -> None:
    """The receiving organisation reads its message, in the words in which it was told, and how far it got."""
    answer = await client.get(f"/messages/{TO_SERVICE.id}", headers=of(RECEIVER))
    expected: dict[str, Any] = {
        "id": str(TO_SERVICE.id),
        "referral": TO_SERVICE.referral,
        "placement": str(TO_SERVICE.placement),
        "reason": "booking.confirmed",
        "audience": "service",
        "organisation": RECEIVER,
        "channel": "system",
        "template": "service.slot-held.v1",
        "text": TO_SERVICE.text,
        "made_at": "2026-06-03T12:00:00Z",
        "state": "due",
        "settled_at": None,
        "why": None,
    }
    assert (200, expected) == (answer.status_code, answer.json())


@pytest.mark.parametrize("message", [TO_SERVICE, TO_OWNER, TO_PATIENT], ids=lambda message: message.audience)
async def test_the_referrer_reads_all_messages_of_its_referral(client: httpx.AsyncClient, of: Of, message: Any) -> None:
    """Who referred sees whether everyone was told."""
    answer = await client.get(f"/messages/{message.id}", headers=of(REFERRER))
    assert (200, message.text) == (answer.status_code, answer.json()["text"])


@pytest.mark.parametrize(
    ("organisation", "message"),
    [(RECEIVER, TO_PATIENT), (RECEIVER, TO_OWNER), (OWNER.organisation, TO_PATIENT), ("STRANGE1", TO_SERVICE)],
    ids=["receiver, patient's", "receiver, owner's", "owner, patient's", "stranger, service's"],
)
async def test_for_all_others_a_message_does_not_exist(
    client: httpx.AsyncClient, own: Database, of: Of, organisation: str, message: Any
) -> None:
    """Another's message answers as one that never was, and no read is written down."""
    another = await client.get(f"/messages/{message.id}", headers=of(organisation))
    never = await client.get(f"/messages/{an_id('never')}", headers=of(organisation))
    assert (404, 404, never.json()) == (another.status_code, never.status_code, another.json())
    assert 0 == await own.pool.fetchval("select count(*) from audit")


async def test_a_read_of_the_patients_message_shows_no_number(client: httpx.AsyncClient, of: Of) -> None:
    """Neither NHS number nor address is in the answer."""
    answer = await client.get(f"/messages/{TO_PATIENT.id}", headers=of(REFERRER))
    assert (200, []) == (answer.status_code, [private for private in (MOBILE, NHS_NUMBER) if private in answer.text])


async def test_each_read_leaves_a_row(client: httpx.AsyncClient, own: Database, of: Of) -> None:
    """Who read which message is written down."""
    await client.get(f"/messages/{TO_PATIENT.id}", headers=of(REFERRER))
    row = await own.pool.fetchrow("select organisation, practitioner, role, action, ids from audit")
    assert (REFERRER, "P7", "coordinator", "read message", [str(TO_PATIENT.id)]) == tuple(row)


async def test_without_its_row_a_read_is_not_answered(client: httpx.AsyncClient, own: Database, of: Of) -> None:
    """When the audit cannot be written nothing of the message is said."""
    await own.pool.execute("drop table audit")
    answer = await client.get(f"/messages/{TO_PATIENT.id}", headers=of(REFERRER))
    assert (500, False) == (answer.status_code, TO_PATIENT.text in answer.text)


async def test_without_a_token_nothing_is_answered(client: httpx.AsyncClient) -> None:
    """An unknown caller gets 401, whatever the id."""
    assert 401 == (await client.get(f"/messages/{TO_PATIENT.id}")).status_code
