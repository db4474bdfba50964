"""From outcomes to messages, to the provider, and to the facts that are told: on a real PostgreSQL, without Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.notifications import NotificationSent
from contracts.topics import Topic
from services.chassis.database import Database
from services.chassis.failures import Transient, is_transient
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.chassis.step import Breaker, Step
from services.notification.dispatch import Dispatcher, NoReceipt
from services.notification.handlers import tell
from services.notification.messages import Outcome, messages_of
from services.notification.outbound import Outbound, Outgoing, Receipt
from services.notification.sandbox import Sandbox
from services.notification.service import MIGRATIONS, SANDBOX_MIGRATIONS
from services.notification.settings import NotificationSettings
from services.notification.store import Messages
from services.notification.telling import Telling
from tests.notification_examples import BY_TEXT, NOON, confirmed, every_outcome, exhausted
from tests.recording import RecordingGraveyard, RecordingPublisher, record_of

pytestmark = pytest.mark.backing

SECONDS = 10.0
"""How long a fact may take to become one, on a busy machine."""


class Faulty:
    """A provider that fails as it is told, before or after it took a batch, and else is the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.away: Exception | None = None
        self.lost_answer: Exception | None = None
        self.refuses: dict[str, str] = {}
        self.silent_about: set[UUID] = set()
        self.handed_over: list[list[Outgoing]] = []

    async def deliver(self, batch: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Fail, refuse by audience, keep silent, or take."""
        if self.away is not None:
            raise self.away
        self.handed_over.append(list(batch))
        taken = [one for one in batch if one.audience not in self.refuses and one.reference not in self.silent_about]
        refused = [Receipt(one.reference, self.refuses[one.audience]) for one in batch if one.audience in self.refuses]
        receipts = await self._sandbox.deliver(taken)
        if self.lost_answer is not None:
            raise self.lost_answer
        return [*receipts, *refused]


@dataclass
class Replica:
    """One process of notification, as far as these tests need it."""

    database: Database
    providers_database: Database
    messages: Messages
    telling: Telling
    publisher: RecordingPublisher
    sandbox: Sandbox
    provider: Faulty
    dispatcher: Dispatcher
    step: Step

    async def hear(self, *outcomes: Outcome) -> None:
        """Read outcomes from the log, as the chassis does."""
        await self.step.run([record_of(outcome, offset=offset) for offset, outcome in enumerate(outcomes)])

    async def dispatch(self) -> None:
        """Hand over all that is due."""
        async with self.database.alone("dispatch") as connection:
            assert connection is not None
            while await self.dispatcher.dispatch(connection):
                pass

    async def facts(self) -> list[NotificationSent]:
        """What is told, once all of it is, in order."""
        async with self.database.alone("outbox") as connection:
            assert connection is not None
            while await self.telling.tell(connection):
                pass
        return [fact for fact in self.publisher.told if isinstance(fact, NotificationSent)]

    async def states(self) -> dict[str, str]:
        """The state of each audience's message. For one outcome."""
        rows = await self.database.pool.fetch("select audience, state from messages_as_they_stand")
        return {row["audience"]: row["state"] for row in rows}

    async def raw_deliveries(self) -> dict[UUID, int]:
        """At the provider's side: each reference, and how often it came."""
        rows = await self.providers_database.pool.fetch("select reference, raw_deliveries from deliveries")
        return {row["reference"]: row["raw_deliveries"] for row in rows}


NewReplica = Callable[..., Awaitable[Replica]]


@pytest.fixture
async def new_replica(database: str) -> AsyncIterator[NewReplica]:
    """Makes replicas of notification on one database."""
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url=database, keys_file=Path("keys.json"))
    async with AsyncExitStack() as stack:

        async def make(**changes: Any) -> Replica:
            own, provider = (
                Database(settings, "notification", *MIGRATIONS),
                Database(settings, "sandbox", SANDBOX_MIGRATIONS),
            )
            for one in (own, provider):
                await asyncio.to_thread(one.migrate)
                await one.start()
                stack.push_async_callback(one.stop)
            publisher = RecordingPublisher()
            chosen = NotificationSettings(**changes)
            messages = Messages(own, largest=chosen.batch)
            telling = Telling(messages, publisher)  # type: ignore[arg-type]
            sandbox = Sandbox(provider, lambda: NOON)
            faulty = Faulty(sandbox)
            port: Outbound = faulty
            dispatcher = Dispatcher(messages, port, lambda: NOON, chosen, telling.wake)
            step = Step(
                reader="notification",
                topic=Topic.BOOKINGS,
                types=(BookingConfirmed, BookingExhausted),
                handler=partial(tell, messages=messages, clock=lambda: NOON, wake=dispatcher.wake),
                publisher=publisher,
                graveyard=RecordingGraveyard(),
                breaker=Breaker(),
            )
            return Replica(own, provider, messages, telling, publisher, sandbox, faulty, dispatcher, step)

        yield make


