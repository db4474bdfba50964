"""A crew's device at a pace, with its journal."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import httpx

from contracts.people import Position
from services.cli.connection import Connection
from services.cli.speaking import Refused, print_line
from services.device.incidents import scenarios, shift
from services.device.journal import Journal
from services.device.screen import lines_of
from services.device.sender import refer


async def refer_at_a_pace(
    connection: Connection,
    middle: Position,
    *,
    count: int,
    every: float,
    seed: int,
    kinds: Sequence[str],
    journal: Path | None,
    as_json: bool,
) -> int:
    """Refer `count` incidents, `every` seconds; returns how many were refused. A journal's keys are not sent twice."""
    unknown = sorted(set(kinds) - set(scenarios()))
    if unknown:
        raise Refused(f"there is no scenario {', '.join(unknown)}; there are {', '.join(scenarios())}")
    kept = Journal(journal) if journal is not None else None
    refused = 0
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=connection.url) as client:
        for number, incident in enumerate(islice(shift(seed, middle, kinds), count)):
            if kept is not None and incident.key in kept.entries and kept.entries[incident.key].status is not None:
                continue
            await asyncio.sleep(max(0.0, began + number * every - time.monotonic()))
            if kept is not None:
                kept.intend(incident.key, incident.scenario, datetime.now(UTC))
            body = incident.submission.model_dump_json(exclude_none=True).encode()
            answered = await refer(client, incident.key, body, connection.token)
            if kept is not None:
                kept.answered(
                    incident.key, answered.status, answered.body.get("referral_id"), answered.body.get("outcome")
                )
            refused += not answered.settled
            if as_json:
                print_line({"scenario": incident.scenario, "status": answered.status, "answer": answered.body})
            else:
                print("\n".join(lines_of(incident, answered)), flush=True)
    if kept is not None:
        kept.close()
    return refused
