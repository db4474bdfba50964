"""Sending a request as it is, however bad: nothing is mended, escaped or refused on this side."""

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from select import select
from typing import Any, Self
from urllib.parse import urlsplit

from tests.edges.routes import Ask

PIECE = 64 * 1024
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back; of a stream its head alone."""

    status: int
    media_type: str
    body: bytes

    @property
    def document(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


class Sender:
    """A connection that is kept."""

    def __init__(self, url: str) -> None:
        self._connection = _Connection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, ask: Ask) -> Answer:
        """The answer to a request."""
        connection = self._connection
        connection.putrequest(ask.method, ask.target.decode(), skip_accept_encoding=True)
        for name, value in ask.headers.items():
            connection.putheader(name, value)
        announced = any(name.lower() == "content-length" for name in ask.headers)
        if ask.in_parts:
            connection.putheader("Transfer-Encoding", "chunked")
        elif not announced and (ask.body or ask.method in ("POST", "PUT", "PATCH")):
            connection.putheader("Content-Length", str(len(ask.body)))
        try:
            pieces = (ask.body[at : at + PIECE] for at in range(0, len(ask.body), PIECE))
            connection.endheaders(pieces if ask.body else None, encode_chunked=ask.in_parts)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused before all was sent: the answer says why
        answer = connection.getresponse()
        media_type = answer.headers.get("Content-Type", "")
        if media_type.startswith("text/event-stream"):
            connection.close()
            return Answer(answer.status, media_type, b"")
        return Answer(answer.status, media_type, answer.read())


def endless_head(url: str) -> int:
    """The status that is answered to a header which goes on until it is."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Endless: ")
        while not select([connection], [], [], 0)[0]:
            connection.sendall(b"x" * PIECE)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status


class _Connection(HTTPConnection):
    """Python's own, without its looking at what is asked for."""

    def _validate_method(self, method: str) -> None:
        """Whatever."""

    def _validate_path(self, url: str) -> None:
        """Whatever."""
