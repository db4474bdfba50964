"""The outbox: what a transaction decided is told after it, in order, and at least once under one id."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
from aiokafka.errors import KafkaConnectionError
from psycopg import sql

from contracts.envelope import Event
from services.chassis import outbox
from services.chassis.database import OUTBOX, Database
from services.chassis.failures import is_transient
from services.chassis.outbox import Outbox
from tests.chassis_examples import desk, settings, until
from tests.recording import RecordingPublisher

pytestmark = pytest.mark.backing

SCHEMA = "chassis_test_outbox"


@pytest.fixture
def migrated(database: str) -> Iterator[str]:
    """A database with an outbox."""
    Database(settings(database=database), SCHEMA, OUTBOX).migrate()
    yield database
    with psycopg.connect(database, autocommit=True) as connection:
        role = sql.Identifier(f"onward_{SCHEMA}")
        connection.execute(sql.SQL("drop owned by {}").format(role))
        connection.execute(sql.SQL("drop role {}").format(role))


class Replica:
    """One process of a service: its pool, its outbox, what it has told."""

    def __init__(self, database: str) -> None:
        self.database = Database(settings(database=database), SCHEMA, OUTBOX)
        self.publisher = RecordingPublisher()
        self.outbox = Outbox(self.database, self.publisher)  # type: ignore[arg-type]

    @property
    def told(self) -> list[Event]:
        return self.publisher.told

    async def put(self, *events: Event) -> None:
        """Decide and store, in one transaction."""
        async with self.database.pool.acquire() as connection, connection.transaction():
            await self.outbox.put(connection, events)
        self.outbox.wake()

    async def untold(self) -> int:
        """How many wait to be told."""
        return int(await self.database.pool.fetchval("select count(*) from outbox"))


@pytest.fixture
async def replica(migrated: str) -> AsyncIterator[Replica]:
    """A replica that does not drain yet."""
    async with running(migrated) as replica:
        yield replica


@asynccontextmanager
async def running(database: str) -> AsyncIterator[Replica]:
    """A replica with its pool open."""
    replica = Replica(database)
    await replica.database.start()
    try:
        yield replica
    finally:
        await replica.database.stop()


@asynccontextmanager
async def draining(replica: Replica) -> AsyncIterator[asyncio.Task[None]]:
    """The replica drains its outbox meanwhile."""
    task = asyncio.create_task(replica.outbox.drain())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, KafkaConnectionError):
            await task


async def test_what_was_put_is_told_in_order_and_once(replica: Replica) -> None:
    """Also when it is more than one batch."""
    events = [desk(version=n + 1) for n in range(outbox.BATCH + 200)]
    await replica.put(*events)
    async with draining(replica):
        await until(lambda: len(replica.told) >= len(events))
        await replica.put(late := desk())
        await until(lambda: len(replica.told) > len(events))
    assert [*events, late] == replica.told
    assert 0 == await replica.untold()


async def test_nothing_is_told_before_its_transaction_commits(replica: Replica) -> None:
    """An event of a transaction that is under way does not exist yet."""
    before, after = desk(), desk()
    async with draining(replica), replica.database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await replica.outbox.put(connection, [after])
        await replica.put(before)
        await until(lambda: before in replica.told)
        assert [before] == replica.told
        await transaction.commit()
        replica.outbox.wake()
        await until(lambda: after in replica.told)


async def test_what_was_rolled_back_is_never_told(replica: Replica) -> None:
    """A decision that was not made has no effects."""
    kept = desk()
    async with draining(replica):
        async with replica.database.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await replica.outbox.put(connection, [desk()])
            await transaction.rollback()
        await replica.put(kept)
        await until(lambda: replica.told)
    assert [kept] == replica.told


async def test_putting_nothing_does_nothing(replica: Replica) -> None:
    """Many steps decide nothing that is to be told."""
    await replica.put()
    assert 0 == await replica.untold()


async def test_an_event_that_is_put_twice_is_told_once(replica: Replica) -> None:
    """A repeated step finds its event already there, and what was stored first stays."""
    first = desk()
    changed = desk(id=first.id, version=2)
    await replica.put(first)
    await replica.put(changed, last := desk())
    async with draining(replica):
        await until(lambda: last in replica.told)
    assert [first, last] == replica.told


async def test_a_crash_between_telling_and_marking_tells_again_under_the_same_id(
    replica: Replica, migrated: str
) -> None:
    """At least once: readers know it by its id."""
    event = desk()
    await replica.put(event)

    class Crashed(BaseException):
        pass

    tell = replica.publisher.tell_json

    async def tell_and_crash(events: Sequence[tuple[type[Event], str, bytes]]) -> None:
        await tell(events)
        raise Crashed

    replica.publisher.tell_json = tell_and_crash  # type: ignore[method-assign]
    with pytest.raises(Crashed):
        await replica.outbox.drain()
    assert [event] == replica.told
    async with running(migrated) as next_one, draining(next_one):
        await until(lambda: next_one.told)
        assert [event] == next_one.told


async def test_what_could_not_be_told_is_told_later(replica: Replica) -> None:
    """A broker that is away fails the drain, and the rows wait for the next."""
    event = desk()
    await replica.put(event)
    replica.publisher.failure = KafkaConnectionError()
    with pytest.raises(KafkaConnectionError):
        await replica.outbox.drain()
    assert 1 == await replica.untold()
    async with draining(replica):
        await until(lambda: replica.told)
    assert [event] == replica.told


async def test_two_replicas_tell_each_event_once_and_in_order(
    replica: Replica, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time drains; when it goes, the other goes on where it stopped."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 0.05)
    async with running(migrated) as other:
        early, late = [desk(version=n + 1) for n in range(50)], [desk(version=n + 1) for n in range(50)]
        async with draining(other):
            async with draining(replica):
                for event in early:
                    await replica.put(event)
                await until(lambda: len(replica.told) + len(other.told) >= len(early))
                assert [] in (replica.told, other.told)
                assert early == replica.told + other.told
            for event in late:
                await replica.put(event)
            await until(lambda: len(replica.told) + len(other.told) >= len(early) + len(late))
        assert [*early, *late] == replica.told + other.told


async def test_what_another_process_put_is_found_without_being_woken(
    replica: Replica, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica that drains is not always the one that decided."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 0.05)
    async with running(migrated) as other, draining(replica):
        await other.put(event := desk())
        await until(lambda: replica.told)
    assert [event] == replica.told


async def test_a_drainer_that_loses_its_connection_gives_way(
    replica: Replica, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL frees its lock, so another replica drains; it fails in a way that is tried again."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 0.05)
    losing = asyncio.create_task(replica.outbox.drain())
    await replica.put(desk())
    await until(lambda: replica.told)
    async with running(migrated) as other, draining(other):
        with psycopg.connect(migrated, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
                " and database = (select oid from pg_database where datname = current_database())"
            )
        await asyncio.wait([losing], timeout=20)
        await other.put(event := desk())
        await until(lambda: event in other.told)
    error = losing.exception()
    assert error is not None
    assert is_transient(error)


async def test_what_waits_is_counted_with_its_age(replica: Replica) -> None:
    """So that an outbox which nobody drains is seen; none that waits has no age."""
    assert (0, 0.0) == await replica.outbox.count()
    await replica.put(desk(), desk())
    waiting, oldest = await replica.outbox.count()
    assert waiting == 2
    assert oldest > 0
