"""Devices that send until each key is answered, and write down what they were told."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import httpx

from contracts.people import Position
from services.device.incidents import Incident, shift
from services.device.journal import Journal
from services.device.sender import refer

MIDDLE = Position(latitude=52.90, longitude=-1.20)


async def send_all(url: str, token: str, journal: Journal, *, count: int, devices: int, seed: int) -> None:
    """Send `count` incidents from several devices at once; return when every key is settled or refused."""
    waiting = islice(shift(seed, MIDDLE), count)
    limits = httpx.Limits(max_connections=devices, max_keepalive_connections=devices)
    async with httpx.AsyncClient(base_url=url, limits=limits) as client:
        await asyncio.gather(*(_device(client, token, journal, waiting) for _ in range(devices)))


async def _device(client: httpx.AsyncClient, token: str, journal: Journal, waiting: Iterator[Incident]) -> None:
    for incident in waiting:
        journal.intend(incident.key, incident.scenario, datetime.now(UTC))
        body = incident.submission.model_dump_json(exclude_none=True).encode()
        answered = await refer(client, incident.key, body, token)
        journal.answered(incident.key, answered.status, answered.body.get("referral_id"), answered.body.get("outcome"))
