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


async def in_turns(system: LocalSystem) -> Latencies:
    """Rounds of both, one after the other, after a warm-up of each."""
    await _make_topic(system)
    latencies = Latencies()
    token = system.token(TRUST, "bench", "paramedic")
    now, count = datetime.now(UTC), int(PER_SECOND * (ROUND_SECONDS * ROUNDS + WARM_SECONDS)) + 1
    incidents = list(islice(shift(77, [MIDDLE], lambda _: now), count))
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=3)
    with _echo(system) as port:
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:

            async def refer(number: int) -> None:
                incident = incidents[number]
                response = await client.post(
                    f"{system.base_url}/referrals",
                    content=incident.submission.model_dump_json(exclude_none=True),
                    headers={
                        "Authorization": f"Bearer {token}",
                        "Content-Type": "application/json",
                        "Idempotency-Key": str(incident.key),
                    },
                )
                if response.status_code != 201:
                    raise Failed("POST /referrals", response.status_code)

            async def echo(number: int) -> None:
                body = incidents[number].submission.model_dump_json(exclude_none=True)
                response = await client.post(f"http://127.0.0.1:{port}/echo", content=body)
                if response.status_code != 200:
                    raise Failed("the echo", response.status_code)

            await constant(echo, per_second=PER_SECOND, seconds=WARM_SECONDS)
            await constant(refer, per_second=PER_SECOND, seconds=WARM_SECONDS)
            done = int(PER_SECOND * WARM_SECONDS)
            for number in range(ROUNDS):
                first = done + int(number * PER_SECOND * ROUND_SECONDS)
                latencies.echo.append(await constant(echo, per_second=PER_SECOND, seconds=ROUND_SECONDS, first=first))
                latencies.transaction.append(
                    await constant(refer, per_second=PER_SECOND, seconds=ROUND_SECONDS, first=first)
                )
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
