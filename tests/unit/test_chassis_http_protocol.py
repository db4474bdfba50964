"""What leaves on a connection: replies in one piece, and streams as they come."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from services.chassis.http_protocol import MOST_HELD_BYTES, BoundedHead
from tests.chassis_examples import until

Ask = Callable[..., None]


class Connection(asyncio.Transport):
    """Remembers, in their order, each piece that was written and that an end was."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[bytes | str] = []

    def write(self, data: Any) -> None:
        """Remember a piece."""
        self.left.append(bytes(data))

    def write_eof(self) -> None:
        """Remember the end of what is sent."""
        self.left.append("end of sending")

    def close(self) -> None:
        """Remember the end."""
        self.left.append("end")

    def is_closing(self) -> bool:
        """Whether it is over."""
        return "end" in self.left

    def resume_reading(self) -> None:
        """Nothing."""


@pytest.fixture
def go_on() -> asyncio.Event:
    """When set, a stream goes on."""
    return asyncio.Event()


@pytest.fixture
def connection() -> Connection:
    """A connection to nobody."""
    return Connection()


@pytest.fixture
async def ask(connection: Connection, go_on: asyncio.Event) -> Ask:
    """Asks a small application on the connection: a path, and lines of the head.

    It answers `/stream` in two parts, and `/flood` without a pause until something has left.
    """

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/flood":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not connection.left:
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"a pa", "more_body": True})
            await go_on.wait()
            await send({"type": "http.response.body", "body": b"rt of"})
        else:
            await send({"type": "http.response.body", "body": b"all of it"})

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    protocol = BoundedHead(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(connection)

    def asking(path: str, *lines: str) -> None:
        head = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: here", *lines))
        protocol.data_received(f"{head}\r\n".encode())

    return asking


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n"


async def test_head_and_body_leave_in_one_piece(ask: Ask, connection: Connection) -> None:
    """One system call here, one packet, one turn of the sender's event loop."""
    for _ in range(2):
        ask("/whole")
        await until(lambda: connection.left)
        assert [HEAD + b"\r\nall of it"] == connection.left
        connection.left.clear()


async def test_the_connection_ends_after_the_reply(ask: Ask, connection: Connection) -> None:
    """Where its sender wants that."""
    ask("/whole", "Connection: close")
    await until(connection.is_closing)
    assert [HEAD + b"connection: close\r\n\r\nall of it", "end"] == connection.left


async def test_a_stream_leaves_as_it_comes(ask: Ask, connection: Connection, go_on: asyncio.Event) -> None:
    """What is there does not wait for the rest."""
    ask("/stream")
    await until(lambda: connection.left)
    assert [HEAD + b"\r\na pa"] == connection.left
    go_on.set()
    await until(lambda: len(connection.left) > 1)
    assert [b"rt of"] == connection.left[1:]


async def test_of_a_stream_without_a_pause_little_is_held(ask: Ask, connection: Connection) -> None:
    """What is held knows no limit but this one: only what has left can make the sender of a stream wait."""
    ask("/flood")
    await until(lambda: connection.left)
    assert MOST_HELD_BYTES < len(connection.left[0]) < 2 * MOST_HELD_BYTES


async def test_a_refusal_leaves_before_the_connection_ends(ask: Ask, connection: Connection) -> None:
    """Also in one piece."""
    ask("/whole", "No header")
    await until(lambda: "end of sending" in connection.left)
    refusal, *rest = connection.left
    assert isinstance(refusal, bytes)
    assert refusal.startswith(b"HTTP/1.1 400 ")
    assert refusal.endswith(b"}")
    assert ["end of sending"] == rest
