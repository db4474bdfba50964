"""Sending: one try, and what it came to. The gateway as a device reaches it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

import httpx

FINAL = frozenset({201, 400, 403, 409, 413, 415, 422})
"""An outcome, or a refusal that no repeat mends. All else is tried again: what is not known is never given up."""

WAIT_SECONDS = 5
"""How long the gateway is asked to wait for the outcome."""

REPLY_SECONDS = WAIT_SECONDS + 5.0
"""After so long there is no answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a try came to. Without a status there was no answer, and nobody knows whether it was received."""

    status: int | None
    body: dict[str, Any]
    seconds: float
    why: str = ""
    """In words, where it is not an answer."""
    retry_after: float = 0.0
    """Seconds that the gateway asks to wait before the next try."""
    date: datetime | None = None
    """The gateway's clock."""

    @property
    def is_final(self) -> bool:
        """Whether it answers the submission."""
        return self.status in FINAL

    @property
    def received(self) -> str | None:
        """The id of the referral, where it was received and is not settled."""
        return self.body.get("referral_id") if self.status == 202 else None


class Gateway:
    """The gateway, over a client that knows its address, for whom a token speaks."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._authorisation = {"Authorization": f"Bearer {token}"}

    async def refer(self, key: UUID, body: bytes, within: float = REPLY_SECONDS) -> Reply:
        """Send a submission once, under its key. `within`: seconds until the signal is lost."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(key), "Prefer": f"wait={WAIT_SECONDS}"}
        return await self._try("POST", "/referrals", within, headers, body)

    async def came_of(self, key: UUID, within: float = REPLY_SECONDS) -> Reply:
        """Ask what came of a key, without sending anything that could be acted on: 404 says that nothing did."""
        return await self._try("GET", f"/attempts/{key}", within, {}, None)

    async def _try(self, method: str, path: str, within: float, headers: dict[str, str], body: bytes | None) -> Reply:
        began = time.perf_counter()
        try:
            response = await self._client.request(
                method,
                path,
                content=body,
                headers=self._authorisation | headers,
                timeout=max(0.01, min(within, REPLY_SECONDS)),
            )
            said = response.json() if response.content else {}
        except httpx.HTTPError as error:
            return Reply(None, {}, time.perf_counter() - began, f"no answer ({type(error).__name__})")
        except ValueError:  # a proxy's page
            said = {}
        return Reply(
            response.status_code,
            said if isinstance(said, dict) else {},
            time.perf_counter() - began,
            f"the answer was {response.status_code} {said.get('title', '') if isinstance(said, dict) else ''}".rstrip(),
            _seconds_of(response.headers.get("retry-after")),
            _instant_of(response.headers.get("date")),
        )


def _seconds_of(retry_after: str | None) -> float:
    """A Retry-After in seconds, or as a time by the gateway's clock."""
    if retry_after is None:
        return 0.0
    if retry_after.isdigit():
        return float(retry_after)
    until = _instant_of(retry_after)
    return 0.0 if until is None else max(0.0, (until - datetime.now(UTC)).total_seconds())


def _instant_of(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
