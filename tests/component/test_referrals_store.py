"""Referrals, their facts and the feed, on a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.envelope import Event
from services.chassis.database import Database
from services.chassis.step import Breaker, Step
from services.referrals.facts import Fact, fact_in
from services.referrals.handlers import remember
from services.referrals.news import News
from services.referrals.service import READS
from services.referrals.state import derive
from services.referrals.store import Referrals, Told, Wanted
from tests.recording import RecordingGraveyard, RecordingPublisher, record_of
from tests.referrals_examples import (
    ANSWER_BY,
    CLOCKS,
    RECEIVER,
    REFERRER,
    SERVICE,
    confirmed,
    placed,
    receipt,
    requested,
    submitted,
    triaged,
    unplaced,
)
from tests.referrals_running import referrals_database

pytestmark = pytest.mark.backing

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
EVERYTHING = 1_000_000


def read(events: Sequence[Event]) -> list[Fact]:
    """What this service reads of events."""
    facts = [fact_in(event.to_json(), event.type) for event in events]
    return [fact for fact in facts if isinstance(fact, Fact)]


@pytest.fixture
async def own(database: str) -> AsyncIterator[Database]:
    """The service's database, empty."""
    async with referrals_database(database) as own:
        yield own


@pytest.fixture
def referrals(own: Database) -> Referrals:
    """The tables, at a fixed time."""
    return Referrals(own, lambda: NOW, CLOCKS)


