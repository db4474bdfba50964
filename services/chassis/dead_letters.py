"""Dead letters: records that a reader can never use, kept byte for byte, with why and where from; and sent again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer

from services.chassis.decoding import Record
from services.chassis.settings import Settings

BECAUSE, ORIGIN = "dead-because", "dead-origin"
"""Headers that stand behind a record's own: one pair for each time that it died, the first death first."""

WHY_BYTES = 2_000
EARLIER_WHY_BYTES = 200
"""What is kept of why a record died before, so that its history never outgrows the topic."""

DEATHS = 20
"""So often may a record die: by then its history takes the room that the topic has beyond the largest record."""


@dataclass(frozen=True, slots=True)
class Death:
    """That a reader could not use a record, why, and where it read it: topic/partition/offset."""

    why: str
    origin: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record as its dead letters have it."""

    reader: str
    at: datetime
    """When it was buried, by the broker's clock."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    """The record's own."""
    deaths: tuple[Death, ...]
    """The first one first; empty for a record that no reader buried."""

    @property
    def topic(self) -> str:
        """The topic that it was first read from; empty when nothing says it."""
        return self.deaths[0].origin.rsplit("/", 2)[0] if self.deaths else ""


def dead_letter_in(record: Any, reader: str) -> DeadLetter:
    """The dead letter in a Kafka record of this reader's dead letters. Takes whatever is there, and never fails."""
    whys = [_text(value) for name, value in record.headers if name == BECAUSE]
    origins = [_text(value) for name, value in record.headers if name == ORIGIN]
    return DeadLetter(
        reader=reader,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        key=record.key,
        value=record.value,
        headers=tuple((name, value) for name, value in record.headers if name not in (BECAUSE, ORIGIN)),
        deaths=tuple(Death(why, origin) for why, origin in zip(whys, origins, strict=False)),
    )


def first_origin(record: Record) -> str:
    """The topic that a record sent again was first read from; empty when nothing says it."""
    return next((_text(value).rsplit("/", 2)[0] for name, value in record.headers if name == ORIGIN), "")


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace").replace("\0", "")


class DeadLetters:
    """One reader's topic of dead letters: one partition, written by that reader alone.

    It has a producer of its own, because FastStream's writes headers as text, each name once: a record is dead often
    enough because of its headers.
    """

    def __init__(self, service: str, settings: Settings) -> None:
        self.topic = f"{settings.topic_prefix}{service}.dlq"
        self._kafka = settings.kafka.client(settings.kafka_user(service))
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        self._producer = await _producer(self._kafka)

    async def bury(self, dead: Sequence[tuple[Record, str]]) -> None:
        """Keep each record's key, value and headers; return once all replicas have them. Raises KafkaError."""
        for record, why in dead:
            death = Death(why, f"{record.topic}/{record.partition}/{record.offset}")
            headers = [*record.headers, *_headers([death], WHY_BYTES)]
            await _send(self._producer, self.topic, record.key, record.value, headers)

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()


async def send_again(letter: DeadLetter, service: str, settings: Settings) -> None:
    """Put a dead letter before its reader again, with its history; return once it is acknowledged. Raises KafkaError.

    Its reader alone reads where it is put; `service` puts it there. A connection for one record: it is a person who
    asks for it.
    """
    producer = await _producer(settings.kafka.client(settings.kafka_user(service)))
    try:
        headers = [*letter.headers, *_headers(letter.deaths, EARLIER_WHY_BYTES)]
        await _send(producer, f"{settings.topic_prefix}{letter.reader}.replay", letter.key, letter.value, headers)
    finally:
        await producer.stop()


def _headers(deaths: Sequence[Death], why_bytes: int) -> list[tuple[str, bytes]]:
    return [
        header
        for death in deaths
        for header in ((BECAUSE, death.why.encode()[:why_bytes]), (ORIGIN, death.origin.encode()))
    ]


async def _producer(kafka: dict[str, Any]) -> Any:
    producer = AIOKafkaProducer(**kafka, acks="all", request_timeout_ms=10_000)
    await producer.start()
    return producer


async def _send(
    producer: Any,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> None:
    batch = producer.create_batch()
    batch.append(timestamp=None, key=key, value=value, headers=headers)
    await (await producer.send_batch(batch, topic, partition=0))
