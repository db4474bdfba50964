"""Kafka and PostgreSQL of a test of their own, and a fact in each."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.backing import instance, kafka, postgres
from services.backing.settings import Settings
from services.chassis.kafka import Kafka

EMBEDDED = Settings()
START = """
import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner in the background ignores it
import sys; from pathlib import Path
from services.backing import instance; from services.backing.settings import Settings
backing = instance.start(Path(sys.argv[1]), say=lambda _: None, settings=Settings())
print(backing.kafka_pid, backing.postgres_pid)
"""


def start_alone(server: ModuleType, folder: Path, said: list[str]) -> None:
    """Start one of the two servers in its part of the folder."""
    if server is kafka:
        kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    else:
        postgres.start(folder / "postgres", say=said.append)


def pids(backing: instance.Backing) -> set[int]:
    """The processes of both servers, which must both be embedded."""
    assert backing.kafka_pid is not None
    assert backing.postgres_pid is not None
    return {backing.kafka_pid, backing.postgres_pid}


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code in a process of its own."""
    command = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(fact: Callable[[], object], within: float = 30) -> None:
    """Wait until something is so, at most `within` seconds."""
    deadline = time.monotonic() + within
    while not fact():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.01)


@asynccontextmanager
async def admin(broker: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """An administrator of the broker."""
    client = AIOKafkaAdminClient(**broker.administrator.client())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def write_fact(backing: instance.Backing) -> None:
    """Leave one row in PostgreSQL and one record in Kafka."""
    connection = await asyncpg.connect(backing.database_url)
    await connection.execute("create table kept (fact text)")
    await connection.execute("insert into kept values ('row')")
    await connection.close()
    async with admin(backing.kafka) as client:
        await client.create_topics([NewTopic("kept", 1, 1)])
    producer = AIOKafkaProducer(**backing.kafka.client(), acks="all")
    await producer.start()
    await producer.send_and_wait("kept", b"record")
    await producer.stop()


async def read_fact(backing: instance.Backing) -> tuple[str, bytes]:
    """Read back what `write_fact` left."""
    connection = await asyncpg.connect(backing.database_url)
    row = await connection.fetchval("select fact from kept")
    await connection.close()
    consumer = AIOKafkaConsumer("kept", **backing.kafka.client(), auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    return row, record.value
