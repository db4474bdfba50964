"""Due times, worklists and the search on a real PostgreSQL."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import ValidationError

from contracts import actions
from contracts.envelope import Event
from services.chassis.database import Database
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.settings import Settings
from services.referrals.deciding_store import DUE, Decisions
from services.referrals.facts import Fact, fact_in
from services.referrals.handlers import decide
from services.referrals.news import News
from services.referrals.service import MIGRATIONS
from services.referrals.store import Referrals, Wanted
from services.referrals.worklists import NAMES, WORKLISTS
from services.referrals.worklists_store import Worklists
from tests.recording import RecordingPublisher
from tests.referrals_examples import CLOCKS, RECEIVER, REFERRER, STRANGER, asks, placed, unplaced

pytestmark = pytest.mark.backing

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=2)
REJECT = actions.Reject(action="reject", reason="no-capacity")
CANCEL = actions.Cancel(action="cancel", reason="patient-better")


ESCALATED = """
select referral_id, count(*) from facts where type = 'referral.escalated' group by referral_id
"""


ROWS_READ = """
-- By this session, of late.
select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = 'referrals'::regclass
"""


class Desk:
    """The service's tables, at a time that a test sets."""

    def __init__(self, own: Database) -> None:
        self.own = own
        self.now = NOW
        self.referrals = Referrals(own, lambda: self.now, CLOCKS)
        outbox = Outbox(own, RecordingPublisher())  # type: ignore[arg-type]
        self.decisions = Decisions(own, lambda: self.now, CLOCKS, outbox)
        self.worklists = Worklists(own, CLOCKS)

    async def read(self, *events: Fact | Event) -> list[Event]:
        """Read events as they come off the log."""
        came = [fact_in(event.to_json(), event.type) for event in events]
        return await decide(came, referrals=self.referrals, decisions=self.decisions, news=News())

    async def rows(self, statement: str) -> list[asyncpg.Record]:
        """What a statement gives."""
        return await self.own.pool.fetch(statement)

    async def on_lists(self, organisation: str) -> dict[str, list[UUID]]:
        """What an organisation has on each list that is not empty."""
        found = {name: await self.worklists.items(organisation, name) for name in NAMES}
        return {name: [one.referral_id for one in list.items] for name, list in found.items() if list.items}

    async def search(self, organisation: str, after: int = 0, limit: int = 100) -> list[tuple[UUID, int]]:
        """Referrals that moved after a position, each with its version."""
        _, end = await self.referrals.end()
        found = await self.worklists.changed(organisation, after, end, states=None, since=None, limit=limit)
        return [(one.referral.id, one.referral.version) for one in found]


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    """The service's database, empty."""
    settings = Settings(kafka=Kafka(""), database_url=database, keys_file=Path("none"), pool_size=4)
    own = Database(settings, "referrals", *MIGRATIONS)
    own.migrate()
    await own.start()
    yield Desk(own)
    await own.stop()


async def test_what_nobody_did_comes_back_to_the_desk(desk: Desk) -> None:
    """The row, its history and the outbox say the same in one transaction; nothing is escalated before it is due."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    assert 0 == await desk.decisions.escalate(NOW)
    desk.now = LATER
    assert 1 == await desk.decisions.escalate(LATER - timedelta(seconds=5))
    history = await desk.referrals.history(referral)
    assert history is not None
    stands = history.version(history.last)
    (told,) = await desk.rows("select type, key from outbox")
    assert ("placed", REFERRER, 1, ("referral.escalated", str(referral))) == (
        stands.state,
        stands.owner.organisation,
        stands.escalations,
        tuple(told),
    )


@pytest.mark.parametrize("last", range(4))
async def test_a_fact_that_is_wrong_where_nobody_looked_stops_nobody(desk: Desk, last: int) -> None:
    """Its contract refuses it, and it was stored all the same: its referral comes back to the desk as any other."""
    good, bad = uuid4(), uuid4()
    before, wrong = placed(bad)[:last], placed(bad)[last]
    document = json.loads(wrong.to_json())
    data = document["data"]
    part = data if "tried" in data else data.get("brief") or data["submission"]
    part["tried" if part is data else "position"] = 7
    value = json.dumps(document).encode()
    with pytest.raises(ValidationError):
        type(wrong).read(value)
    await desk.read(*before, fact_in(value, wrong.type), *placed(good)[:3])
    desk.now = LATER
    assert 2 == await desk.decisions.escalate(LATER - timedelta(seconds=5))
    assert {(good, 1), (bad, 1)} == {(row[0], row[1]) for row in await desk.rows(ESCALATED)}


async def test_a_due_time_passes_once(desk: Desk) -> None:
    """Two replicas, or one twice, escalate it once: the next time is a later one."""
    await desk.read(*placed(uuid4())[:4])
    desk.now = LATER
    assert [1, 0, 0] == [await desk.decisions.escalate(desk.now - timedelta(seconds=5)) for _ in range(3)]
    assert [1] == [row[0] for row in await desk.rows("select count(*) from outbox")]


async def test_who_is_not_due_is_not_even_looked_at(desk: Desk) -> None:
    """However many are stored, for it is looked every second; the one that is due is found, and one that is over is
    never overdue."""
    over, due, *_ = referrals = [uuid4() for _ in range(300)]
    for referral in referrals:
        await desk.read(*placed(referral)[:4])
    await desk.read(asks(over, CANCEL, organisation=REFERRER))
    await desk.own.pool.execute("update referrals set due = $2 where id <> all($1)", [over, due], LATER)
    async with desk.own.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local plan_cache_mode = force_generic_plan")
        before = await connection.fetchval(ROWS_READ)
        found = await connection.fetch(DUE, LATER - timedelta(hours=1), 1_000)
        read = await connection.fetchval(ROWS_READ) - before
    assert ([due], True) == ([row["id"] for row in found], read < 5)
    assert (1, 1) == await Referrals(desk.own, lambda: LATER - timedelta(hours=1), CLOCKS).overdue()


async def test_both_sides_hear_of_it_in_the_feed(desk: Desk) -> None:
    """The fact is at the end of both organisations' feeds, and no stranger's."""
    await desk.read(*placed(uuid4())[:4])
    desk.now = LATER
    await desk.decisions.escalate(LATER - timedelta(seconds=5))
    last = [
        [told.type for told in await desk.referrals.told(Wanted(who), 0, 1000, 1000)][-1:]
        for who in (REFERRER, RECEIVER, STRANGER)
    ]
    assert [["referral.escalated"], ["referral.escalated"], []] == last


async def test_an_outcome_that_comes_after_its_time_still_counts(desk: Desk) -> None:
    """A referral that waited too long in the flow is escalated; booking's answer then moves it on as ever."""
    referral = uuid4()
    facts = placed(referral)[:4]
    await desk.read(*facts[:3])
    desk.now = LATER
    await desk.decisions.escalate(LATER - timedelta(seconds=5))
    assert {"unanswered": [referral]} == await desk.on_lists(REFERRER)
    assert [] == await desk.read(facts[3])
    assert ({}, {"for-review": [referral]}) == (await desk.on_lists(REFERRER), await desk.on_lists(RECEIVER))


