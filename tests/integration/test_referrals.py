"""Referrals on a real Kafka and PostgreSQL: facts off the log, and reads that follow them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from contracts.actions import Accept
from contracts.referrals import ReferralAccepted, ReferralEscalated
from contracts.submissions import ReferralSubmitted
from contracts.topics import Topic
from services.chassis import topics
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.referrals.service import build
from tests.referrals_examples import RECEIVER, REFERRER, asks, placed, submitted, unplaced

pytestmark = pytest.mark.backing

Get = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def settings(kafka: Kafka, prefix: str, database: str, keys: tuple[Path, Path]) -> Settings:
    """Surroundings of a process, with every topic made."""
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    await topics.apply(admin, topics.declared(prefix))
    await admin.close()
    return Settings(kafka=kafka, database_url=database, keys_file=keys[1], topic_prefix=prefix)


@pytest.fixture
async def referrals(settings: Settings) -> AsyncIterator[Service]:
    """The service as its process hosts it, on this test's topics and database."""
    service = build(settings, {})
    for one in service.databases:
        await asyncio.to_thread(one.migrate)
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def get(referrals: Service, settings: Settings, keys: tuple[Path, Path]) -> AsyncIterator[Get]:
    """Ask the service for a referral, by default for the referring organisation."""
    transport = httpx.ASGITransport(create_app([referrals], Verifier.from_file(settings.keys_file)))
    async with httpx.AsyncClient(transport=transport, base_url="http://onward") as client:

        async def ask(referral: UUID | str, organisation: str = REFERRER) -> httpx.Response:
            token = sign(keys[0], organisation=organisation, practitioner="P7", role="nurse", now=datetime.now(UTC))
            return await client.get(f"/referrals/{referral}", headers={"Authorization": f"Bearer {token}"})

        yield ask


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a fact, at most a minute."""
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_a_read_right_after_the_submission_is_on_the_log_finds_it(referrals: Service, get: Get) -> None:
    """Whoever was answered that the submission is on the log reads the referral at once, every time."""
    for _ in range(25):
        referral = uuid4()
        await referrals.publisher.tell([submitted(referral)])
        assert 200 == (await get(referral)).status_code


async def test_an_id_that_was_never_sent_is_not_found(referrals: Service, get: Get) -> None:
    """Once the group has read what was there at the request, an id that it lacks is denied."""
    for _ in range(30):
        await referrals.publisher.tell([submitted(uuid4())])
    assert {404} == {(await get(uuid4())).status_code for _ in range(30)}


async def test_another_organisations_referral_is_not_found(referrals: Service, get: Get) -> None:
    """A referral that is stored is not there for those who are not on it."""
    referral = uuid4()
    await referrals.publisher.tell([submitted(referral)])
    await get(referral)
    assert 404 == (await get(referral, RECEIVER)).status_code


async def test_what_is_sent_and_not_stored_is_not_denied(referrals: Service, get: Get) -> None:
    """While the service cannot store, a referral on the log is neither found nor denied; then it is found."""
    referral = uuid4()
    async with referrals.databases[0].pool.acquire() as connection, connection.transaction():
        await connection.execute("set local idle_in_transaction_session_timeout = 0")
        await connection.execute("select last from feed for update")
        await referrals.publisher.tell([submitted(referral)])
        held_up = await get(referral)

    async def found() -> bool:
        return (await get(referral)).status_code == 200

    assert 503 == held_up.status_code
    await until(found)


async def test_facts_of_every_topic_are_stored_once_though_the_log_holds_them_twice(referrals: Service) -> None:
    """Each topic is read in its own group; a record that the log holds again makes no second row and no gap."""
    first = [fact for _ in range(20) for fact in placed(uuid4())]
    second = [fact for _ in range(5) for fact in unplaced(uuid4())]
    pool = referrals.databases[0].pool

    async def second_is_stored() -> bool:
        ids = [fact.id for fact in second]
        return len(ids) == await pool.fetchval("select count(position) from facts where event_id = any($1)", ids)

    await referrals.publisher.tell(first)
    await referrals.publisher.tell(first + second)
    await until(second_is_stored)
    rows = await pool.fetch("select state, count(*) as count from referrals group by state")
    assert {"placed": 20, "unplaced": 5} == {row["state"]: row["count"] for row in rows}
    positions = await pool.fetch("select position from facts order by position")
    assert [*range(1, len(first) + len(second) + 1)] == [row["position"] for row in positions]


async def test_a_time_is_passed_once_all_that_was_told_before_it_is_stored(referrals: Service) -> None:
    """While a fact on the log is not stored, no due time after it counts; one before it does."""
    before = datetime.now(UTC)
    await referrals.publisher.tell(placed(uuid4()))

    async def all_is_read() -> bool:
        return await referrals.has_read_until(datetime.now(UTC) + timedelta(seconds=1))

    await until(all_is_read)
    async with referrals.databases[0].pool.acquire() as connection, connection.transaction():
        await connection.execute("set local idle_in_transaction_session_timeout = 0")
        await connection.execute("select last from feed for update")
        between = datetime.now(UTC) + timedelta(milliseconds=1)
        await asyncio.sleep(0.002)  # the log's clock counts whole milliseconds
        await referrals.publisher.tell([submitted(uuid4())])
        after = datetime.now(UTC) + timedelta(seconds=1)
        passed = [await referrals.has_read_until(at) for at in (before, between, after)]
    assert [True, True, False] == passed
    await until(all_is_read)


async def test_what_nobody_did_in_time_is_told(referrals: Service) -> None:
    """The process finds by itself what was due, and tells it on its topic."""
    referral = uuid4()
    told = AIOKafkaConsumer(
        "".join((referrals.settings.topic_prefix, "referrals")), **referrals.settings.kafka.client()
    )
    first = placed(referral)[0]
    assert isinstance(first, ReferralSubmitted)
    overdue = first.data.model_copy(update={"answer_by": datetime.now(UTC) - timedelta(minutes=1)})
    await told.start()
    try:
        await told.seek_to_beginning()
        await referrals.publisher.tell(
            [ReferralSubmitted.first(overdue, id=first.id, source=first.source, subject=first.subject, time=first.time)]
        )
        async with asyncio.timeout(60):
            record = await told.getone()
    finally:
        await told.stop()
    event = ReferralEscalated.read(record.value)
    assert (str(referral), "placement", "submitted") == (event.subject, event.data.missed, event.data.standing.state)


async def test_an_action_is_answered_once_however_often_the_log_holds_it(referrals: Service) -> None:
    """An action beside its confirmation on another topic, and once more: one answer, with its standing."""
    referral = uuid4()
    *flow, outcome = placed(referral)[:4]
    accept = asks(referral, Accept(action="accept"))
    told = AIOKafkaConsumer(f"{referrals.settings.topic_prefix}{Topic.REFERRALS}", **referrals.settings.kafka.client())
    await told.start()
    try:
        await told.seek_to_beginning()
        # On its own topic the action may be read first: it is held back for the confirmation, and not refused.
        await referrals.publisher.tell([*flow, accept])
        await referrals.publisher.tell([outcome])
        async with asyncio.timeout(60):
            first = ReferralAccepted.read((await told.getone()).value)
        await referrals.publisher.tell([accept])
        async with asyncio.timeout(60):
            again = (await told.getone()).value
    finally:
        await told.stop()
    assert (accept.id, "accepted", RECEIVER) == (
        first.correlationid,
        first.data.standing.state,
        first.data.standing.owner.organisation,
    )
    assert first.to_json() == again
    rows = await referrals.databases[0].pool.fetch("select version from facts where cause = $1", accept.id)
    assert [(first.data.standing.version,)] == [tuple(row) for row in rows]
