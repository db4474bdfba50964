"""Searches over HTTP: `GET /pathways` of a server in a process of its own, with the directory in memory."""

import asyncio
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from contracts.directory import CapacityReportedData, Service
from loadtests.open_loop import percentile
from loadtests.searches import CODES, index_of
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service as Hosted
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.pathways.free_slots import FreeSlots
from services.pathways.lookup_http import routes
from services.pathways.request import SearchRequest

AT_ONCE = 8
READY_SECONDS = 300.0


async def over_http(
    services: Sequence[Service],
    reports: Mapping[str, CapacityReportedData],
    asked: Mapping[str, Sequence[SearchRequest]],
) -> dict[str, float | int]:
    """Of each kind of search the latency of one caller, and what eight callers get a second."""
    with tempfile.TemporaryDirectory() as folder:
        signing, public = make_keys(Path(folder))
        now = datetime.now(UTC)
        token = sign(signing, organisation="ONW01", practitioner="bench", role="paramedic", now=now)
        # It listens before the server is there, and is handed to it: who asks early waits, and hears if that died.
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            arguments = (services, reports, public, listening)
            server = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments)
            server.start()
        try:
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
                (await client.get("/health/live", timeout=READY_SECONDS)).raise_for_status()
                return {
                    f"{kind}_{name}": value
                    for kind, searches in asked.items()
                    for name, value in (await _figures(client, [_parameters(one) for one in searches])).items()
                }
        finally:
            server.terminate()
            server.join()


async def _figures(client: httpx.AsyncClient, asked: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    latencies = []

    async def ask(parameters: Mapping[str, Any]) -> None:
        began = time.perf_counter()
        response = await client.get("/pathways", params=parameters)
        response.raise_for_status()
        latencies.append((time.perf_counter() - began) * 1000)

    for parameters in asked:
        await ask(parameters)
    alone, latencies = latencies, []
    waiting = iter(asked)

    async def caller() -> None:
        for parameters in waiting:
            await ask(parameters)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    per_second = len(asked) / (time.perf_counter() - began)
    return {
        "http_p50_ms": round(percentile(alone, 0.5), 2),
        "http_p99_ms": round(percentile(alone, 0.99), 2),
        "http_per_second": round(per_second, 1),
    }


def _parameters(one: SearchRequest) -> dict[str, Any]:
    """A search as a caller writes it."""
    assert one.needs is not None
    assert one.age is not None
    years = int(one.age.youngest / 365.25)
    age = {"age": years} if years >= 2 else {"age_group": "toddler"}
    wanted = {
        "latitude": one.position.latitude,
        "longitude": one.position.longitude,
        "symptom_group": one.needs.symptom_group,
        "discriminator": list(one.needs.discriminators),
        "disposition": one.needs.disposition,
        "gender": one.gender,
        "surgery": one.surgery,
        "local_authority": one.area.local_authority,
        "commissioner": one.area.commissioner,
        "km": one.km,
        "at": one.at.isoformat(),
    }
    return {name: value for name, value in wanted.items() if value not in (None, [])} | age


def _serve(
    services: Sequence[Service], reports: Mapping[str, CapacityReportedData], public: Path, listening: socket.socket
) -> None:
    index = index_of(services, reports)
    settings = Settings(kafka=Kafka("127.0.0.1:1"), database_url="postgresql://", keys_file=public)
    hosted = Hosted("pathways", settings)
    no_postcodes: Any = None  # every position is given in degrees
    lookup = routes(index, FreeSlots(), no_postcodes, CODES, complete=lambda: True, clock=lambda: datetime.now(UTC))
    hosted.serves(lookup)
    app = create_app([hosted], Verifier.from_file(public))
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])
