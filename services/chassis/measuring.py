"""What is counted only when somebody asks for the metrics: between two scrapes it costs nothing."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import Gauge

from services.chassis.failures import where
from services.chassis.log import logger

AGAIN_SECONDS = 1.0
"""However often it is asked, it counts no more often."""

PATIENCE_SECONDS = 2.0
"""A scrape is answered even while Kafka or PostgreSQL is away."""

Count = Callable[[], Awaitable[Sequence[float]]]
"""Gives a number for each gauge, in their order."""


class Measuring:
    """The gauges of one service that are set when they are asked for."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._counts: list[tuple[Sequence[Gauge], tuple[str, ...], Count]] = []
        self._at = -math.inf
        self._counting = asyncio.Lock()

    def add(self, gauges: Sequence[Gauge], count: Count, *labels: str) -> None:
        """These gauges, under the service's name and these labels, are what `count` gives."""
        self._counts.append((gauges, (self._service, *labels), count))

    async def measure(self) -> None:
        """Count anew. What cannot be counted now is not a number (NaN), rather than what it was."""
        async with self._counting:
            if time.monotonic() - self._at > AGAIN_SECONDS:
                await asyncio.gather(*(self._set(*one) for one in self._counts))
                self._at = time.monotonic()

    async def _set(self, gauges: Sequence[Gauge], labels: tuple[str, ...], count: Count) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                values = await count()
        except Exception as error:  # of whatever kind: a scrape shows what it can
            logger(self._service).warning("not_counted", error=type(error).__name__, reason=where(error))
            values = [math.nan] * len(gauges)
        for gauge, value in zip(gauges, values, strict=True):
            gauge.labels(*labels).set(value)