@pytest.fixture
async def replica(new_replica: NewReplica) -> Replica:
    """The only replica."""
    return await new_replica()


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a fact. Fails when it is none in time."""
    deadline = time.monotonic() + SECONDS
    while not await fact():
        assert time.monotonic() < deadline, "it did not become a fact in time"
        await asyncio.sleep(0.01)


async def test_everyone_is_told_and_each_telling_becomes_a_fact(replica: Replica) -> None:
    """Every message of every kind of outcome reaches the provider, and is told once the provider took it."""
    outcomes = every_outcome(BY_TEXT)
    await replica.hear(*outcomes)
    await replica.dispatch()
    expected = {message.id for outcome in outcomes for message in messages_of(outcome)}
    assert dict.fromkeys(expected, 1) == await replica.raw_deliveries()
    assert expected == {fact.data.message_id for fact in await replica.facts()}


async def test_nothing_is_told_before_the_provider_took_it(replica: Replica) -> None:
    """An outcome that was heard leaves messages due, and no fact."""
    await replica.hear(confirmed(BY_TEXT))
    assert {"service": "due", "referrer": "due", "patient": "due"} == await replica.states()
    assert [] == await replica.facts()


async def test_an_outcome_that_comes_again_tells_nobody_again(replica: Replica) -> None:
    """Heard before the dispatch, after it, and twice at once: each person is told once."""
    again = confirmed(BY_TEXT)
    await replica.hear(again)
    await tell([again, again], messages=replica.messages, clock=lambda: NOON, wake=replica.dispatcher.wake)
    await replica.dispatch()
    await replica.hear(again)
    await replica.dispatch()
    assert {message.id: 1 for message in messages_of(again)} == await replica.raw_deliveries()
    assert 3 == len(await replica.facts())


async def test_two_replicas_that_hear_the_same_store_it_once(new_replica: NewReplica) -> None:
    """Overlapping batches in different orders, at the same time, neither deadlock nor tell twice."""
    one, two = await new_replica(), await new_replica()
    outcomes = [confirmed(BY_TEXT, of=str(number)) for number in range(300)]
    messages = [message for outcome in outcomes for message in messages_of(outcome)]
    await asyncio.gather(
        *(
            replica.messages.add(some, NOON)
            for _ in range(3)
            for replica, some in ((one, messages[:700]), (two, messages[::-1]), (one, messages[300:]))
        )
    )
    assert {message.id for message in messages} == {
        row["id"] for row in await one.database.pool.fetch("select id from messages")
    }


async def test_a_crash_after_the_provider_took_a_batch_hands_it_over_again(replica: Replica) -> None:
    """The provider's side has each message once, with two raw deliveries, and each becomes one fact."""
    outcome = confirmed(BY_TEXT)
    await replica.hear(outcome)
    replica.provider.lost_answer = ConnectionResetError("the process ended here")
    with pytest.raises(ConnectionResetError):
        await replica.dispatch()
    assert [] == await replica.facts()
    replica.provider.lost_answer = None
    await replica.dispatch()
    assert {message.id: 2 for message in messages_of(outcome)} == await replica.raw_deliveries()
    assert 3 == len(await replica.facts())


