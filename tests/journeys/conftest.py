"""A whole system with the shipped directory, for each journey."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.chassis import topics
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from tests.running import System


@pytest.fixture
def system(kafka: str, database: str, prefix: str, tmp_path: Path) -> Iterator[System]:
    """Every service in a process of its own, the small directory loaded, all ready."""
    make_topics(kafka, prefix)
    system = System.prepare(kafka, database, prefix, tmp_path)
    try:
        system.start_each()
        system.wait_until_ready(except_for="the directory is empty")
        load(Connection(system.url("pathways"), system.token(TRUST, "directory-editor")), SHIPPED)
        system.wait_until_ready()
        yield system
    finally:
        system.stop()


def make_topics(kafka: str, prefix: str) -> None:
    """Make the declared topics; in a thread, because a test's event loop may be set in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _make_topics(kafka, prefix)).result()


async def _make_topics(kafka: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await topics.apply(admin, topics.declared(prefix))
    finally:
        await admin.close()
