"""How old a change is when an answer first shows it, at a hundred changes a second.

Reports of capacity, over HTTP, through PostgreSQL, the outbox, Kafka and the index, back to lookups. Lookups follow one
another without a pause: each answer says of every service that it shows since when its capacity is so, and with that
which changes have come. So the changes of all that are shown are timed, a stall as often as it is met.
"""

import asyncio
import random
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

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
PATIENCE_SECONDS = 10.0
"""After the last change: what is not seen by then is lost, which is a fault and no figure."""
MOST_TYPES_ASKED = 20
NEVER = "2000-01-01T00:00:00Z"
"""Since when what was never reported is as it is."""
PATIENT: dict[str, str | float] = {"age": 40, "gender": "female", "km": 99}


class Change(NamedTuple):
    """A report that was made."""

    service_id: str
    sent: float
    reported_at: datetime


class Sightings:
    """When answers first showed which report of each service."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[datetime, float]]] = defaultdict(list)

    def answered(self, shown: Mapping[str, datetime], now: float) -> None:
        """An answer came that shows services, each as it is since when."""
        for service_id, since in shown.items():
            of_it = self._seen[service_id]
            if not of_it or of_it[-1][0] < since:
                of_it.append((since, now))

    def age(self, change: Change) -> float | None:
        """How old a change was when it, or a later one of its service, was first seen; None where it was not yet."""
        of_it = self._seen[change.service_id]
        at = bisect_left(of_it, change.reported_at, key=itemgetter(0))
        return None if at == len(of_it) else of_it[at][1] - change.sent


async def freshness(under_load: LocalSystem, services: Sequence[Service], chance: random.Random) -> dict[str, float]:
    """The ages of changes when they were first seen, while a hundred are made each second."""
    tokens = {one.organisation: under_load.token(one.organisation, "bench", "capacity-reporter") for one in services}
    asking = {"Authorization": f"Bearer {tokens[services[0].organisation]}"}
    here = services[0].position
    types = sorted({one.service_type for one in services})[:MOST_TYPES_ASKED]
    # All at one time of search: nobody is gone from the answers because it closes meanwhile.
    asked = PATIENT | {"latitude": here.latitude, "longitude": here.longitude, "at": datetime.now(UTC).isoformat()}
    changes: list[Change] = []
    sightings = Sightings()
    async with httpx.AsyncClient(base_url=under_load.base_url, timeout=30) as client:

        async def report(service: Service) -> None:
            sent = time.perf_counter()
            response = await client.put(
                f"/services/{service.service_id}/capacity",
                json={"capacity": chance.choice(["green", "amber"])},  # one that is full would not be shown
                headers={"Authorization": f"Bearer {tokens[service.organisation]}"},
            )
            response.raise_for_status()
            changes.append(Change(service.service_id, sent, datetime.fromisoformat(response.json()["reported_at"])))

        async def shown() -> dict[str, datetime]:
            response = await client.get("/pathways", params={**asked, "type": types}, headers=asking)
            response.raise_for_status()
            since = {one["service_id"]: one["capacity"]["since"] for one in response.json()["candidates"]}
            return {service_id: datetime.fromisoformat(at or NEVER) for service_id, at in since.items()}

        def unseen() -> list[Change]:
            return [one for one in changes if one.service_id in followed and sightings.age(one) is None]

        followed = await shown()
        changing = asyncio.create_task(
            constant(lambda _: report(chance.choice(services)), per_second=CHANGES_A_SECOND, seconds=SECONDS)
        )
        answers = 0
        while not changing.done():
            sightings.answered(await shown(), time.perf_counter())
            answers += 1
        reports = await changing
        async with asyncio.timeout(PATIENCE_SECONDS):
            while unseen():
                sightings.answered(await shown(), time.perf_counter())
    ages = [age * 1000 for one in changes if one.service_id in followed and (age := sightings.age(one)) is not None]
    return {
        "changes_per_second": CHANGES_A_SECOND,
        "services_followed": len(followed),
        "changes_followed": len(ages),
        "answers": answers,
        "age_when_seen_p50_ms": round(percentile(ages, 0.5), 1),
        "age_when_seen_p99_ms": round(percentile(ages, 0.99), 1),
        "age_when_seen_longest_ms": round(max(ages), 1),
        "report_p99_ms": round(percentile(reports, 0.99), 1),
    }


def measure() -> dict[str, float]:
    """The figures of a system of its own, with the small directory."""
    under_load = system.start()
    try:
        return uvloop.run(freshness(under_load, read_file(SHIPPED).services, random.Random(1)))
    finally:
        system.stop()
