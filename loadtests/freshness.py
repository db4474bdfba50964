"""`python -m loadtests.freshness`: how soon a change is seen in a lookup, at a hundred changes a second.

Reports of capacity, over HTTP, through PostgreSQL, the outbox, Kafka and the index, back to a lookup.
"""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import httpx
import uvloop

from contracts.directory import Service
from loadtests import system
from loadtests.open_loop import constant, percentile
from services.cli.directory import SHIPPED
from services.cli.local import LocalSystem
from services.pathways.directory_file import read_file

CHANGES_A_SECOND = 100.0
SECONDS = 20.0
PROBES = 40
PATIENCE_SECONDS = 30.0


async def freshness(under_load: LocalSystem, services: Sequence[Service], chance: random.Random) -> dict[str, Any]:
    """Latencies from a report's being sent to its being seen, while a hundred others are made each second."""
    tokens = {one.organisation: under_load.token(one.organisation, "bench", "capacity-reporter") for one in services}
    probed, others = services[0], services[1:]
    async with httpx.AsyncClient(base_url=under_load.base_url, timeout=30) as client:

        async def report(service: Service, status: str) -> None:
            response = await client.put(
                f"/services/{service.service_id}/capacity",
                json={"capacity": status},
                headers={"Authorization": f"Bearer {tokens[service.organisation]}"},
            )
            response.raise_for_status()

        async def change(_number: int) -> None:
            await report(chance.choice(others), chance.choice(["green", "amber", "red"]))

        async def seen() -> str:
            response = await client.get(
                "/pathways/explanation",
                params={
                    "service": probed.service_id,
                    "type": probed.service_type,
                    "latitude": probed.position.latitude,
                    "longitude": probed.position.longitude,
                },
                headers={"Authorization": f"Bearer {tokens[probed.organisation]}"},
            )
            response.raise_for_status()
            return str(response.json()["capacity"]["status"])

        async def probe() -> list[float]:
            latencies = []
            for number in range(PROBES):
                status = ("amber", "green")[number % 2]
                began = time.perf_counter()
                await report(probed, status)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while await seen() != status:
                        await asyncio.sleep(0.01)
                latencies.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(SECONDS / PROBES / 2)
            return latencies

        changing = asyncio.create_task(constant(change, per_second=CHANGES_A_SECOND, seconds=SECONDS))
        latencies = await probe()
        during = not changing.done()
        reports = await changing
    return {
        "changes_per_second": CHANGES_A_SECOND,
        "seen_p50_ms": round(percentile(latencies, 0.5), 1),
        "seen_longest_ms": round(max(latencies), 1),
        "report_p99_ms": round(percentile(reports, 0.99), 1),
        "probed_while_changing": during,
    }


def main() -> None:
    """Print the figures as JSON."""
    under_load = system.start()
    try:
        services = read_file(SHIPPED).services
        print(json.dumps(uvloop.run(freshness(under_load, services, random.Random(1))), indent=1))
    finally:
        system.stop()


if __name__ == "__main__":
    main()
