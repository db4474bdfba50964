"""The floor of the single transaction: HTTP in, one record to Kafka, the same record read back, HTTP out."""

import argparse
import asyncio
import os
from typing import Any
from uuid import uuid4

import uvicorn
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.chassis.kafka import Kafka


class Echo:
    """The echo, with the producer settings that Onward uses. Made inside the event loop that it runs in."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self._topic = topic
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._producer = AIOKafkaProducer(
            **kafka.client(),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=262_144,
        )
        self._consumer = AIOKafkaConsumer(**kafka.client(), fetch_max_wait_ms=50)

    async def answer(self, request: Request) -> Response:
        """The body, once it has been to the log and back."""
        key = uuid4().bytes
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await self._producer.send_and_wait(self._topic, await request.body(), key=key)
            return Response(await asyncio.wait_for(answer, 10), media_type="application/json")
        finally:
            del self._waiting[key]

    async def start(self) -> None:
        """Know the position on every partition before the first request."""
        await self._producer.start()
        await self._consumer.start()
        numbers = sorted(await self._producer.partitions_for(self._topic))
        partitions = [TopicPartition(self._topic, number) for number in numbers]
        self._consumer.assign(partitions)
        for partition, end in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, end)

    async def read(self) -> None:
        """Give each record to the request that waits for it, for ever."""
        while True:
            batches: dict[Any, list[Any]] = await self._consumer.getmany(timeout_ms=500)
            for records in batches.values():
                for record in records:
                    answer = self._waiting.get(record.key)
                    if answer is not None and not answer.done():
                        answer.set_result(record.value)

    async def stop(self) -> None:
        """Close both clients."""
        await self._consumer.stop()
        await self._producer.stop()


async def serve(kafka: Kafka, topic: str, port: int) -> None:
    """Serve the echo until told to stop."""
    echo = Echo(kafka, topic)
    await echo.start()
    reading = asyncio.create_task(echo.read())
    app = Starlette(routes=[Route("/echo", echo.answer, methods=["POST"])])
    config = uvicorn.Config(app, port=port, loop="none", http="httptools", log_level="warning")
    try:
        await uvicorn.Server(config).serve()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await echo.stop()


def main() -> None:
    """Read the arguments, and where Kafka is from the environment, and serve."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--topic", required=True)
    arguments.add_argument("--port", type=int, required=True)
    given = arguments.parse_args()
    kafka = Kafka.read(os.environ)
    assert kafka is not None
    uvloop.run(serve(kafka, given.topic, given.port))


if __name__ == "__main__":
    main()
