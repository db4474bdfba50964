"""The floor of the single transaction: HTTP in, one record to Kafka, the same record read back, HTTP out."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import uvicorn
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def application(bootstrap_servers: str, topic: str) -> Starlette:
    """The echo, with the producer settings that Onward uses."""
    waiting: dict[bytes, asyncio.Future[bytes]] = {}
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, enable_idempotence=True, acks="all", linger_ms=0, max_batch_size=262_144
    )
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, fetch_max_wait_ms=50)

    async def echo(request: Request) -> Response:
        key = uuid4().bytes
        answer = waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await producer.send_and_wait(topic, await request.body(), key=key)
            return Response(await asyncio.wait_for(answer, 10), media_type="application/json")
        finally:
            del waiting[key]

    async def read() -> None:
        while True:
            batches: dict[Any, list[Any]] = await consumer.getmany(timeout_ms=500)
            for records in batches.values():
                for record in records:
                    answer = waiting.get(record.key)
                    if answer is not None and not answer.done():
                        answer.set_result(record.value)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await producer.start()
        await consumer.start()
        partitions = [TopicPartition(topic, number) for number in sorted(await producer.partitions_for(topic))]
        consumer.assign(partitions)
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, end)
        reading = asyncio.create_task(read())
        yield
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()
        await producer.stop()

    return Starlette(routes=[Route("/echo", echo, methods=["POST"])], lifespan=lifespan)


def main() -> None:
    """Serve the echo until told to stop."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bootstrap-servers", required=True)
    arguments.add_argument("--topic", required=True)
    arguments.add_argument("--port", type=int, required=True)
    given = arguments.parse_args()
    app = application(given.bootstrap_servers, given.topic)
    config = uvicorn.Config(app, port=given.port, loop="none", http="httptools", log_level="warning")
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
