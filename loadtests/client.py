"""Requests over HTTP, as cheap as they can be for the sender: its CPU is taken from the machine that is measured."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

LONGEST_SECONDS = 60.0
KEEP_SECONDS = 10.0
"""Shorter than any server keeps an idle connection, so that no request meets one that is being closed."""


class Reply(NamedTuple):
    """What came back: the status, and the body; status 0 with the error's name where nothing did."""

    status: int
    body: bytes
    error: str = ""


class Client:
    """Connections to one system."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, headers: Mapping[str, str]) -> AsyncIterator["Client"]:
        """Connections that carry these headers; as many at once as there are requests under way."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS)
        timeout = aiohttp.ClientTimeout(total=LONGEST_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            yield cls(session, url)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post JSON. Never raises for what the network does."""
        return await self._ask("POST", path, data=body, headers={"Content-Type": "application/json", **headers})

    async def get(self, path: str, params: Mapping[str, Any]) -> Reply:
        """Get."""
        return await self._ask("GET", path, params=params)

    async def _ask(self, method: str, path: str, **arguments: Any) -> Reply:
        try:
            async with self._session.request(method, f"{self._url}{path}", **arguments) as response:
                return Reply(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            return Reply(0, b"", type(error).__name__)

    def stream(self, path: str) -> Any:
        """A response that is read bit by bit, without an end."""
        return self._session.get(f"{self._url}{path}", timeout=aiohttp.ClientTimeout(total=None))
