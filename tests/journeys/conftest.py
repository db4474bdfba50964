"""A whole system with the shipped directory, for each journey."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.chassis.kafka import Kafka
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.cli.topics import compare
from tests.running import System


@pytest.fixture
def system(kafka: Kafka, database: str, prefix: str, tmp_path: Path) -> Iterator[System]:
    """Every service in a process of its own, the small directory loaded, all ready."""
    system = System.prepare(kafka, database, prefix, tmp_path)
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
