"""The check of who heard of what agrees with the service that tells them, and sees each message that is not there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.chassis.database import Database
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.invariants.heard import NOT_HEARD, TOLD_TO_PEOPLE
from services.invariants.told import FACTS
from services.notification.facts import Fact
from services.notification.given_back import GivenBack
from services.notification.handlers import tell_on
from services.notification.service import MIGRATIONS
from services.notification.store import Messages
from services.referrals.service import MIGRATIONS as OF_REFERRALS
from tests.contracts.golden_examples import VALID
from tests.notification_examples import BY_EMAIL, NOON, UNKNOWN
from tests.notification_facts import VIEWS, cancelled, every_fact, message_left

pytestmark = pytest.mark.backing

EVERY = [
    *every_fact(),
    *(VIEWS[example.type].read(example.value) for example in VALID if example.type in TOLD_TO_PEOPLE),
    *every_fact(UNKNOWN),
    *every_fact(BY_EMAIL),
    cancelled(None),
    cancelled(reason="patient-died"),
    message_left(at=None),
]
FACTS_HEARD = list({fact.id: fact for fact in EVERY}.values())


@pytest.fixture
async def notification(database: str) -> AsyncIterator[Database]:
    """Every fact stands in the history of referrals, and notification has read it."""
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url=database, keys_file=Path("keys.json"))
    of_referrals = Database(settings, "referrals", *OF_REFERRALS)
    own = Database(settings, "notification", *MIGRATIONS)
    for one in (of_referrals, own):
        await asyncio.to_thread(one.migrate)
        await one.start()
    await of_referrals.pool.executemany(
        """insert into facts (referral_id, event_id, position, at, type, referrer, body)
            values ($1::text::uuid, $2, $3, $4, $5, 'ONW01', $6)""",
        [
            (fact.subject, fact.id, number, NOON, fact.type, fact.to_json().decode())
            for number, fact in enumerate(FACTS_HEARD, 1)
        ],
    )
    messages = Messages(own, largest=1000)
    await tell_on(FACTS_HEARD, messages=messages, given_back=GivenBack(own), clock=lambda: NOON, wake=lambda: None)
    yield own
    for one in (of_referrals, own):
        await one.stop()


async def not_heard(database: str, facts: list[Fact]) -> set[str]:
    """What the check finds, as the administrator."""
    columns = [[fact.id for fact in facts], [fact.subject for fact in facts]]
    nothing: list[None] = [None] * len(facts)
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(FACTS + NOT_HEARD, *columns, nothing, nothing, nothing)
    finally:
        await connection.close()
    return {str(row[0]) for row in rows}


async def test_the_check_agrees_with_the_table_of_who_hears(notification: Database, database: str) -> None:
    """Of every fact of which people hear, by every channel, nothing is missing and nothing too much."""
    assert set(TOLD_TO_PEOPLE) == {fact.type for fact in FACTS_HEARD}
    assert set() == await not_heard(database, FACTS_HEARD)


async def test_each_message_that_is_not_there_is_missed(notification: Database, database: str) -> None:
    """Whichever one is taken away: its fact is named, and no other."""
    rows = await notification.pool.fetch(
        "select distinct on (reason, audience, template) id, cause from messages where text <> ''"
    )
    for row in rows:
        await notification.pool.execute("update messages set cause = gen_random_uuid() where id = $1", row["id"])
        assert {str(row["cause"])} == await not_heard(database, FACTS_HEARD)
        await notification.pool.execute("update messages set cause = $2 where id = $1", row["id"], row["cause"])


async def test_a_fact_that_nobody_stored_is_missed(notification: Database, database: str) -> None:
    """Of what is told and stands in no history nobody can say who must hear."""
    [one, *_] = FACTS_HEARD
    stranger = one.model_copy(update={"id": one.correlationid})
    assert {str(stranger.id)} == await not_heard(database, [stranger])
