"""A whole system with the shipped directory, for each journey."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.backing import instance
from services.chassis.kafka import Kafka
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.cli.topics import compare
from tests.conftest import broken_in, empty_database, new_prefix
from tests.running import System


@dataclass(frozen=True)
class Shared:
    """A system that all journeys of a module share, and the database under it."""

    system: System
    database: str


@pytest.fixture
def system(kafka: Kafka, database: str, prefix: str, tmp_path: Path) -> Iterator[System]:
    """Every service in a process of its own, the small directory loaded, all ready."""
    with running(kafka, database, prefix, tmp_path) as system:
        yield system


@pytest.fixture(scope="module")
def shared(backing: instance.Backing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """As `system`, for a module whose journeys leave every service running; in the end every invariant holds."""
    folder = tmp_path_factory.mktemp("shared")
    with empty_database(backing) as database, new_prefix(backing.kafka) as prefix:
        with running(backing.kafka, database, prefix, folder) as system:
            yield Shared(system, database)
        assert [] == broken_in(backing.kafka, database, prefix)


@contextmanager
def running(kafka: Kafka, database: str, prefix: str, folder: Path) -> Iterator[System]:
    """Every service in a process of its own, the small directory loaded, all ready; stopped in the end."""
    system = System.prepare(kafka, database, prefix, folder)
    make_topics(kafka, prefix)
    try:
        system.start_each()
        system.wait_until_ready(except_for="the directory is empty")
        load(Connection(system.url("pathways"), system.token(TRUST, "directory-editor")), SHIPPED)
        system.wait_until_ready()
        yield system
    finally:
        system.stop()


def make_topics(kafka: Kafka, prefix: str) -> None:
    """Make the declared topics, users and rules; in a thread, because a test's event loop may be set in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, compare(kafka, prefix, change=True)).result()
