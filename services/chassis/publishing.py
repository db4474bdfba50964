"""Telling: events to their topics, each on the partition of its key, acknowledged by all replicas."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from faststream.kafka import KafkaBroker
from opentelemetry.trace import SpanKind

from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis import traces
from services.chassis.kafka_patches import wait_for_a_partition_as_long_as_is_said
from services.chassis.metrics import TOLD
from services.chassis.partitions import partitions_of

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
MAX_BATCH_BYTES = 262_144
CHUNK_BYTES = 240_000
RECORD_OVERHEAD = 250
"""Headroom a record for its headers and framing."""

MAX_EVENT_BYTES = 1_040_000
"""Below the topics' max.message.bytes, with room for the same headroom again when it is buried."""

Run = tuple[Topic, int, str, list[tuple[bytes, bytes]]]
"""Topic, partition, type, and (key, value) in order."""


class EventTooLarge(Exception):
    """An event is larger than a topic takes."""

    def __init__(self, type_: str, size: int) -> None:
        super().__init__(f"{type_} of {size} bytes: a topic takes {MAX_EVENT_BYTES}")


class BatchFull(Exception):
    """A batch of the producer takes less than `runs` puts into one: its headroom is too small."""

    def __init__(self, type_: str, size: int) -> None:
        super().__init__(f"{type_} of {size} bytes did not fit into its batch")


class Publisher(Protocol):
    """Somewhere to tell events."""

    async def tell(self, events: Sequence[Event]) -> None:
        """Publish the events; return once all are acknowledged by all replicas."""


def runs(events: Sequence[tuple[type[Event], str, bytes]]) -> Iterator[Run]:
    """Group (contract, key, value) into batches of one topic, partition and type.

    A batch shares its headers, and the type is one, so types are split. The order of one key is kept: when a key comes
    with a second type, what is open on that partition is closed first. Raises EventTooLarge.
    """
    open_runs: dict[tuple[Topic, int], dict[str, list[tuple[bytes, bytes]]]] = {}
    sizes: dict[tuple[Topic, int, str], int] = {}
    type_of_key: dict[tuple[Topic, str], str] = {}
    partitions = partitions_of([key for _, key, _ in events])
    for (contract, key, value), partition in zip(events, partitions, strict=True):
        topic, type_ = contract.TOPIC, contract.TYPE
        of_partition = open_runs.setdefault((topic, partition), {})
        if type_of_key.setdefault((topic, key), type_) != type_:
            type_of_key[topic, key] = type_
            for closed_type, records in of_partition.items():
                sizes.pop((topic, partition, closed_type))
                yield topic, partition, closed_type, records
            of_partition.clear()
        size = sizes.get((topic, partition, type_), 0)
        key_bytes = key.encode()
        added = len(key_bytes) + len(value) + RECORD_OVERHEAD
        if added > MAX_EVENT_BYTES:
            raise EventTooLarge(type_, len(value))
        if size and size + added > CHUNK_BYTES:
            yield topic, partition, type_, of_partition.pop(type_)
            size = 0
        of_partition.setdefault(type_, []).append((key_bytes, value))
        sizes[topic, partition, type_] = size + added
    for (topic, partition), by_type in open_runs.items():
        for type_, records in by_type.items():
            yield topic, partition, type_, records


class KafkaPublisher:
    """Publishes through a service's broker: `acks=all`, one batch of a partition at a time under way."""

    def __init__(self, service: str, broker: KafkaBroker, prefix: str) -> None:
        wait_for_a_partition_as_long_as_is_said()
        self._service = service
        self._broker = broker
        self._prefix = prefix
        self._tracer = traces.of(service)

    @property
    def _producer(self) -> Any:
        """aiokafka's own, which FastStream holds: a batch is filled in a third of the time that FastStream takes, and
        without the id that it adds to each record."""
        return self._broker.config.producer._producer.producer  # type: ignore[attr-defined]

    async def tell(self, events: Sequence[Event]) -> None:
        """Publish the events; return once all are acknowledged."""
        await self.tell_json([(type(event), event.partitionkey, event.to_json()) for event in events])

    async def tell_json(self, events: Sequence[tuple[type[Event], str, bytes]]) -> None:
        """Publish stored events, (contract, key, value) each; return once all are acknowledged."""
        if self._tracer is None:
            await self._tell(events)
            return
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.destination.name": " ".join(sorted({contract.TOPIC for contract, _, _ in events})),
            "messaging.batch.message_count": len(events),
        }
        name = f"send {attributes['messaging.destination.name']}"
        values = (value for _, _, value in events)
        with traces.over_batch(self._tracer, name, SpanKind.PRODUCER, values, attributes):
            await self._tell(events)

    async def _tell(self, events: Sequence[tuple[type[Event], str, bytes]]) -> None:
        batches = list(runs(events))
        acknowledgements = []
        producer = self._producer
        for topic, partition, type_, records in batches:
            headers = [("content-type", CONTENT_TYPE.encode()), ("type", type_.encode())]
            batch = producer.create_batch()
            for key, value in records:
                if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    raise BatchFull(type_, len(value))
            acknowledgements.append(await producer.send_batch(batch, f"{self._prefix}{topic}", partition=partition))
        await asyncio.gather(*acknowledgements)
        for topic, _, _, records in batches:
            TOLD.labels(self._service, topic).inc(len(records))
