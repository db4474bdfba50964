"""Following the stream of facts: resumes where it was, survives a restart of the server, repeats nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import SSEError, aconnect_sse

from services.cli.connection import Connection
from services.cli.speaking import Refused

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 3.0
BEGINNING = "1-0"
"""The cursor before the first fact."""
OUTCOMES = ("booking.confirmed", "booking.exhausted", "notification.sent")
"""What `watch` shows unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the feed: its cursor, its type, the event, and whether it says that something is over."""

    cursor: str
    type: str
    event: dict[str, Any]


async def follow(connection: Connection, *, types: Sequence[str] = (), since: str = "now") -> AsyncIterator[Fact]:
    """Facts as they happen, from a cursor on. Raises Refused when the server says that it never will."""
    cursor, pause = since, FIRST_PAUSE
    query: list[tuple[str, str | int | float | bool | None]] = [("type", one) for one in types]
    async with httpx.AsyncClient(base_url=connection.url, headers=connection.headers, timeout=30.0) as client:
        while True:
            try:
                params = httpx.QueryParams([*query, ("since", cursor)])
                async with aconnect_sse(client, "GET", "/events", params=params) as source:
                    if source.response.status_code in (400, 401, 403, 404, 410, 422):
                        await source.response.aread()
                        problem = source.response.json()
                        raise Refused(f"{problem.get('title')}. {problem.get('detail')}")
                    source.response.raise_for_status()
                    async for one in source.aiter_sse():
                        pause = FIRST_PAUSE
                        if one.id:
                            cursor = one.id
                        if one.data:
                            yield Fact(cursor, one.event, one.json())
            except (httpx.HTTPError, SSEError):
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)


def line_of(fact: Fact) -> str:
    """A fact in a line, for people."""
    data, referral = fact.event["data"], fact.event["subject"][:8]
    if fact.type == "booking.confirmed":
        service = data["service"]
        when = data.get("starts_at") or data.get("acceptance_due") or ""
        return f"{referral}  {data['outcome'].replace('_', ' '):11} {service['name']} {when} ref {data['reference']}"
    if fact.type == "booking.exhausted":
        return f"{referral}  unplaced    {data['why']}; {data['owner']['name']} decides"
    if fact.type == "notification.sent":
        whom = data.get("organisation") or "the patient"
        return f"{referral}  told        {data['audience']} {whom} by {data['channel']}: {data['template']}"
    return f"{referral}  {fact.type}"
