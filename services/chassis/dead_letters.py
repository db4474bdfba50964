"""Dead letters: records that a reader can never use, kept byte for byte, with why and where from."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from services.chassis.decoding import Record
from services.chassis.settings import Settings

WHY_BYTES = 2_000


class DeadLetters:
    """One reader's topic of dead letters: one partition, written by that reader alone.

    It has a producer of its own, because FastStream's writes headers as text, each name once: a record is dead often
    enough because of its headers.
    """

    def __init__(self, service: str, settings: Settings) -> None:
        self.topic = f"{settings.topic_prefix}{service}.dlq"
        self._bootstrap_servers = settings.kafka_bootstrap_servers
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers, acks="all", request_timeout_ms=10_000
        )
        await self._producer.start()

    async def bury(self, dead: Sequence[tuple[Record, str]]) -> None:
        """Keep each record's key, value and headers; return once all replicas have them. Raises KafkaError."""
        for record, why in dead:
            batch = self._producer.create_batch()
            batch.append(
                timestamp=None,
                key=record.key,
                value=record.value,
                headers=[
                    *record.headers,
                    ("dead-because", why.encode()[:WHY_BYTES]),
                    ("dead-origin", f"{record.topic}/{record.partition}/{record.offset}".encode()),
                ],
            )
            await (await self._producer.send_batch(batch, self.topic, partition=0))

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()
