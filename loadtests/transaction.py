"""The single transaction over HTTP, open loop, beside a bare echo over the same Kafka, in turns."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import httpx
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.topics import PARTITIONS
from loadtests.client import Client
from loadtests.open_loop import constant, percentile
from loadtests.pipeline import MIDDLE
from services.cli.connection import TRUST
from services.cli.local import LocalSystem
from services.device.shift import shift

ECHO_TOPIC = "bench-echo"
PER_SECOND = 50.0
ROUND_SECONDS = 10.0
ROUNDS = 5
WARM_SECONDS = 3.0


@dataclass
class Latencies:
    """Latencies in milliseconds, by round."""

    transaction: list[list[float]] = field(default_factory=list)
    echo: list[list[float]] = field(default_factory=list)


def overall(rounds: list[list[float]], part: float) -> float:
    """A percentile over all rounds."""
    return percentile([latency for one in rounds for latency in one], part)


async def in_turns(
    system: LocalSystem, *, per_second: float = PER_SECOND, seconds: float = ROUND_SECONDS, rounds: int = ROUNDS
) -> Latencies:
    """Rounds of both, one after the other, after a warm-up of each."""
    await _make_topic(system)
    latencies = Latencies()
    token = system.token(TRUST, "bench", "paramedic")
    now, count = datetime.now(UTC), int(per_second * (seconds * rounds + WARM_SECONDS)) + 1
    incidents = list(islice(shift(77, [MIDDLE], lambda _: now), count))
    bodies = [incident.submission.model_dump_json(exclude_none=True).encode() for incident in incidents]
    headers = {"Authorization": f"Bearer {token}"}
    with _echo(system) as port:
        async with (
            Client.open(system.base_url, headers) as onward,
            Client.open(f"http://127.0.0.1:{port}", headers) as bare,
        ):

            async def refer(number: int) -> None:
                key = str(incidents[number].key)
                reply = await onward.post("/referrals", bodies[number], {"Idempotency-Key": key})
                if reply.status != 201:
                    raise Failed("POST /referrals", reply.status)

            async def echo(number: int) -> None:
                reply = await bare.post("/echo", bodies[number], {})
                if reply.status != 200:
                    raise Failed("the echo", reply.status)

            await constant(echo, per_second=per_second, seconds=WARM_SECONDS)
            await constant(refer, per_second=per_second, seconds=WARM_SECONDS)
            done = int(per_second * WARM_SECONDS)
            for number in range(rounds):
                first = done + int(number * per_second * seconds)
                latencies.echo.append(await constant(echo, per_second=per_second, seconds=seconds, first=first))
                latencies.transaction.append(await constant(refer, per_second=per_second, seconds=seconds, first=first))
    return latencies


class Failed(Exception):
    """A request was not answered as it must be, so the run counts for nothing."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what} answered {status}")


async def _make_topic(system: LocalSystem) -> None:
    admin = AIOKafkaAdminClient(**system.kafka.client())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(ECHO_TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


@contextmanager
def _echo(system: LocalSystem) -> Iterator[int]:
    """The echo in a process of its own; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "loadtests.peers.echo", "--topic", ECHO_TOPIC, "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | system.kafka.environ)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.post(f"http://127.0.0.1:{port}/echo", content=b"{}", timeout=10).raise_for_status()
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)
