"""A reader without a group: all partitions, for an index in memory or for answers from now on."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.topics import PARTITIONS, Topic
from services.chassis.decoding import Readable, Record, Unreadable, decode
from services.chassis.failures import is_transient, where
from services.chassis.log import logger
from services.chassis.metrics import UNREADABLE

AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record without a value on a compacted topic: its key stands no longer."""

    topic: Topic
    key: str


Apply = Callable[[Sequence[Any]], None]
"""Takes facts and tombstones."""


class Reader:
    """Follows topics from their beginning, or from now on, and applies what it reads."""

    def __init__(
        self,
        service: str,
        kafka: dict[str, Any],
        prefix: str,
        topics: Sequence[Topic],
        types: Sequence[type[Readable]],
        apply: Apply,
        *,
        since: Literal["beginning", "now"],
    ) -> None:
        self._log = logger(service)
        self._kafka = kafka
        self.topics = {f"{prefix}{topic}": topic for topic in topics}
        """By their names on the broker. Their existence is for the service to check."""
        self._types = {contract.TYPE: contract for contract in types}
        self._apply = apply
        self._since = since
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None
        for topic in topics:
            UNREADABLE.labels(topic)
        self.complete = False
        """It has applied everything up to the end offsets taken at its start; or it knows its position everywhere."""

    async def start(self) -> None:
        """Take positions, and read to the end offsets of this moment. Returns once complete. Raises KafkaError."""
        await self.stop()
        self._consumer = AIOKafkaConsumer(
            **self._kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest" if self._since == "beginning" else "latest",
            # The broker answers at once when there is something; this is how long it may hold an empty answer, and so
            # how long news of one partition may wait behind the silence of the others.
            fetch_max_wait_ms=500 if self._since == "beginning" else 200,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        await self._consumer.start()
        partitions = [TopicPartition(name, number) for name in self.topics for number in range(PARTITIONS)]
        self._consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        if self._since == "now":
            for partition, end in ends.items():
                self._consumer.seek(partition, end)
            for partition in partitions:
                await self._consumer.position(partition)
        else:
            await self._consumer.seek_to_beginning(*partitions)
            while await self._behind(ends):
                await self._read_once()
        self.complete = True
        self._task = asyncio.create_task(self._follow())

    async def _behind(self, ends: dict[TopicPartition, int]) -> bool:
        return any([await self._consumer.position(partition) < end for partition, end in ends.items()])

    async def _read_once(self) -> None:
        batches = await self._consumer.getmany(timeout_ms=500, max_records=2000)
        read: list[Readable | Tombstone] = []
        for raws in batches.values():
            for raw in raws:
                one = self._decode(raw)
                if one is not None:
                    read.append(one)
        if read:
            self._apply(read)

    def _decode(self, record: Record) -> Readable | Tombstone | None:
        topic = self.topics[record.topic]
        if record.value is None and record.key is not None:
            return Tombstone(topic, record.key.decode(errors="replace"))
        try:
            return decode(record, self._types)
        except Unreadable as error:
            UNREADABLE.labels(topic).inc()
            self._log.warning(
                "unreadable", topic=topic, partition=record.partition, offset=record.offset, reason=str(error)
            )
            return None

    async def _follow(self) -> None:
        while True:
            try:
                await self._read_once()
            except Exception as error:
                transient = is_transient(error)
                event = "following_again" if transient else "stopped_by_a_bug"
                self._log.error(event, topics=self._names, error=type(error).__name__, reason=where(error))
                if not transient:  # what it applies to may have been left half done
                    return
                await asyncio.sleep(AGAIN_SECONDS)

    @property
    def _names(self) -> str:
        return ", ".join(self.topics.values())

    @property
    def waiting_for(self) -> str | None:
        """Why it is not ready, if so."""
        if not self.complete:
            return f"{self._names}: still reading what was there at the start"
        if self._task is not None and self._task.done():
            return f"{self._names}: stopped following"
        return None

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()
