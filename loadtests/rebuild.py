"""How long the index takes to be made anew, how large it is, and how soon it shows a change.

In process, from the records that the topic `services` would hold.
"""

import time
from datetime import UTC, datetime
from uuid import uuid4

import psutil

from contracts.directory import Service, ServiceListed, ServiceListedData
from loadtests.peers.ground import spare_the_collector
from services.pathways.index import Index
from services.pathways.invented import invented
from services.pathways.towns import towns

RECORDS_A_READ = 2000
CHANGES = 100


def records(services: int) -> tuple[list[bytes], list[bytes]]:
    """The records of an invented directory, and those of a hundred changes."""
    listed = [one for one in invented(towns(), services, seed=1) if isinstance(one, Service)]
    moved = [one.model_copy(update={"name": f"{one.name}, moved"}) for one in listed[:: len(listed) // CHANGES]]
    return [_record(one, 1) for one in listed], [_record(one, 2) for one in moved[:CHANGES]]


def _record(service: Service, version: int) -> bytes:
    return ServiceListed.first(
        ServiceListedData(version=version, service=service),
        id=uuid4(),
        source="onward/pathways",
        subject=service.service_id,
        time=datetime.now(UTC),
    ).to_json()


def measure(services: int) -> dict[str, float]:
    """The figures; in a process of its own, for its memory is told."""
    values, changes = records(services)
    spare_the_collector()
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    index = Index()
    for first in range(0, len(values), RECORDS_A_READ):
        index.apply([ServiceListed.read(value) for value in values[first : first + RECORDS_A_READ]])
    read = time.perf_counter()
    snapshot = index.snapshot
    built = time.perf_counter()
    resident = psutil.Process().memory_info().rss - before
    longest = 0.0
    for value in changes:
        changed = time.perf_counter()
        index.apply([ServiceListed.read(value)])
        assert index.snapshot is not snapshot
        longest = max(longest, time.perf_counter() - changed)
    return {
        "services": snapshot.active,
        "read_s": round(read - began, 2),
        "built_s": round(built - read, 2),
        "rebuilt_s": round(built - began, 2),
        "index_mb": round(snapshot.nbytes / 1e6, 1),
        "resident_mb": round(resident / 1e6, 1),
        "longest_change_ms": round(longest * 1e3, 2),
    }