async def rows(own: Database, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """What a statement gives."""
    return await own.pool.fetch(statement, *arguments)


async def told(referrals: Referrals, organisation: str, after: int = 0) -> list[Told]:
    """All that an organisation may see of the feed."""
    return await referrals.told(Wanted(organisation), after, EVERYTHING, EVERYTHING)


async def test_a_fact_is_stored_exactly_as_it_was_told(own: Database, referrals: Referrals) -> None:
    """Each fact has one row with the bytes of its record, its referral and its type."""
    facts = read(placed(uuid4()))
    await referrals.store(facts)
    stored = await rows(own, "select event_id, referral_id, type, body from facts order by position")
    assert [(fact.id, fact.subject, fact.type, fact.to_json().decode()) for fact in facts] == [
        tuple(row) for row in stored
    ]


async def test_a_large_fact_is_stored_whole(own: Database, referrals: Referrals) -> None:
    """A placement with fifty candidates is far larger than a page of the database."""
    asked = requested(triaged(submitted(uuid4())), candidates=50)
    await referrals.store(read([asked]))
    ((body,),) = await rows(own, "select body from facts")
    assert asked.to_json().decode() == body


async def test_facts_take_positions_without_gaps_in_the_order_of_their_batch(referrals: Referrals) -> None:
    """The feed of the first batch begins at 1, and the next goes on where it ended."""
    one, other = read(placed(uuid4())), read(unplaced(uuid4()))
    await referrals.store(one)
    await referrals.store(other)
    feed = await told(referrals, REFERRER)
    assert [*range(1, len(one + other) + 1)] == [fact.position for fact in feed]
    assert [(fact.subject, fact.type) for fact in one + other] == [(fact.referral_id, fact.type) for fact in feed]


async def test_repeated_facts_make_no_second_row(own: Database, referrals: Referrals) -> None:
    """A batch that comes again, with something new in it, stores only what is new, and leaves no gap."""
    known, new = read(placed(uuid4())), read(placed(uuid4()))
    await referrals.store(known)
    await referrals.store([fact for pair in zip(known, new, strict=True) for fact in pair])
    await referrals.store(known + new)
    ((count, lowest, highest, last),) = await rows(
        own, "select count(*), min(position), max(position), (select last from feed) from facts"
    )
    assert (14, 1, 14, 14) == (count, lowest, highest, last)


async def test_a_fact_twice_in_one_batch_is_stored_once(own: Database, referrals: Referrals) -> None:
    """Of two copies in a batch the first is kept: triage may tell one id twice, differently."""
    first = submitted(uuid4())
    one, other = triaged(first, acuity="urgent"), triaged(first, acuity="immediate")
    await referrals.store(read([one, other]))
    assert [(one.to_json().decode(),)] == [tuple(row) for row in await rows(own, "select body from facts")]


async def test_the_first_copy_of_a_fact_is_kept(own: Database, referrals: Referrals) -> None:
    """A fact that comes again with other content does not replace what is stored, nor what is read."""
    first = submitted(uuid4())
    one, other = triaged(first, acuity="urgent"), triaged(first, acuity="immediate")
    await referrals.store(read([one]))
    await referrals.store(read([other]))
    history = await referrals.history(UUID(first.subject))
    assert history is not None
    assert (1, "urgent") == (history.last, history.version(1).acuity)


async def test_versions_count_changes_of_state_only(referrals: Referrals) -> None:
    """Four facts move a referral on and make versions 1 to 4; the receipts after them make none."""
    referral = uuid4()
    for fact in read(placed(referral)):
        await referrals.store([fact])
    history = await referrals.history(referral)
    assert history is not None
    versions = [history.version(number) for number in range(1, history.last + 1)]
    assert [(1, "submitted"), (2, "triaged"), (3, "placement_asked"), (4, "placed")] == [
        (version.version, version.state) for version in versions
    ]


async def test_late_earlier_facts_make_no_version(referrals: Referrals) -> None:
    """An outcome that comes first is version 1, and what led to it is stored without a number."""
    referral = uuid4()
    for fact in reversed(read(placed(referral)[:4])):
        await referrals.store([fact])
    history = await referrals.history(referral)
    assert history is not None
    assert (1, "placed") == (history.last, history.version(1).state)


async def test_a_batch_makes_one_version_of_a_referral(referrals: Referrals) -> None:
    """What a batch holds of one referral is one change, to the furthest of its facts."""
    referral = uuid4()
    await referrals.store(read(placed(referral)))
    history = await referrals.history(referral)
    assert history is not None
    assert (1, "placed") == (history.last, history.version(1).state)


async def test_the_row_says_who_owns_it_and_until_when(own: Database, referrals: Referrals) -> None:
    """Owner and due time are stored with the state, so that a referral that nobody looks at can be found."""
    await referrals.store(read([submitted(uuid4())]))
    ((state, owner, due),) = await rows(own, "select state, owner, due from referrals")
    assert ("submitted", REFERRER, ANSWER_BY) == (state, owner, due)


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_in_any_batches_ends_as_all_facts_together(
    own: Database, referrals: Referrals, seed: int
) -> None:
    """Facts of several referrals in any order, in batches of any size, with repeats: rows, versions and feed agree."""
    chance = random.Random(seed)
    whole = [event for _ in range(6) for event in chance.choice((placed, unplaced))(uuid4())]
    came = whole + chance.choices(whole, k=10)
    chance.shuffle(came)
    while came:
        size = chance.randint(1, 9)
        await referrals.store(read(came[:size]))
        came = came[size:]
    for subject in {event.subject for event in whole}:
        derived = derive(read([event for event in whole if event.subject == subject]), CLOCKS)
        history = await referrals.history(UUID(subject))
        assert derived is not None
        assert history is not None
        last = history.version(history.last)
        assert (derived.state, derived.owner, derived.due, derived.service, derived.reference) == (
            last.state,
            last.owner,
            last.due,
            last.service,
            last.reference,
        )
    assert [*range(1, len(whole) + 1)] == [fact.position for fact in await told(referrals, REFERRER)]
    assert [] == await rows(
        own,
        "select id from referrals r where version <> (select count(version) from facts where referral_id = r.id)"
        " or version <> (select max(version) from facts where referral_id = r.id)",
    )


async def test_a_receipt_that_overtakes_its_outcome_waits_for_it(own: Database, referrals: Referrals) -> None:
    """Nobody knows who may see a receipt before the outcome: it is stored, and told once the outcome is."""
    referral = uuid4()
    *facts, outcome, service, referrer, patient = read(placed(referral))
    await referrals.store([service])
    await referrals.store(facts)
    await referrals.store([referrer, patient])
    assert ["referral.submitted", "referral.triaged", "booking.requested"] == [
        fact.type for fact in await told(referrals, REFERRER)
    ]
    await referrals.store([outcome])
    after = await told(referrals, RECEIVER)
    assert [(4, "booking.confirmed"), *((position, "notification.sent") for position in (5, 6, 7))] == [
        (fact.position, fact.type) for fact in after
    ]
    assert [(False,)] == [tuple(row) for row in await rows(own, "select waiting from referrals")]


async def test_a_referral_known_by_receipts_alone_cannot_be_read(referrals: Referrals) -> None:
    """A receipt says neither where the referral stands nor whose it is."""
    referral = uuid4()
    await referrals.store(read(placed(referral)[4:]))
    assert await referrals.history(referral) is None


async def test_a_repeated_receipt_that_waits_is_stored_once(own: Database, referrals: Referrals) -> None:
    """A receipt that waits is known, and comes again as any other fact."""
    *_, late = read(placed(uuid4()))
    await referrals.store([late])
    await referrals.store([late])
    assert [(1,)] == [tuple(row) for row in await rows(own, "select count(*) from facts")]


async def test_the_referrer_sees_every_fact_and_the_receiver_the_outcome_and_after(referrals: Referrals) -> None:
    """Observations and the search stay with the referrer; a third organisation sees nothing."""
    facts = read(placed(uuid4()))
    await referrals.store(facts)
    assert [fact.type for fact in facts] == [fact.type for fact in await told(referrals, REFERRER)]
    assert [fact.type for fact in facts[3:]] == [fact.type for fact in await told(referrals, RECEIVER)]
    assert [] == await told(referrals, "RX3")


async def test_nobody_receives_an_unplaced_referral(referrals: Referrals) -> None:
    """A service that is only proposed is told nothing."""
    await referrals.store(read(unplaced(uuid4())))
    assert (5, 0) == (len(await told(referrals, REFERRER)), len(await told(referrals, RECEIVER)))


async def test_who_refers_to_itself_sees_each_fact_once(referrals: Referrals) -> None:
    """An organisation whose own service receives the patient is on the referral twice."""
    await referrals.store(read(placed(uuid4(), referrer=RECEIVER)))
    assert [1, 2, 3, 4, 5, 6, 7] == [fact.position for fact in await told(referrals, RECEIVER)]


async def test_the_feed_is_filtered_by_type_referral_and_service(referrals: Referrals) -> None:
    """Each filter narrows what is seen, in order, and never widens it."""
    one, other = uuid4(), uuid4()
    await referrals.store(read(placed(one)))
    await referrals.store(read(unplaced(other)))

    async def positions(**filters: Any) -> list[int]:
        return [fact.position for fact in await referrals.told(Wanted(REFERRER, **filters), 0, EVERYTHING, EVERYTHING)]

    assert [1, 8] == await positions(types=["referral.submitted"])
    assert [4, 11] == await positions(types=["booking.confirmed", "booking.exhausted"])
    assert [8, 9, 10, 11, 12] == await positions(referral=other)
    assert [4, 5, 6, 7] == await positions(service_id=SERVICE)
    assert [11] == await positions(referral=other, types=["booking.exhausted"])
    assert [] == await referrals.told(Wanted("RX3", referral=one), 0, EVERYTHING, EVERYTHING)


async def test_a_chunk_is_bounded_and_the_next_goes_on_behind_it(referrals: Referrals) -> None:
    """A reader takes the feed in chunks of its own size."""
    await referrals.store(read(placed(uuid4())))
    wanted = Wanted(RECEIVER)
    first = await referrals.told(wanted, 0, EVERYTHING, 3)
    second = await referrals.told(wanted, first[-1].position, EVERYTHING, 3)
    assert ([4, 5, 6], [7]) == ([fact.position for fact in first], [fact.position for fact in second])


async def test_writers_of_every_topic_contend_without_a_gap_or_a_deadlock(own: Database, referrals: Referrals) -> None:
    """Five topics and their repeats by a second member, in small batches on the same referrals, all at once."""
    chance = random.Random(11)
    histories = [placed(uuid4()) if chance.random() < 0.8 else unplaced(uuid4()) for _ in range(120)]
    by_topic: dict[str, list[Event]] = {}
    for event in (event for history in histories for event in history):
        by_topic.setdefault(type(event).TOPIC, []).append(event)
    writers = [chance.sample(events, len(events)) for events in by_topic.values() for _ in range(2)]

    async def write(events: list[Event]) -> None:
        for start in range(0, len(events), 7):
            await referrals.store(read(events[start : start + 7]))

    await asyncio.gather(*map(write, writers))
    total = sum(map(len, histories))
    assert [*range(1, total + 1)] == [fact.position for fact in await told(referrals, REFERRER)]
    for events in histories:
        history, derived = await referrals.history(UUID(events[0].subject)), derive(read(events), CLOCKS)
        assert history is not None
        assert derived is not None
        assert derived.state == history.version(history.last).state
    ((deadlocks,),) = await rows(own, "select deadlocks from pg_stat_database where datname = current_database()")
    assert 0 == deadlocks


async def test_a_reader_of_the_feed_misses_nothing_while_writers_commit(referrals: Referrals) -> None:
    """A reader that asks again and again for what is behind its last position sees each position, in order, once."""
    histories = [placed(uuid4()) for _ in range(150)]
    topics = [[history[place] for history in histories] for place in range(7)]

    async def write(events: list[Event]) -> None:
        for start in range(0, len(events), 5):
            await referrals.store(read(events[start : start + 5]))

    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < 7 * len(histories):
            seen.extend(fact.position for fact in await told(referrals, REFERRER, seen[-1] if seen else 0))

    async with asyncio.timeout(120):
        await asyncio.gather(follow(), *map(write, topics))
    assert [*range(1, 7 * len(histories) + 1)] == seen


async def test_two_members_that_store_the_same_batch_store_it_once(own: Database, referrals: Referrals) -> None:
    """After a rebalance a batch may be at work twice: one stores it, the other finds it stored."""
    batch = read([event for _ in range(30) for event in placed(uuid4())])
    await asyncio.gather(*(referrals.store(batch) for _ in range(4)))
    ((count, last),) = await rows(own, "select count(*), (select last from feed) from facts")
    assert (210, 210) == (count, last)


async def test_a_write_that_fails_leaves_nothing(own: Database, referrals: Referrals) -> None:
    """Referral, fact and position are stored together or not at all."""
    await rows(own, "alter table facts add constraint refuse check (type <> 'referral.triaged')")
    first = submitted(uuid4())
    with pytest.raises(asyncpg.CheckViolationError):
        await referrals.store(read([first, triaged(first)]))
    ((facts, held, last),) = await rows(
        own, "select (select count(*) from facts), (select count(*) from referrals), (select last from feed)"
    )
    assert (0, 0, 0) == (facts, held, last)


async def test_the_step_stores_records_and_wakes_readers(own: Database, referrals: Referrals) -> None:
    """A record of the topic goes through the step as in production: stored, nothing told, readers woken."""
    news, publisher, graveyard = News(), RecordingPublisher(), RecordingGraveyard()
    bell = news.bell
    outcome = confirmed(requested(triaged(submitted(uuid4()))))
    topic = type(outcome).TOPIC

    async def handler(facts: Sequence[Fact]) -> list[Event]:
        return await remember(facts, referrals=referrals, news=news)

    step = Step(
        reader="referrals",
        topic=topic,
        types=READS[topic],  # type: ignore[arg-type]
        handler=handler,
        publisher=publisher,
        graveyard=graveyard,
        breaker=Breaker(),
    )
    receipt_of_another_topic = receipt(outcome, "patient")
    await step.run([record_of(outcome), record_of(receipt_of_another_topic), record_of(outcome)])
    assert [(outcome.id,)] == [tuple(row) for row in await rows(own, "select event_id from facts")]
    assert ([], [], True) == (publisher.told, graveyard.dead, bell.is_set())


async def test_owners_who_are_late_are_counted(own: Database, referrals: Referrals) -> None:
    """Two referrals of one desk past their due time are two referrals and one owner; before it they are none."""
    await referrals.store(read([submitted(uuid4()), submitted(uuid4())]))
    assert (0, 0) == await Referrals(own, lambda: ANSWER_BY, CLOCKS).overdue()
    assert (2, 1) == await Referrals(own, lambda: ANSWER_BY + timedelta(seconds=1), CLOCKS).overdue()
