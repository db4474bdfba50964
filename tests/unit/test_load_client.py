"""The sender's own HTTP: a reply for every request, whatever the other side does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from loadtests import client as module
from loadtests.client import Client, Reply

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answered_by(serve: Serve) -> AsyncIterator[Client]:
    """A client of a server that does this with each connection."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Client.open(f"http://127.0.0.1:{port}/under", {"Authorization": "Bearer x"}) as client:
        yield client


async def request_from(reader: asyncio.StreamReader) -> bytes:
    """One request, with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((line.split(b":")[1] for line in head.lower().split(b"\r\n") if b"content-length" in line), b"0")
    return head + await reader.readexactly(int(length))


async def test_requests_use_a_connection_again() -> None:
    """One after the other over one; at once over as many as there are, each with all headers."""
    connections, requests = 0, list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            requests.append(await request_from(reader))
            writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok")

    async with answered_by(serve) as client:
        assert [Reply(201, b"ok")] * 2 == [await client.post("/a", b"{}", {"Prefer": "wait=5"}) for _ in range(2)]
        assert 1 == connections
        assert [Reply(201, b"ok")] * 3 == await asyncio.gather(
            *(client.get("/b", {"type": ["x y", 2]}) for _ in range(3))
        )
    assert 3 == connections
    assert requests[0].startswith(b"POST /under/a HTTP/1.1\r\nHost: 127.0.0.1:")
    assert requests[0].endswith(b"\r\nContent-Length: 2\r\nPrefer: wait=5\r\n\r\n{}")
    assert b"\r\nAuthorization: Bearer x\r\n" in requests[0]
    assert requests[-1].startswith(b"GET /under/b?type=x+y&type=2 HTTP/1.1\r\n")


async def test_a_body_comes_as_the_server_likes() -> None:
    """In chunks, after an interim reply, and bit by bit."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        for byte in (
            b"HTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        ):
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()

    async with answered_by(serve) as client:
        assert Reply(200, b"onetwo") == await client.get("/", {})


async def test_who_closes_is_asked_over_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announced or not; and one that was idle for too long is left."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request_from(reader)
        said = b"connection: close\r\n" if connections == 1 else b""
        writer.write(b"HTTP/1.1 204 No Content\r\n" + said + b"\r\n")
        if connections > 2:
            await reader.read()

    async with answered_by(serve) as client:
        for _ in range(3):
            assert Reply(204, b"") == await client.get("/", {})
            async with asyncio.timeout(5):
                while len(client._idle) and connections < 3 and client._idle[-1].usable:
                    await asyncio.sleep(0.001)
        monkeypatch.setattr(module, "KEEP_SECONDS", -1.0)
        assert Reply(204, b"") == await client.get("/", {})
    assert 4 == connections


@pytest.mark.parametrize(
    ("sent", "error"),
    [(b"", "Disconnected"), (b"HTTP/1.1 200 OK\r\ncontent-le", "Disconnected"), (b"SMTP\r\n\r\n", "")],
)
async def test_half_an_answer_is_none(sent: bytes, error: str) -> None:
    """It ends with status 0 and why."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(sent)

    async with answered_by(serve) as client:
        reply = await client.post("/", b"{}", {})
    assert (0, b"") == reply[:2]
    assert error == reply.error or (not error and "Parser" in reply.error)


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a server that says nothing, and for one that is not there."""
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with answered_by(serve) as client:
        assert Reply(0, b"", "TimeoutError") == await client.post("/", b"{}", {})
    async with Client.open("http://127.0.0.1:1", {}) as nobody:
        assert Reply(0, b"", "ConnectionRefusedError") == await nobody.get("/", {})