async def test_a_provider_that_is_away_gets_everything_when_it_is_back(replica: Replica) -> None:
    """While the provider is away the messages stay due; when it is back each is handed over once."""
    outcome = confirmed(BY_TEXT)
    replica.provider.away = Transient("the provider does not answer")
    await replica.hear(outcome)
    with pytest.raises(Transient):
        await replica.dispatch()
    assert {"service": "due", "referrer": "due", "patient": "due"} == await replica.states()
    replica.provider.away = None
    await replica.dispatch()
    assert {message.id: 1 for message in messages_of(outcome)} == await replica.raw_deliveries()


async def test_a_refusal_for_good_is_kept_with_its_reason(replica: Replica) -> None:
    """A message that the provider never will take is kept with why, is no fact, and is not handed over again."""
    replica.provider.refuses["patient"] = "CM_INVALID_VALUE"
    await replica.hear(confirmed(BY_TEXT))
    await replica.dispatch()
    await replica.dispatch()
    query = "select state, why from messages_as_they_stand where audience = 'patient'"
    row = await replica.database.pool.fetchrow(query)
    assert ("refused", "CM_INVALID_VALUE") == tuple(row)
    assert {"service", "referrer"} == {fact.data.audience for fact in await replica.facts()}
    assert 1 == len(replica.provider.handed_over)


async def test_a_message_without_a_receipt_stays_due(replica: Replica) -> None:
    """What the provider answered is stored; of the rest nothing is assumed, and it is tried again later."""
    outcome = confirmed(BY_TEXT)
    unanswered = messages_of(outcome)[2].id
    replica.provider.silent_about = {unanswered}
    await replica.hear(outcome)
    with pytest.raises(NoReceipt):
        await replica.dispatch()
    assert {"service": "accepted", "referrer": "accepted", "patient": "due"} == await replica.states()


async def test_a_reference_twice_in_one_batch_is_taken_once(replica: Replica) -> None:
    """The sandbox takes a message once and counts each time that it came."""
    outgoing = Outgoing(messages_of(exhausted())[0].id, "referrer", "system", "OWNER1", None, "referrer.v1", "text")
    receipts = await replica.sandbox.deliver([outgoing, outgoing])
    assert [Receipt(outgoing.reference)] == receipts
    assert {outgoing.reference: 2} == await replica.raw_deliveries()


async def test_the_sandbox_keeps_no_address(replica: Replica) -> None:
    """What the provider's side records of a patient's message is its words, not where it went."""
    await replica.hear(confirmed(BY_TEXT))
    await replica.dispatch()
    rows = await replica.providers_database.pool.fetch("select deliveries::text as row from deliveries")
    assert [] == [row["row"] for row in rows if BY_TEXT.mobile in row["row"]]


async def test_a_batch_is_no_larger_than_set(new_replica: NewReplica) -> None:
    """Due messages leave in batches of the set size, oldest outcomes first, until none is left."""
    replica = await new_replica(batch=4)
    await replica.hear(*(confirmed(BY_TEXT, of=str(number)) for number in range(3)))
    await replica.dispatch()
    assert [4, 4, 1] == [len(batch) for batch in replica.provider.handed_over]


async def test_one_replica_at_a_time_hands_over(new_replica: NewReplica) -> None:
    """While one replica claims the due messages another gets no claim; when it ends, it does."""
    one, two = await new_replica(), await new_replica()
    async with one.database.alone("dispatch") as first, two.database.alone("dispatch") as second:
        assert (True, None) == (first is not None, second)
    async with two.database.alone("dispatch") as third:
        assert third is not None


async def test_a_claim_ends_with_its_connection(new_replica: NewReplica, database: str) -> None:
    """When the claimer's connection is killed its next step fails as transient, and another replica claims at once."""
    one, two = await new_replica(), await new_replica()
    with pytest.raises(Exception) as failure:  # noqa: PT012
        async with one.database.alone("dispatch") as claim:
            assert claim is not None
            await terminate(database, claim.get_server_pid())
            await until(lambda: can_claim(two))
            await one.dispatcher.dispatch(claim)
    assert is_transient(failure.value)


