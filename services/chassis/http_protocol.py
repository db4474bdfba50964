"""uvicorn's HTTP with a bound on the head of a request, for uvicorn keeps an address and headers of any length, before
anybody knows who sends them; and with replies that leave in one piece."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.chassis.problems import PROBLEM, Problem

MOST_HEAD_BYTES = 65_536
"""Of the address and all headers; a token has about a thousand."""

A_HEADERS_BYTES = 64
"""What a header costs beside its letters, so that many empty ones are a large head too."""

LINGER_SECONDS = 2.0

MOST_HELD_BYTES = 65_536
"""A stream may come faster than it leaves. Who makes it waits once the connection itself has as much as it keeps."""

NOT_HTTP = Problem(400, "Not HTTP", "What was sent is not a request of HTTP/1.1.")
TOO_LARGE = Problem(
    431,
    "The head of the request is too large",
    f"Address and headers may have {MOST_HEAD_BYTES} bytes together. Nothing was kept.",
)


class JoinedWrites:
    """A connection on which what is written together leaves together: at the end of a reply, or of a turn of the event
    loop. uvicorn writes the head of a reply and its body one after the other, and each would be a system call here, a
    packet, and a turn of the sender's."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether the connection is ending."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Hold this until the rest is there, or there is much of it."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._bytes += len(data)
        if self._bytes > MOST_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Let go what is held."""
        if self._held:
            held, self._held, self._bytes = self._held, [], 0
            self._transport.write(b"".join(held))

    def write_eof(self) -> None:
        """End this direction, once what is held has left."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """End the connection, once what is held has left."""
        self.flush()
        self._transport.close()


class _TooLarge(Exception):
    """Address and headers are longer than anybody needs."""


class BoundedHead(HttpToolsProtocol):
    """Refuses a head that is too large as soon as it is, and what is no HTTP, with a problem document."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = 0
        """Bytes of the head that were taken in."""
        self._unfinished = 0
        """Bytes that came since the parser last said anything: it keeps a header to itself until that is whole."""
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """There is a connection."""
        self._out = JoinedWrites(transport, self.loop)
        super().connection_made(self._out)  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """A reply is whole."""
        self._out.flush()
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes from the connection."""
        if self._refused:
            return
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > MOST_HEAD_BYTES:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._take_in(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or one that follows a body."""
        self._take_in(len(name) + len(value) + A_HEADERS_BYTES)
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._unfinished = 0
        super().on_message_complete()

    def _take_in(self, count: int) -> None:
        self._unfinished = 0
        self._head += count
        if self._head > MOST_HEAD_BYTES:
            raise _TooLarge  # the parser stops, and says that it did

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong, and end the connection."""
        self._refuse(TOO_LARGE if self._head > MOST_HEAD_BYTES else NOT_HTTP)

    def _refuse(self, problem: Problem) -> None:
        if self._refused:
            return
        self._refused = True
        body = json.dumps(problem.body).encode()
        self.transport.write(
            STATUS_LINE[problem.status]
            + f"content-type: {PROBLEM}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        # What still comes is dropped for a while: closed at once, a system forgets the answer before it was read.
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
