"""Public keys of callers at an address (a JSON Web Key Set): asked for, kept, and asked for again as they change."""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import jwt

from services.chassis.failures import where
from services.chassis.identity import KeysUnusable, Verifier
from services.chassis.log import logger

REFRESH_SECONDS = 300.0
"""A key that is withdrawn is believed for so long at most, while its address answers."""

AGAIN_SECONDS = 2.0
"""How soon an address is asked again that never gave any key."""

LOOK_SECONDS = 10.0
"""Tokens that name unknown keys make us ask no more often than this, however many are forged."""

ANSWER_SECONDS = 5.0
LARGEST_BYTES = 1_000_000


class KeyAddress:
    """Keeps a verifier's keys as an address has them. The last ones hold while it is away."""

    def __init__(self, address: str, verifier: Verifier, *, clock: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise KeysUnusable(address, ValueError("keys that come unprotected may be anybody's: https is needed"))
        self._address = address
        self._verifier = verifier
        verifier.look = self.look
        self._clock = clock
        self._client = httpx.AsyncClient(timeout=ANSWER_SECONDS)
        self._looking: asyncio.Task[None] | None = None
        self._not_before = float("-inf")
        self._content = b""
        self._log = logger("keys")

    async def follow(self) -> None:
        """Keep asking, for ever."""
        try:
            while True:
                await self._ask()
                await asyncio.sleep(AGAIN_SECONDS if self._verifier.waiting_for else REFRESH_SECONDS)
        finally:
            await self._client.aclose()

    async def look(self) -> None:
        """Ask now, unless somebody did a moment ago; all who wait share one question."""
        if self._looking is None or self._looking.done():
            if self._clock() < self._not_before:
                return
            self._not_before = self._clock() + LOOK_SECONDS
            self._looking = asyncio.create_task(self._ask())
        await asyncio.shield(self._looking)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                content = await self._fetch()
            if content != self._content:
                self._verifier.learn(jwt.PyJWKSet.from_json(content.decode()))
                self._content = content
        except (httpx.HTTPError, TimeoutError, ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
            self._log.warning("keys_not_had", error=type(error).__name__, reason=where(error))

    async def _fetch(self) -> bytes:
        content = b""
        async with self._client.stream("GET", self._address) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST_BYTES:
                    raise ValueError("no key set is so large")
        return content
