"""Sending: one submission, under one key, until it is answered."""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 3.0
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back: the status and body of the last answer, how many tries it took, and how long."""

    status: int
    body: dict[str, Any]
    tries: int
    seconds: float

    @property
    def settled(self) -> bool:
        """Whether the answer is an outcome."""
        return self.status == 201


class NoAnswer(Exception):
    """Nothing but failures came back, for longer than the device waits."""

    def __init__(self, key: UUID, last: str) -> None:
        super().__init__(f"{key} was NOT answered in {PATIENCE_SECONDS:.0f} s; the last try gave {last}. Send it again")


async def refer(client: httpx.AsyncClient, key: UUID, body: bytes, token: str, *, wait_seconds: int = 5) -> Answered:
    """Send a submission, and send it again under the same key until it is settled or refused.

    A repeat is safe: the same key is the same referral. Raises NoAnswer.
    """
    began, tries, pause = time.perf_counter(), 0, FIRST_PAUSE
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": str(key),
        "Prefer": f"wait={wait_seconds}",
    }
    while True:
        tries += 1
        try:
            response = await client.post("/referrals", content=body, headers=headers, timeout=wait_seconds + 5)
        except httpx.HTTPError as error:
            last = type(error).__name__
        else:
            last = str(response.status_code)
            if response.status_code not in (202, 408, 429) and response.status_code < 500:
                return Answered(response.status_code, response.json(), tries, time.perf_counter() - began)
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise NoAnswer(key, last)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 a jitter
        pause = min(LONGEST_PAUSE, pause * 2)