async def test_hearing_wakes_the_dispatcher(new_replica: NewReplica) -> None:
    """An outcome is handed over at once, not at the next look for what others left."""
    replica = await new_replica(poll_seconds=60)
    working = asyncio.create_task(replica.dispatcher.work())
    try:
        await replica.hear(confirmed(BY_TEXT))
        await until(lambda: count_is(replica, 3))
        await replica.hear(exhausted(of="another"))
        await until(lambda: count_is(replica, 4))
    finally:
        working.cancel()


async def test_what_another_replica_stored_is_found(new_replica: NewReplica) -> None:
    """The replica that holds the claim hands over what any replica stored, also what one left that is gone."""
    holder, other = await new_replica(poll_seconds=0.05), await new_replica()
    working = asyncio.create_task(holder.dispatcher.work())
    try:
        await other.hear(confirmed(BY_TEXT))
        await until(lambda: count_is(holder, 3))
    finally:
        working.cancel()


async def test_facts_are_published_as_the_provider_takes_the_messages(replica: Replica) -> None:
    """What the provider took is told at once, on the referral's key and in its transaction."""
    outcome = confirmed(BY_TEXT)
    working = asyncio.create_task(replica.telling.work())
    try:
        await replica.hear(outcome)
        await replica.dispatch()
        await until(lambda: three_are_told(replica))
    finally:
        working.cancel()
    expected = {(outcome.subject, outcome.partitionkey, outcome.correlationid, outcome.id)}
    told = replica.publisher.told
    assert expected == {(fact.subject, fact.partitionkey, fact.correlationid, fact.causationid) for fact in told}


async def test_a_crash_after_the_telling_tells_the_same_again(replica: Replica) -> None:
    """Until the log is known to have them, messages stay to be told: byte for byte, under the same ids."""
    await replica.hear(confirmed(BY_TEXT))
    await replica.dispatch()
    replica.publisher.failure = Transient("the log does not answer")
    with pytest.raises(Transient):
        await replica.facts()
    assert (3.0, 3) == ((await replica.messages.waiting())[0], len(await replica.facts()))
    await replica.database.pool.execute("update batches set state = 'accepted'")
    again = await replica.facts()
    assert (6, [one.to_json() for one in again[:3]]) == (len(again), [one.to_json() for one in again[3:]])


async def test_of_two_who_hand_over_the_same_one_settles_it(replica: Replica) -> None:
    """What the provider said to one, who stored it, is not undone by what it did not say to the other."""
    outcome = confirmed(BY_TEXT)
    await replica.hear(outcome)
    async with replica.database.pool.acquire() as connection:
        due = await replica.messages.due(connection)  # type: ignore[arg-type]
        await replica.messages.settle(connection, due, [], [], NOON)  # type: ignore[arg-type]
        ids = [message.id for batch in due.values() for message in batch]
        await replica.messages.settle(connection, due, [(ids[0], "late")], ids[1:], NOON)  # type: ignore[arg-type]
    assert {"service": "accepted", "referrer": "accepted", "patient": "accepted"} == await replica.states()
    assert 3 == len(await replica.facts())


async def count_is(replica: Replica, expected: int) -> bool:
    """Whether the provider's side has so many messages, and each became a fact."""
    return (expected, expected) == (len(await replica.raw_deliveries()), len(await replica.facts()))


async def three_are_told(replica: Replica) -> bool:
    """Whether three facts were published."""
    return len(replica.publisher.told) == 3


async def can_claim(replica: Replica) -> bool:
    """Whether the replica gets the claim."""
    async with replica.database.alone("dispatch") as claim:
        return claim is not None


async def terminate(database: str, backend: int) -> None:
    """End a connection from the server's side, as an administrator can."""
    administrator = await asyncpg.connect(database)
    await administrator.execute("select pg_terminate_backend($1)", backend)
    await administrator.close()
