"""`python -m loadtests.rebuild [services]`: how long the index takes to be made anew, how large it is, and how soon it
shows a change. In process, from the records that the topic `services` would hold."""

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from contracts.directory import Service, ServiceListed, ServiceListedData
from services.pathways.index import Index
from services.pathways.invented import invented
from services.pathways.towns import towns

RESULT = Path("build") / "bench" / "rebuild.json"
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


def main(arguments: Sequence[str]) -> None:
    """Write the result, and show it."""
    services = int(arguments[0]) if arguments else 100_000
    values, changes = records(services)
    began = time.perf_counter()
    index = Index()
    for first in range(0, len(values), RECORDS_A_READ):
        index.apply([ServiceListed.read(value) for value in values[first : first + RECORDS_A_READ]])
    read = time.perf_counter()
    snapshot = index.snapshot
    built = time.perf_counter()
    longest = 0.0
    for value in changes:
        changed = time.perf_counter()
        index.apply([ServiceListed.read(value)])
        assert index.snapshot is not snapshot
        longest = max(longest, time.perf_counter() - changed)
    figures = {
        "services": snapshot.active,
        "read_s": round(read - began, 2),
        "built_s": round(built - read, 2),
        "rebuilt_s": round(built - began, 2),
        "index_mb": round(snapshot.nbytes / 1e6, 1),
        "longest_change_ms": round(longest * 1e3, 2),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