async def test_nobody_escalates_what_is_finished(desk: Desk) -> None:
    """However long ago."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4], asks(referral, CANCEL, organisation=REFERRER))
    desk.now = LATER
    assert 0 == await desk.decisions.escalate(LATER)


async def test_each_referral_is_on_one_list_of_one_side(desk: Desk) -> None:
    """Placed, unplaced, rejected, cancelled and asked for: each where its turn is, and nowhere else."""
    on_review, full, rejected, over, under_way = (uuid4() for _ in range(5))
    await desk.read(*placed(on_review)[:4], *unplaced(full)[:4], *placed(rejected)[:4], *placed(over)[:4])
    await desk.read(placed(under_way)[0])
    await desk.read(asks(rejected, REJECT), asks(over, CANCEL, organisation=REFERRER))
    assert (
        {"awaiting-booking": [under_way], "slot-issues": [full], "rejected": [rejected]},
        {"for-review": [on_review]},
        {},
    ) == (await desk.on_lists(REFERRER), await desk.on_lists(RECEIVER), await desk.on_lists(STRANGER))


async def test_the_counts_are_those_of_the_lists(desk: Desk) -> None:
    """For both sides, those that are overdue too."""
    referral, full = uuid4(), uuid4()
    await desk.read(*placed(referral)[:4], *unplaced(full)[:4])
    counted = {
        who: {one.name: (one.referrals, one.overdue) for one in await desk.worklists.counts(who, LATER)}
        for who in (REFERRER, RECEIVER)
    }
    nothing = dict.fromkeys(WORKLISTS, (0, 0))
    assert nothing | {"slot-issues": (1, 1)} == counted[REFERRER]
    assert nothing | {"for-review": (1, 1)} == counted[RECEIVER]


async def test_an_item_says_who_must_do_what_by_when(desk: Desk) -> None:
    """Role, owner, due time, and actions that take it off."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4], asks(referral, REJECT))
    (item,) = (await desk.worklists.items(REFERRER, "rejected")).items
    assert ("clinical hub", REFERRER, True, {"rebook", "wait", "arrange_elsewhere", "cancel"}) == (
        item.role,
        item.owner.organisation,
        item.due > NOW,
        set(item.clears),
    )


async def test_a_search_skips_nothing_that_moves_meanwhile(desk: Desk) -> None:
    """What is read page by page comes in the order in which it moved; one that moves in between comes again, later."""
    first, second, third = (uuid4() for _ in range(3))
    for referral in (first, second, third):
        await desk.read(*placed(referral)[:4])
    _, middle = await desk.referrals.end()
    page = await desk.search(REFERRER, limit=2)
    assert [(first, 1), (second, 1)] == page
    await desk.read(asks(first, REJECT))
    assert [(first, 2)] == await desk.search(REFERRER, after=middle)
    assert [(second, 1), (third, 1), (first, 2)] == await desk.search(REFERRER)


async def test_a_search_finds_an_organisations_own(desk: Desk) -> None:
    """As referrer and as receiver; another organisation finds nothing, and a receiver no more once it rejected and
    another took over."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    found = [[id for id, _ in await desk.search(who)] for who in (REFERRER, RECEIVER, STRANGER)]
    assert [[referral], [referral], []] == found
