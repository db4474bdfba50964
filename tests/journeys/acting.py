"""Organisations that act on referrals over a whole system, as the journeys of a referral's life need them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg

from services.cli.connection import TRUST
from tests.journeys.sending import incident_of
from tests.running import System

PATIENCE_SECONDS = 60.0

SERVICE = """
[[services]]
service_id = "{service}"
name = "{service}"
service_type = 146
organisation = "{organisation}"
position = {{ latitude = 52.899, longitude = -1.203 }}
telephone = "01632 960150"
age_from = {{ value = {age}, unit = "years" }}
booking = "slots"
"""
SESSIONS = """[[services.sessions]]
days = [{days}]
begins = "00:00"
ends = "24:00"
slot_minutes = 15
capacity = {capacity}
"""
EVERY_DAY = '"mon", "tue", "wed", "thu", "fri", "sat", "sun"'

HOLDING = """
select p.referral_id from booking.bookings b join booking.placements p using (placement_id)
where b.released_at is null and p.referral_id = any(%s)
"""
"""Which of these referrals hold something."""


def service(name: str, organisation: str, *, capacity: int = 50, age: int = 18, days: str = EVERY_DAY) -> str:
    """A service near every patient of these journeys, as a directory file has it."""
    sessions = SESSIONS.format(capacity=capacity, days=days)
    return SERVICE.format(service=name, organisation=organisation, age=age) + sessions


def diary_elsewhere(name: str, organisation: str, address: str) -> str:
    """The same, of one whose receiver keeps its diary."""
    return SERVICE.format(service=name, organisation=organisation, age=18) + f'diary = {{ address = "{address}" }}\n'


@dataclass(frozen=True)
class World:
    """A system, and whoever acts on it over HTTP. Each organisation speaks with a token of its own."""

    system: System
    database: str
    client: httpx.AsyncClient
    gateway: str
    referrals: str
    """The processes that answer these services' routes."""

    async def refer(
        self,
        *accept: str,
        scenario: str = "palliative",
        key: UUID | None = None,
        prefer: str = "wait=30",
        organisation: str = TRUST,
        **patient: str,
    ) -> httpx.Response:
        """Refer a patient of a scenario to services, in this order; to what the scenario accepts if none is named.

        Who is told 429 sends it again under its key, as every sender does: a journey takes services away.
        """
        submission = incident_of(scenario).submission.model_dump(mode="json", exclude_none=True)
        if accept:
            submission["accept"] = [{"service": one} for one in accept]
        submission["patient"] |= patient
        headers = self.headers(organisation) | {"Idempotency-Key": str(key or uuid4()), "Prefer": prefer}
        address = f"{self.system.url(self.gateway)}/referrals"

        async def send() -> httpx.Response | None:
            response = await self.client.post(address, json=submission, headers=headers)
            return None if response.status_code == httpx.codes.TOO_MANY_REQUESTS else response

        answer: httpx.Response = await at_last(send, "the submission is let in")
        return answer

    async def placed(self, *accept: str, scenario: str = "palliative") -> dict[str, Any]:
        """The answer to a submission that must have a place."""
        response = await self.refer(*accept, scenario=scenario)
        answer: dict[str, Any] = response.json()
        assert (201, True) == (response.status_code, answer.get("service") is not None), response.text
        return answer

    async def act(
        self,
        organisation: str,
        referral: str,
        action: str,
        *,
        key: UUID | None = None,
        seen: int | None = None,
        prefer: str = "wait=30",
        **said: Any,
    ) -> httpx.Response:
        """Ask for an action."""
        headers = self.headers(organisation) | {"Idempotency-Key": str(key or uuid4()), "Prefer": prefer}
        if seen is not None:
            headers["If-Match"] = f'"{seen}"'
        address = f"{self.system.url(self.gateway)}/referrals/{referral}/actions"
        return await self.client.post(address, json={"action": action, **said}, headers=headers)

    async def done(self, organisation: str, referral: str, action: str, **said: Any) -> dict[str, Any]:
        """The answer to an action that must be done."""
        response = await self.act(organisation, referral, action, **said)
        assert 200 == response.status_code, f"{action}: {response.text}"
        answer: dict[str, Any] = response.json()
        return answer

    async def read(self, organisation: str, referral: str, more: str = "") -> httpx.Response:
        """What an organisation reads of a referral."""
        address = f"{self.system.url(self.referrals)}/referrals/{referral}{more}"
        return await self.client.get(address, headers=self.headers(organisation))

    async def stands(self, referral: str, *states: str) -> dict[str, Any]:
        """The referral as the referrer reads it, once it is in one of these states."""

        async def look() -> dict[str, Any] | None:
            read: dict[str, Any] = (await self.read(TRUST, referral)).json()
            return read if read.get("state") in states else None

        return await at_last(look, f"{referral} is {' or '.join(states)}")

    async def holds_nothing(self, *referrals: str) -> None:
        """Return once none of the referrals holds anything."""

        async def look() -> bool:
            return not await asyncio.to_thread(self.holding, referrals)

        await at_last(look, f"none of {len(referrals)} holds anything")

    def holding(self, referrals: Sequence[str]) -> list[str]:
        """Those of the referrals that hold something."""
        return [str(one) for (one,) in self.asked(HOLDING, list(referrals))]

    def asked(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the database says."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(query, parameters).fetchall()

    async def told(self, referral: str, reason: str) -> set[str]:
        """Who was told of a fact about the referral, once it is somebody."""
        query = """select m.audience from notification.messages_as_they_stand m
            where m.referral = %s and m.reason = %s and m.state = 'accepted'"""

        async def look() -> set[str]:
            return {one for (one,) in await asyncio.to_thread(self.asked, query, referral, reason)}

        return await at_last(look, f"somebody is told {reason}")

    def headers(self, organisation: str) -> dict[str, str]:
        """Who asks."""
        return {"Authorization": f"Bearer {_token(self.system, organisation)}"}


@cache
def _token(system: System, organisation: str) -> str:
    return system.token(organisation, "desk")


async def at_last(look: Callable[[], Any], what: str) -> Any:
    """What is seen once it is something. Fails when the time is up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := await look()):
        assert time.monotonic() < deadline, f"not so: {what}"
        await asyncio.sleep(0.1)
    return found
