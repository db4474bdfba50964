"""Who reaches what: every service against every topic, group and schema, on a Kafka and a PostgreSQL that refuse."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    TopicAuthorizationFailedError,
)
from confluent_kafka.admin import AclOperation, ResourceType

from services.backing import instance
from services.chassis import access
from services.chassis.access import AccessRefused, rules
from services.chassis.database import Database, NotLetIn
from services.chassis.passwords import make_password
from services.chassis.settings import Settings
from services.chassis.topics import declared
from services.cli.topics import compare
from services.composition import SERVICES, databases, make_passwords, migrate
from tests.chassis_examples import admin_of
from tests.conftest import database_beside

pytestmark = pytest.mark.backing

NOT_ALLOWED = 29
"""Kafka's code for a topic that one may not see."""


@pytest.fixture(scope="module")
def system(backing: instance.Backing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A system that is made and not running: topics with one record each, users, rules, schemas and roles."""
    if backing.kafka.passwords is None:
        pytest.skip("the Kafka that was given asks nobody who they are")
    name = f"test_{uuid.uuid4().hex}"
    settings = Settings(
        kafka=backing.kafka.services,
        database_url=database_beside(backing.database_url, name),
        database_passwords=tmp_path_factory.mktemp("passwords"),
        keys_file=Path("none"),
        topic_prefix=f"{name[:9]}-",
    )
    with psycopg.connect(backing.database_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        try:
            make_passwords(settings, os.environ)
            migrate(settings, os.environ)
            asyncio.run(_fill(settings))
            yield settings
        finally:
            connection.execute(f"drop database {name} with (force)")


async def _fill(system: Settings) -> None:
    await compare(system.kafka, system.topic_prefix, change=True)
    async with AIOKafkaProducer(**system.kafka.administrator.client()) as producer:
        for topic in declared(system.topic_prefix):
            await producer.send_and_wait(topic.name, b"{}", key=b"k", partition=0)


def client(system: Settings, service: str) -> dict[str, object]:
    """What a client of this service is told."""
    return system.kafka.client(system.kafka_user(service))


def named(operation: AclOperation) -> set[tuple[str, str]]:
    """Service and topic of every pair that is declared."""
    return {
        (rule.principal.removeprefix("User:"), rule.name)
        for rule in rules()
        if rule.operation is operation and rule.restype is ResourceType.TOPIC
    }


async def test_who_may_write_which_topic(system: Settings) -> None:
    """Every service tries to write every topic: what is declared is taken, all else refused."""
    taken = set()
    for service in SERVICES:
        async with AIOKafkaProducer(**client(system, service), enable_idempotence=True) as producer:
            for topic in declared():
                try:
                    await producer.send_and_wait(f"{system.topic_prefix}{topic.name}", b"{}", key=b"k", partition=0)
                except TopicAuthorizationFailedError:
                    continue
                taken.add((service, topic.name))
    assert named(AclOperation.WRITE) == taken


async def test_who_may_read_which_topic(system: Settings) -> None:
    """Every service tries to read the record that lies on every topic: what is declared is given, all else refused."""
    given = set()
    for service in SERVICES:
        async with AIOKafkaConsumer(**client(system, service)) as consumer, admin_as(system, service) as admin:
            for topic in declared():
                partition = TopicPartition(f"{system.topic_prefix}{topic.name}", 0)
                (described,) = await admin.describe_topics([partition.topic])
                if described["error_code"] == NOT_ALLOWED:
                    continue
                consumer.assign([partition])
                consumer.seek(partition, 0)
                try:
                    record = await asyncio.wait_for(consumer.getone(partition), 20)
                except TopicAuthorizationFailedError:
                    continue
                given.add((service, record.topic.removeprefix(system.topic_prefix)))
    assert named(AclOperation.READ) == given


async def test_a_service_may_use_its_own_groups_alone(system: Settings) -> None:
    """Nobody can move another's offsets, and so make it skip or repeat."""
    used = set()
    for service in SERVICES:
        async with admin_as(system, service) as admin:
            for other in SERVICES:
                try:
                    await admin.list_consumer_group_offsets(f"{system.topic_prefix}{other}.notifications")
                except GroupAuthorizationFailedError:
                    continue
                except GroupCoordinatorNotAvailableError:  # let in, before a new broker has made room for groups
                    pass
                used.add((service, other))
    assert {(service, service) for service in SERVICES} == used


async def test_a_service_makes_no_topics_and_no_rules(system: Settings) -> None:
    """The administrator alone does."""
    name = f"{system.topic_prefix}mine"
    async with admin_as(system, "gateway") as admin:
        ((_, code, *_),) = (await admin.create_topics([NewTopic(name, 1, 1)])).topic_errors
        assert NOT_ALLOWED == code
    as_gateway = replace(system.kafka, user=system.kafka_user("gateway"))
    with pytest.raises(AccessRefused, match="refused to set passwords: CLUSTER_AUTHORIZATION_FAILED"):
        await asyncio.to_thread(access.apply, as_gateway, system.topic_prefix)


async def test_what_is_not_declared_is_taken_back(system: Settings, tmp_path: Path) -> None:
    """A rule that a file had and another has not is gone after `apply`, and what it lacks is there again."""
    text = access.DECLARED_IN.read_text()
    other = tmp_path / "topics.yaml"
    other.write_text(text.replace("written_by: triage", "written_by: gateway"))
    await asyncio.to_thread(access.apply, system.kafka, system.topic_prefix, other)
    plan = await asyncio.to_thread(access.plan, system.kafka, system.topic_prefix)
    prefix = system.topic_prefix
    assert [f"{prefix}triage may write topic {prefix}triage"] == [access.sentence(one) for one in plan.missing]
    assert [f"{prefix}gateway may write topic {prefix}triage"] == [access.sentence(one) for one in plan.surplus]
    assert plan == await asyncio.to_thread(access.apply, system.kafka, system.topic_prefix)
    assert (await asyncio.to_thread(access.plan, system.kafka, system.topic_prefix)).holds


async def test_a_new_password_holds_and_the_old_one_does_not(system: Settings) -> None:
    """Passwords can be changed: put another in the file, apply, start the service again."""
    assert system.kafka.passwords is not None
    before = client(system, "triage")
    (system.kafka.passwords / system.kafka_user("triage")).unlink()
    make_password(system.kafka.passwords, system.kafka_user("triage"))
    await asyncio.to_thread(access.apply, system.kafka, system.topic_prefix)
    async with admin_as(system, "triage"):
        pass
    old = AIOKafkaAdminClient(**before)
    with pytest.raises(Exception, match="bootstrap"):
        await old.start()
    await old.close()


@asynccontextmanager
async def admin_as(system: Settings, service: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Who asks as this service."""
    async with admin_of(replace(system.kafka, user=system.kafka_user(service))) as admin:
        yield admin


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[asyncpg.Pool]:
    """A service's pool."""
    await database.start()
    try:
        yield database.pool
    finally:
        await database.stop()


async def test_who_reaches_which_schema(system: Settings) -> None:
    """Every service's role tries every table of every schema, as itself and by its own password: its own alone."""
    every = databases(system, os.environ)
    reached, tables = set(), {}
    administrator = await asyncpg.connect(system.database_url)
    for schema, table in await administrator.fetch("select schemaname, tablename from pg_tables"):
        tables.setdefault(schema, []).append(table)
    await administrator.close()
    for database in every:
        async with connected(database) as pool:
            assert database.role == await pool.fetchval("select session_user::text")
            for other in every:
                for table in tables[other.schema]:
                    try:
                        await pool.fetch(f"select * from {other.schema}.{table} limit 1")
                        await pool.execute(f"delete from {other.schema}.{table} where false")
                    except asyncpg.InsufficientPrivilegeError:
                        continue
                    reached.add((database.schema, other.schema, table))
    assert {(one.schema, one.schema, table) for one in every for table in tables[one.schema]} == reached
    assert len(every) > 4


async def test_a_role_makes_nothing_outside_its_schema(system: Settings) -> None:
    """Neither in another's, nor in the public one, nor a schema of its own; and it becomes no other."""
    every = databases(system, os.environ)
    for database in every:
        async with connected(database) as pool:
            others = [other for other in every if other is not database]
            for statement in (
                "create table public.mine (x int)",
                "create schema mine",
                "create role mine",
                *(f"create table {other.schema}.mine (x int)" for other in others),
                *(f"set role {other.role}" for other in others),
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await pool.execute(statement)


async def test_another_password_is_refused_and_said(system: Settings, tmp_path: Path) -> None:
    """A role without its password reaches nothing; whoever starts it reads what to do."""
    for database in databases(system, os.environ):
        make_password(tmp_path, database.role)
    for database in databases(system.model_copy(update={"database_passwords": tmp_path}), os.environ):
        with pytest.raises(NotLetIn, match=f"does not let {database.role} in with its password: run `onward migrate`"):
            await database.start()
