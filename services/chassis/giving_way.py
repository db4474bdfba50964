"""Readers that nobody waits for stand back in a rush, for a while (docs/decisions/chassis-giving-way.md)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from services.chassis.metrics import STANDING_BACK

MANY = 5_000
"""Records that wait on the way of others: more than they leave uncommitted while they keep up on a few cores, and more
than the gateway lets in when it is asked for more than can be answered."""

FEW = 1_000
"""So few, and readers go on."""

LOOK_SECONDS = 0.25
LONGEST_SECONDS = 10.0
"""For so long readers stand back; then they catch up before they do again."""

CAUGHT_UP_SECONDS = 2.0
"""Who reads records no older than that has caught up."""

Behind = Callable[[], Awaitable[int]]
"""How many records wait for those whose work is waited for, over all their topics."""


class GivingWay:
    """Whether the readers of a service stand back now. Times are the monotonic clock's."""

    def __init__(self, service: str, behind: Behind) -> None:
        self._service = service
        self._behind = behind
        self._readers: set[str] = set()
        self._late: set[str] = set()
        """Those that must be seen to have caught up before any stands back again."""
        self._stood_back_at = 0.0
        self._reading = asyncio.Event()
        self._reading.set()
        self._rush = asyncio.Event()

    def joins(self, reader: str) -> None:
        """A reader stands back with the others."""
        self._readers.add(reader)

    @property
    def stands_back(self) -> bool:
        """Whether nothing is to be read now."""
        return not self._reading.is_set()

    async def turn(self, seconds: float) -> None:
        """Wait until it is the readers' turn, but no longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._reading.wait()

    def has_read(self, reader: str, seconds_old: float | None, *, more_waits: bool) -> None:
        """A reader has looked for records: how old the oldest was, None where there was none, and whether there are
        more than it takes at a time. Until there are, it is no rush, and nobody asks how far the others are behind."""
        if more_waits:
            self._rush.set()
        if seconds_old is None or seconds_old < CAUGHT_UP_SECONDS:
            self._late.discard(reader)

    def is_waited_for(self) -> None:
        """Somebody waits for what the readers do, after all: they catch up before they stand back again."""
        self._late = set(self._readers)
        self._go_on()

    async def watch(self) -> None:
        """Look how far the others are behind, for as long as there is anything to stand back from. Never ends.

        Raises Kafka's errors, and is begun again.
        """
        try:
            while True:
                await self._rush.wait()
                self._rush.clear()
                self.look(await self._behind(), time.monotonic())
                while self.stands_back:
                    await asyncio.sleep(LOOK_SECONDS)
                    self.look(await self._behind(), time.monotonic())
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._go_on()

    def look(self, behind: int, now: float) -> None:
        """So many records wait for the others now."""
        if self.stands_back:
            if now - self._stood_back_at >= LONGEST_SECONDS:
                self.is_waited_for()
            elif behind <= FEW:
                self._go_on()
        elif behind > MANY and not self._late:
            self._stood_back_at = now
            self._reading.clear()
            STANDING_BACK.labels(self._service).set(1)

    def _go_on(self) -> None:
        self._reading.set()
        STANDING_BACK.labels(self._service).set(0)
