"""How long the index takes to be made anew at a start of pathways, how large it is, and how soon it shows a change.

From the topic `services` of a Kafka of its own, followed as pathways follows it.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import uvloop
from aiokafka.admin import AIOKafkaAdminClient

from contracts.directory import Service as Listed
from contracts.directory import ServiceListed, ServiceListedData
from services.backing import kafka as embedded
from services.backing.settings import Settings as BackingSettings
from services.chassis import topics
from services.chassis.collector import spare_the_collector
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.pathways.index import FOLLOWED, READ, Index
from services.pathways.invented import invented
from services.pathways.towns import towns

TOLD_AT_ONCE = 2000
CHANGES = 100


def measure(services: int) -> dict[str, float]:
    """The figures."""
    with tempfile.TemporaryDirectory(prefix="onward-bench-") as folder:
        home = Path(folder) / "kafka"
        kafka = embedded.start(home, cache=BackingSettings().cache, say=print).access.administrator
        try:
            # Each in a process of its own: what it took to tell is no part of what it takes to read.
            changes = _alone(tell, kafka, services)
            return _alone(rebuilt, kafka, changes)
        finally:
            embedded.stop(home)


def _alone(work: Callable[..., Coroutine[Any, Any, Any]], *told: Any) -> Any:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, work, *told).result()


def _run(work: Callable[..., Coroutine[Any, Any, Any]], *told: Any) -> Any:
    return uvloop.run(work(*told))


async def tell(kafka: Kafka, services: int) -> list[bytes]:
    """Tell of an invented directory. Returns the records of a hundred changes that are not told yet."""
    listed = [one for one in invented(towns(), services, seed=1) if isinstance(one, Listed)]
    admin = AIOKafkaAdminClient(**kafka.client())
    await admin.start()
    await topics.apply(admin, topics.declared())
    await admin.close()
    pathways = _pathways(kafka)
    await pathways.start()
    for first in range(0, len(listed), TOLD_AT_ONCE):
        await pathways.publisher.tell([_event(one, 1) for one in listed[first : first + TOLD_AT_ONCE]])
    await pathways.stop()
    moved = [one.model_copy(update={"name": f"{one.name}, moved"}) for one in listed[:: len(listed) // CHANGES]]
    return [_event(one, 2).to_json() for one in moved[:CHANGES]]


def _pathways(kafka: Kafka) -> Service:
    return Service("pathways", Settings(kafka=kafka, database_url="", keys_file=Path("none")))


def _event(service: Listed, version: int) -> ServiceListed:
    return ServiceListed.first(
        ServiceListedData(version=version, service=service),
        id=uuid4(),
        source="onward/pathways",
        subject=service.service_id,
        time=datetime.now(UTC),
    )


async def rebuilt(kafka: Kafka, changes: list[bytes]) -> dict[str, float]:
    """Read all of it as pathways does at its start, then apply the changes one after the other."""
    index = Index()
    reader = _pathways(kafka).follows(FOLLOWED, index.apply, *READ, since="beginning")
    spare_the_collector()
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    await reader.start()
    read = time.perf_counter()
    snapshot = index.snapshot
    built = time.perf_counter()
    resident = psutil.Process().memory_info().rss - before
    await reader.stop()
    spare_the_collector()
    longest = 0.0
    for value in changes:
        changed = time.perf_counter()
        index.apply([READ[0].read(value)])
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
