"""More than can be answered: how soon the first sender who finds no room is told, and when there is room again."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import httpx

from loadtests.open_loop import percentile
from loadtests.pipeline import MIDDLE
from loadtests.system import hosting
from loadtests.transaction import Failed
from services.cli.connection import TRUST
from services.cli.local import LocalSystem
from services.device.incidents import Incident
from services.device.shift import shift

SENDERS = 8
REFUSALS = 100
"""So many are looked at after the first."""

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Overload:
    """What came of it."""

    taken_in: int
    first_refusal_ms: float
    refusal_p99_ms: float
    room_again_seconds: float
    """From booking's going on to the first submission that is taken in."""


async def overload(system: LocalSystem) -> Overload:
    """With booking stopped, send without waiting for outcomes until there is no room; then let booking go on."""
    now = datetime.now(UTC)
    incidents = islice(shift(78, [MIDDLE], lambda _: now), 1_000_000)
    headers = {
        "Authorization": f"Bearer {system.token(TRUST, 'bench', 'paramedic')}",
        "Content-Type": "application/json",
        "Prefer": "respond-async",
    }
    async with httpx.AsyncClient(base_url=system.base_url, headers=headers, timeout=30) as client:
        taken_in, refused = 0, list[float]()

        async def send(incident: Incident) -> int:
            body = incident.submission.model_dump_json(exclude_none=True)
            response = await client.post("/referrals", content=body, headers={"Idempotency-Key": str(incident.key)})
            if response.status_code not in (202, 429):
                raise Failed("POST /referrals", response.status_code)
            return response.status_code

        async def sender() -> None:
            nonlocal taken_in
            for incident in incidents:
                began = time.perf_counter()
                if await send(incident) == 202:
                    taken_in += 1
                elif len(refused) > REFUSALS:
                    return
                else:
                    refused.append((time.perf_counter() - began) * 1000)

        with _stopped(system):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*(sender() for _ in range(SENDERS)))
        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await send(next(incidents)) != 202:
                await asyncio.sleep(0.05)
        return Overload(taken_in, refused[0], percentile(refused, 0.99), time.perf_counter() - began)


@contextmanager
def _stopped(system: LocalSystem) -> Iterator[None]:
    process = hosting(system, "booking").child.pid
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
