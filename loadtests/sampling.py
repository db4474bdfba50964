"""What a system uses while it is under load: CPU and memory by process, and how far each group is behind, by topic."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from prometheus_client.parser import text_string_to_metric_families

from contracts.topics import PARTITIONS
from loadtests.target import Target
from services.invariants.check import READERS

EVERY_SECONDS = 1.0
LOAD = "load"
"""The process that sends: it takes from the machine as the others do, so it is shown beside them."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used up to now, and has."""

    cpu_s: float
    memory_mb: float


@dataclass(slots=True)
class Sample:
    """One look. `at` in seconds since 1970."""

    at: float
    usage: dict[str, Usage] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)
    """Records that a group has not finished, by reader and topic."""


def usage_of(pid: int, *, alone: bool = False) -> Usage | None:
    """A process, with its children or alone; none when it is gone. Memory that processes share is counted once."""
    try:
        root = psutil.Process(pid)
        family = [root, *([] if alone else root.children(recursive=True))]
    except psutil.NoSuchProcess:
        return None
    cpu, own, shared = 0.0, 0, 0
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
            cpu += times.user + times.system
            if not alone:  # children that have ended count with who waited for them
                cpu += times.children_user + times.children_system
            common = getattr(memory, "shared", 0)
            own += memory.rss - common
            shared = max(shared, common)
    return Usage(cpu, (own + shared) / 1e6)


class Sampler:
    """Looks once a second, from `begin` to `end`."""

    def __init__(self, target: Target, own_pid: int) -> None:
        self._target = target
        self._pids = {**target.processes, LOAD: own_pid}
        self._admin = AIOKafkaAdminClient(**target.kafka.client())
        self._consumer = AIOKafkaConsumer(**target.kafka.client())
        self.samples: list[Sample] = []
        self._looking: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Look now, and from now on."""
        await self._admin.start()
        await self._consumer.start()
        await self.look()
        self._looking = asyncio.create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS - time.time() % EVERY_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take a sample. What cannot be seen now is left out of it."""
        sample = Sample(time.time())
        for name, pid in self._pids.items():
            if (used := await asyncio.to_thread(usage_of, pid, alone=name == LOAD)) is not None:
                sample.usage[name] = used
        for address in self._target.metrics:
            if (used := await scraped(address)) is not None:
                sample.usage[address] = used
        with contextlib.suppress(KafkaError, OSError):
            sample.lag = await self.lag()
        self.samples.append(sample)

    async def lag(self) -> dict[str, int]:
        """How many records each reader has left of each topic. Raises KafkaError."""
        prefix = self._target.prefix
        topics = {topic for _, topic in READERS}
        partitions = [TopicPartition(f"{prefix}{topic}", number) for topic in topics for number in range(PARTITIONS)]
        ends = await self._consumer.end_offsets(partitions)
        groups = [self._admin.list_consumer_group_offsets(f"{prefix}{reader}.{topic}") for reader, topic in READERS]
        committed = await asyncio.gather(*groups)
        return {
            f"{reader} ← {topic}": sum(
                ends[one] - max(0, offsets[one].offset if one in offsets else 0)
                for one in partitions
                if one.topic == f"{prefix}{topic}"
            )
            for (reader, topic), offsets in zip(READERS, committed, strict=True)
        }

    async def end(self) -> None:
        """Look once more, and no more."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
            await self.look()
        await self._consumer.stop()
        await self._admin.close()


async def scraped(address: str) -> Usage | None:
    """What a process says of itself at `/metrics`; none when it does not answer."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(f"{address}/metrics") as response,
        ):
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError):
        return None
    names = {"process_cpu_seconds_total": 0.0, "process_resident_memory_bytes": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in names:
                names[sample.name] = sample.value
    cpu, memory = names.values()
    return Usage(cpu, memory / 1e6)


def cores(samples: Sequence[Sample], name: str) -> list[tuple[float, float]]:
    """How many cores a process used between one look and the next."""
    used = [(one.at, one.usage[name].cpu_s) for one in samples if name in one.usage]
    return [
        (later, max(0.0, more - less) / (later - earlier))
        for (earlier, less), (later, more) in pairwise(used)
        if later > earlier
    ]


def cpu_seconds(samples: Sequence[Sample]) -> dict[str, float]:
    """What each process used from the first look to the last."""
    found: dict[str, float] = {}
    for name in names_in(one.usage for one in samples):
        used = [one.usage[name].cpu_s for one in samples if name in one.usage]
        found[name] = round(used[-1] - used[0], 2)
    return found


def names_in(maps: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every key, in the order in which they first came."""
    return list(dict.fromkeys(name for one in maps for name in one))


def growth_percent(samples: Sequence[Sample], name: str) -> float | None:
    """How much memory grew from the second fifth of the run to the last fifth, by the medians; none for a short run.

    The first fifth is left out: caches fill and pools open.
    """
    memory = [one.usage[name].memory_mb for one in samples if name in one.usage]
    fifth = len(memory) // 5
    if fifth < 3:
        return None
    early, late = sorted(memory[fifth : 2 * fifth])[fifth // 2], sorted(memory[-fifth:])[fifth // 2]
    return round((late / early - 1) * 100, 1)
