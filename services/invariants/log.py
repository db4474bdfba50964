"""Walking the log: every record once, from the last topic of the flow to the first, without a group of its own."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import ValidationError
from pydantic_core import from_json

from contracts.envelope import effect_id
from services.chassis.dead_letters import dead_letter_in
from services.chassis.kafka import Kafka
from services.chassis.partitions import partition_of
from services.chassis.views import Part, View

CHUNK = 5_000
"""Records looked at together: one query for each invariant."""

Origin = tuple[str, int, int]
"""Topic, partition, offset."""


class _Brief(Part):
    placement_id: UUID


class _Data(Part):
    brief: _Brief | None = None
    placement_id: UUID | None = None


class _Fact(View):
    subject: str
    partitionkey: str
    correlationid: UUID
    data: _Data


class Logged(NamedTuple):
    """A fact as it stands on the log."""

    origin: Origin
    type: str
    id: UUID
    referral: UUID | None
    """None where it is about something else."""
    transaction: UUID
    placement: UUID | None
    digest: bytes
    """SHA-256 of the record's value."""
    at_home: bool
    """It is on the partition that its key belongs to."""


class Unreadable(NamedTuple):
    """A record that is no fact."""

    origin: Origin
    type: str | None
    """As which it was sent: who does not read this type passes over it. None where it does not say: nobody does."""


class Log:
    """The topics as they stood at one moment, and what each group had committed a moment before."""

    def __init__(
        self, consumer: Any, prefix: str, ends: Mapping[TopicPartition, int], committed: Mapping[str, Mapping[Any, int]]
    ) -> None:
        self._consumer = consumer
        self._prefix = prefix
        self._ends = ends
        self._committed = committed

    @classmethod
    async def now(cls, consumer: Any, admin: AIOKafkaAdminClient, prefix: str, groups: Iterable[str]) -> "Log":
        """Take the offsets: the groups' first, so that whatever a group's offset promises is before the ends."""
        committed = {
            group: {
                partition: found.offset
                for partition, found in (await admin.list_consumer_group_offsets(f"{prefix}{group}")).items()
            }
            for group in groups
        }
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics()
            for partition in topic["partitions"]
            if topic["topic"].startswith(prefix)
        ]
        # Known to the client all at once: it would ask for one topic after another, with a pause before each.
        consumer.assign(partitions)
        consumer.pause(*partitions)
        return cls(consumer, prefix, await consumer.end_offsets(partitions), committed)

    def has_committed(self, group: str, origin: Origin) -> bool:
        """Whether the group is past this record."""
        topic, partition, offset = origin
        return offset < self._committed[group].get(TopicPartition(f"{self._prefix}{topic}", partition), 0)

    def behind(self, group: str, topic: str) -> int:
        """How many records of the topic the group has not committed."""
        committed = self._committed[group]
        return sum(
            end - committed.get(partition, 0)
            for partition, end in self._ends.items()
            if partition.topic == f"{self._prefix}{topic}"
        )

    async def facts(self, topic: str, since_ms: int | None) -> AsyncIterator[list[Logged | Unreadable]]:
        """The topic's records, in chunks."""
        chunk: list[Logged | Unreadable] = []
        async for record in self._records(topic, since_ms):
            chunk.append(_looked_at(record, topic))
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        yield chunk

    async def buried(self, reader: str) -> set[Origin]:
        """Where the dead letters of a reader come from."""
        origins: set[Origin] = set()
        async for record in self._records(f"{reader}.dlq", None):
            for death in dead_letter_in(record, reader).deaths:
                topic, partition, offset = death.origin.rsplit("/", 2)
                origins.add((topic.removeprefix(self._prefix), int(partition), int(offset)))
        return origins

    async def _records(self, topic: str, since_ms: int | None) -> AsyncIterator[Any]:
        left = {partition: end for partition, end in self._ends.items() if partition.topic == f"{self._prefix}{topic}"}
        if not left:
            return
        self._consumer.assign(list(left))
        begins = await self._consumer.beginning_offsets(list(left))
        if since_ms is not None:
            found = await self._consumer.offsets_for_times(dict.fromkeys(left, since_ms))
            begins = {one: at.offset if (at := found[one]) is not None else left[one] for one in left}
        for partition, offset in begins.items():
            self._consumer.seek(partition, offset)
        while left := {one: end for one, end in left.items() if await self._consumer.position(one) < end}:
            for partition, records in (await self._consumer.getmany(*left, timeout_ms=500, max_records=CHUNK)).items():
                for record in records:
                    if record.offset < left[partition]:
                        yield record


def _looked_at(record: Any, topic: str) -> Logged | Unreadable:
    origin = (topic, record.partition, record.offset)
    try:
        fact = _Fact.read(record.value or b"")
    except ValidationError:
        return Unreadable(origin, _type_of(record))
    return Logged(
        origin,
        fact.type,
        fact.id,
        _referral(fact.subject),
        fact.correlationid,
        fact.data.placement_id if fact.data.brief is None else fact.data.brief.placement_id,
        hashlib.sha256(record.value).digest(),
        record.key == fact.partitionkey.encode() and record.partition == partition_of(fact.partitionkey),
    )


def _type_of(record: Any) -> str | None:
    said = dict(record.headers).get("type", b"")
    if said != b"":
        return said.decode() if said is not None and said.isascii() else None
    try:
        return str(from_json(record.value)["type"])
    except (ValueError, TypeError, KeyError):
        return None


def _referral(subject: str) -> UUID | None:
    try:
        return UUID(subject)
    except ValueError:
        return None


class Seen:
    """Ids of facts on the log, on disk rather than in memory: there may be millions."""

    def __init__(self) -> None:
        self._ids = sqlite3.connect("")
        self._ids.execute("create table seen (topic text, id blob, primary key (topic, id)) without rowid")
        self._ids.execute("create table wanted (cause blob, effect blob)")

    def add(self, topic: str, facts: Iterable[Logged]) -> None:
        """These are on the topic."""
        self._ids.executemany("insert or ignore into seen values (?, ?)", [(topic, one.id.bytes) for one in facts])

    def without_effect(self, causes: Sequence[UUID], onto: str, types: Sequence[str]) -> list[UUID]:
        """Those of the causes of which not exactly one effect of these types is on the topic."""
        wanted = [(cause.bytes, effect_id(cause, type_).bytes) for cause in causes for type_ in types]
        self._ids.execute("delete from wanted")
        self._ids.executemany("insert into wanted values (?, ?)", wanted)
        rows = self._ids.execute(
            "select cause from wanted left join seen on topic = ? and id = effect group by cause having count(id) <> 1",
            [onto],
        )
        return [UUID(bytes=cause) for (cause,) in rows]

    def close(self) -> None:
        """Forget all."""
        self._ids.close()


def consumer(kafka: Kafka) -> Any:
    """A consumer without a group, which commits nothing. It reads to ends that are there: the broker need not wait."""
    return AIOKafkaConsumer(
        **kafka.client(), enable_auto_commit=False, max_partition_fetch_bytes=4_000_000, fetch_max_wait_ms=10
    )
