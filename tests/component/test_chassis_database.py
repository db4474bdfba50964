"""PostgreSQL under the chassis: one schema and role a service, made once, and nothing of another's in reach."""

import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest
from psycopg import sql

from services.chassis.audit import audit
from services.chassis.database import AUDIT, OUTBOX, Database, NotMigrated
from services.chassis.identity import Caller
from tests.chassis_examples import settings

pytestmark = pytest.mark.backing

ALPHA, BETA = "chassis_test_alpha", "chassis_test_beta"


@pytest.fixture(autouse=True)
def no_roles(database: str) -> Iterator[None]:
    """Roles belong to the whole server: those of these tests do not exist before, nor after."""
    drop_roles(database)
    yield
    drop_roles(database)


def drop_roles(database: str) -> None:
    """Drop the roles, with what they own in this database."""
    with psycopg.connect(database, autocommit=True) as connection:
        for schema in (ALPHA, BETA):
            role = sql.Identifier(f"onward_{schema}")
            if connection.execute("select 1 from pg_roles where rolname = %s", [f"onward_{schema}"]).fetchone():
                connection.execute(sql.SQL("drop owned by {}").format(role))
                connection.execute(sql.SQL("drop role {}").format(role))


def of(database: str, schema: str) -> Database:
    """A service's database, with the tables that several services keep."""
    return Database(settings(database=database), schema, OUTBOX, AUDIT)


def migrate(database: str) -> None:
    """Migrate, in a process of its own."""
    of(database, ALPHA).migrate()


@pytest.fixture
async def alpha(database: str) -> AsyncIterator[Database]:
    """A service's database, migrated and started."""
    whole = of(database, ALPHA)
    whole.migrate()
    await whole.start()
    yield whole
    await whole.stop()


@asynccontextmanager
async def running(database: str, schema: str) -> AsyncIterator[Database]:
    """A migrated database with its pool open."""
    one = of(database, schema)
    one.migrate()
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


def tables(database: str) -> set[tuple[str, str, str]]:
    """Schema, name and owner of every table that is not yoyo's."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "select schemaname, tablename, tableowner from pg_tables"
            " where schemaname like 'chassis_test_%' and tablename !~ 'yoyo'"
        )
        return {(schema, table, owner) for schema, table, owner in rows}


EXPECTED = {(ALPHA, "outbox", f"onward_{ALPHA}"), (ALPHA, "audit", f"onward_{ALPHA}")}


def test_migrating_makes_schema_role_and_tables(database: str) -> None:
    """All belong to the service's role."""
    migrate(database)
    assert EXPECTED == tables(database)


def test_migrating_twice_changes_nothing(database: str) -> None:
    """Every start may migrate."""
    migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "insert into {}.audit (organisation, practitioner, role, action, ids)"
                " values ('RX1', 'P1', 'nurse', 'read', array['1'])"
            ).format(sql.Identifier(ALPHA))
        )
        migrate(database)
        assert (1,) == connection.execute(
            sql.SQL("select count(*) from {}.audit").format(sql.Identifier(ALPHA))
        ).fetchone()
    assert EXPECTED == tables(database)


def test_several_processes_migrate_at_once(database: str) -> None:
    """Every replica of a release starts at the same moment."""
    with ProcessPoolExecutor(4) as processes:
        assert [None] * 6 == list(processes.map(migrate, [database] * 6))
    assert EXPECTED == tables(database)


def test_a_role_that_another_database_is_making_is_waited_for(database: str) -> None:
    """Roles are the server's, the migrations' lock a database's: two systems of one server may start together."""
    with psycopg.connect(database) as other:
        other.execute(sql.SQL("create role {}").format(sql.Identifier(f"onward_{ALPHA}")))
        migrating = threading.Thread(target=migrate, args=[database])
        migrating.start()
        with psycopg.connect(database, autocommit=True) as watching:
            waiting = (
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like 'create role%'"
            )
            while watching.execute(waiting).fetchone() == (0,):
                assert migrating.is_alive()
        other.commit()
        migrating.join()
    assert EXPECTED == tables(database)


async def test_a_service_cannot_read_anothers_tables(alpha: Database, database: str) -> None:
    """Permission denied, by name or by search path, to read or to write."""
    beta = of(database, BETA)
    beta.migrate()
    await beta.start()
    try:
        for statement in (
            f"select * from {ALPHA}.outbox",
            f"insert into {ALPHA}.audit (organisation) values ('RX1')",
            f"drop table {ALPHA}.outbox",
            f"create table {ALPHA}.mine (x int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await beta.pool.execute(statement)
    finally:
        await beta.stop()


async def test_every_connection_has_the_services_role_and_schema(alpha: Database) -> None:
    """Also one that was used and came back."""
    for _ in range(3):
        assert (f"onward_{ALPHA}", ALPHA) == tuple(
            await alpha.pool.fetchrow("select current_user::text, current_schema()::text")
        )


async def test_a_pool_holds_no_more_connections_than_it_may(database: str, alpha: Database) -> None:
    """Many services share one server."""
    connections = [await alpha.pool.acquire() for _ in range(4)]
    with pytest.raises(TimeoutError):
        await alpha.pool.acquire(timeout=0.05)
    for connection in connections:
        await alpha.pool.release(connection)


async def test_a_schema_that_was_not_made_is_named(database: str) -> None:
    """Whoever starts the service reads which command is missing."""
    with pytest.raises(NotMigrated, match=f"the schema {ALPHA} has not been made: run `onward migrate`"):
        await of(database, ALPHA).start()


async def test_it_stops_twice_and_without_a_start(database: str) -> None:
    """A process that failed to start stops everything all the same."""
    never = of(database, ALPHA)
    await never.stop()
    never.migrate()
    await never.start()
    await never.stop()
    await never.stop()


async def test_a_read_leaves_a_row_in_the_services_own_audit(alpha: Database) -> None:
    """Who, for whom, in which capacity, what, and of whom."""
    await audit(alpha.pool, Caller("RX1", "P123", "nurse"), "read", ["5f1c2a34", "6f1c2a34"])
    row = await alpha.pool.fetchrow("select * from audit")
    assert row is not None
    assert ("RX1", "P123", "nurse", "read", ["5f1c2a34", "6f1c2a34"]) == tuple(row)[2:]


async def test_a_read_that_leaves_no_row_is_not_answered(alpha: Database) -> None:
    """A failure to write it down is a failure of the call."""
    await alpha.pool.execute("drop table audit")
    with pytest.raises(asyncpg.UndefinedTableError):
        await audit(alpha.pool, Caller("RX1", "P123", "nurse"), "read", ["5f1c2a34"])


async def test_one_replica_alone_does_a_work_of_its_schema(database: str) -> None:
    """Of two replicas one does it; another work, and the same of another schema, hinder nobody; its end frees it."""
    async with running(database, ALPHA) as one, running(database, ALPHA) as two, running(database, BETA) as other:
        async with one.alone("outbox") as first, two.alone("outbox") as second:
            assert first is not None
            assert second is None
            async with two.alone("horizon") as third, other.alone("outbox") as fourth:
                assert third is not None
                assert fourth is not None
        async with two.alone("outbox") as after:
            assert after is not None


async def test_what_is_done_alone_takes_no_connection_from_the_pool(alpha: Database) -> None:
    """While works are held on to, each by one, as many connections as were asked for are there for all else."""
    async with alpha.alone("first") as first, alpha.alone("second") as second, alpha.alone("first") as taken:
        assert (True, True, None) == (first is not None, second is not None, taken)
        assert 0 == alpha.use[0]
