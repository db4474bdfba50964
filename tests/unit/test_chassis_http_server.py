"""Taking in connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import uvicorn
import uvloop

from services.chassis.http_server import MOST_AT_ONCE, Server

CALLERS = 100


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers everybody."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, int]]:
    """A server that listens, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(uvicorn.Config(app, port=port, loop="none", lifespan="off", log_config=None))
    under_way = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0)
        yield server, port
    finally:
        server.ask_to_stop()
        await under_way


def test_all_that_wait_are_taken_in_together() -> None:
    """Within a few turns of the event loop, however many there are: a turn may be long."""

    async def taken_in() -> int:
        async with serving() as (server, port), AsyncExitStack() as callers:
            for _ in range(CALLERS):  # the system lets them in while this process does nothing else
                callers.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(10):
                await asyncio.sleep(0)
            return len(server.server_state.connections)

    assert MOST_AT_ONCE >= CALLERS == uvloop.run(taken_in())


def test_each_is_answered_and_none_when_it_has_stopped() -> None:
    """As uvicorn does."""

    async def asked() -> tuple[bytes, type[Exception] | None]:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            line = await reader.readline()
            writer.close()
        try:
            await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            return line, type(error)
        return line, None

    assert (b"HTTP/1.1 204 No Content\r\n", ConnectionRefusedError) == uvloop.run(asked())
