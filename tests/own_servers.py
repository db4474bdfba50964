"""Kafka and PostgreSQL of one's own, which may be stopped, killed and frozen."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services.backing import instance
from services.backing.settings import Settings

EMBEDDED = Settings()


class Servers:
    """Servers of one's own, which may be stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._given = instance.start(folder, say=print, settings=EMBEDDED)
        self.kafka = self._given.kafka
        self.database = self._given.database_url

    async def without(self, server: Callable[[Path], object], name: str) -> None:
        """End one of them."""
        await asyncio.to_thread(server, self._folder / name)

    async def whole(self) -> None:
        """Start again what is not running, on the ports it had."""
        again = await asyncio.to_thread(instance.start, self._folder, say=print, settings=EMBEDDED)
        assert (self.kafka, self.database) == (again.kafka, again.database_url)

    @asynccontextmanager
    async def frozen_broker(self) -> AsyncIterator[None]:
        """A broker that does nothing and refuses nothing: its connections stay, and no answer comes."""
        broker = instance.status(self._folder).kafka
        assert broker is not None
        os.kill(broker.child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(broker.child.pid, signal.SIGCONT)
