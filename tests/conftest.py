"""What tests of every kind share: a real Kafka and PostgreSQL, a database and a topic prefix of one's own."""

import asyncio
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.backing import instance
from services.chassis import log
from services.chassis.kafka import Kafka
from services.invariants.check import check
from tests.own_servers import Servers

# How long an example takes says something of the machine and what else it does, and nothing of the code.
hypothesis.settings.register_profile("onward", deadline=None)
hypothesis.settings.load_profile("onward")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a tool that is not here, or reference material that nobody named; fail if that is not there."""
    if item.get_closest_marker("promtool") is not None and shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: `make alerts` says how, and fails without it")
    if item.get_closest_marker("fixtures") is None:
        return
    named = os.environ.get("ONWARD_FIXTURES")
    if not named:
        pytest.skip("ONWARD_FIXTURES does not name the folder of reference material that this test compares with")
    if not Path(named).is_dir():
        pytest.fail(f"ONWARD_FIXTURES names {named}, which is not a folder: correct it, or unset it to skip this test")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged while the test runs."""
    to = io.StringIO()
    log.configure(to=to)
    yield to
    log.configure()


@pytest.fixture(scope="session")
def fixtures_folder() -> Path:
    """The folder of reference material; only for tests marked `fixtures`."""
    return Path(os.environ["ONWARD_FIXTURES"])


@pytest.fixture(scope="session")
def backing() -> Iterator[instance.Backing]:
    """Kafka and PostgreSQL for the whole session: given by the environment, or embedded with empty data."""
    with tempfile.TemporaryDirectory(prefix="onward-tests-") as folder:
        try:
            yield instance.start(Path(folder), say=print)
        finally:
            instance.stop(Path(folder), purge=True)


@pytest.fixture
def database(backing: instance.Backing) -> Iterator[str]:
    """The address of an empty database that only this test knows; dropped after it."""
    with empty_database(backing) as address:
        yield address


@pytest.fixture
def kafka(backing: instance.Backing) -> Kafka:
    """Kafka as its administrator, whom no rule binds: `AIOKafkaProducer(**kafka.client())`, `Settings(kafka=kafka)`."""
    return backing.kafka


@pytest.fixture
def prefix(kafka: Kafka) -> Iterator[str]:
    """What stands before the names of this test's topics, and of no other's; those topics are deleted after it."""
    with new_prefix(kafka) as own:
        yield own


@pytest.fixture(autouse=True)
def invariants_hold(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold the invariants at the end of every test of services on a real Kafka and PostgreSQL, once these stopped."""
    if not {"kafka", "prefix", "database"} <= set(request.fixturenames):
        yield
        return
    kafka, prefix, database = (request.getfixturevalue(name) for name in ("kafka", "prefix", "database"))
    yield
    if request.node.get_closest_marker("sabotage") is None:
        assert [] == broken_in(kafka, database, prefix)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Servers of the session's own, for tests that take them away."""
    with new_servers() as own:
        yield own


@pytest.fixture
def fresh_servers() -> Iterator[Servers]:
    """Servers of a test's own, which it need not leave as they were."""
    with new_servers() as own:
        yield own


@pytest.fixture
async def own_prefix(servers: Servers) -> AsyncIterator[str]:
    """As `prefix`, on those servers; what was taken away is there again after the test."""
    yield f"t{uuid.uuid4().hex[:8]}-"
    await servers.whole()


def broken_in(kafka: Kafka, database: str, prefix: str) -> list[str]:
    """Each invariant that does not hold, with some of what breaks it; none of a system that is whole."""
    # In a thread, because a test's event loop may still be set in this one.
    with ThreadPoolExecutor(1) as thread:
        checked = thread.submit(asyncio.run, check(kafka, database, prefix=prefix)).result()
    return [f"{one.sentence}: {one.broken}, such as {one.examples}" for one in checked.findings if one.broken]


@contextmanager
def empty_database(backing: instance.Backing) -> Iterator[str]:
    """The address of a database of one's own; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(backing.database_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        try:
            yield database_beside(backing.database_url, name)
        finally:
            connection.execute(f"drop database {name} with (force)")


@contextmanager
def new_servers() -> Iterator[Servers]:
    """Kafka and PostgreSQL with empty data; stopped and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="onward-") as name:
        try:
            yield Servers(Path(name))
        finally:
            instance.stop(Path(name), purge=True)


@contextmanager
def new_prefix(kafka: Kafka) -> Iterator[str]:
    """A prefix of one's own; the topics with it are deleted afterwards."""
    own = f"t{uuid.uuid4().hex[:8]}-"
    try:
        yield own
    finally:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _delete_topics(kafka, own)).result()


async def _delete_topics(kafka: Kafka, prefix: str) -> None:
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if topics:
            await admin.delete_topics(topics)
    finally:
        await admin.close()


def database_beside(url: str, name: str) -> str:
    """Give the address of another database on the same server."""
    before, mark, options = url.partition("?")
    scheme, _, rest = before.partition("://")
    authority, _, _ = rest.partition("/")
    return f"{scheme}://{authority}/{name}{mark}{options}"
