"""A device of a test's own: the gateway answers as the test says, the clocks are the test's, the screen records."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from contracts.people import Position
from services.device.clock import Clock, ShiftClock
from services.device.device import Decision, Device
from services.device.incidents import Incident
from services.device.queue import Entry, Queue
from services.device.sender import Gateway
from services.device.shift import shift
from services.device.signal import Gap, Signal

NOW = datetime(2031, 3, 4, 14, 2, tzinfo=UTC)
MIDDLE = Position(latitude=52.9, longitude=-1.2)
OUTCOME: dict[str, Any] = {"referral_id": "00000000-0000-4000-8000-000000000001", "outcome": "delivered"}

Answer = Callable[[httpx.Request], httpx.Response]


def incident(number: int = 0) -> Incident:
    """An incident of a seed of its own."""
    return next(shift(number, [MIDDLE], lambda _: NOW))


@dataclass
class Clocks:
    """Both clocks of a device; a test moves them."""

    shown: datetime = NOW
    elapsed: float = 1000.0
    boot: str = "first"

    slept: list[float] = field(default_factory=list)

    def clock(self) -> Clock:
        """As the device has them. Who waits finds that the time has passed."""
        return Clock(now=lambda: self.shown, elapsed=lambda: self.elapsed, sleep=self._sleep, boot=self.boot)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.later(seconds=seconds)
        await asyncio.sleep(0)

    def later(self, **time: float) -> None:
        """Both go on."""
        self.shown += timedelta(**time)
        self.elapsed += timedelta(**time).total_seconds()


@dataclass
class Recording:
    """What the crew was shown, and how it decides when it is asked."""

    decisions: Iterable[Decision] = ("send",)
    shown: list[tuple[str, str]] = field(default_factory=list)
    wrong_by: list[timedelta] = field(default_factory=list)
    on_shown: Callable[[Entry], None] = lambda _: None
    asked: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Decide in turn."""
        self._decisions = iter(self.decisions)

    def referral(self, entry: Entry, because: str) -> None:
        """Record it."""
        self.shown.append((entry.state, because))
        self.on_shown(entry)

    def clock(self, wrong_by: timedelta) -> None:
        """Record it."""
        self.wrong_by.append(wrong_by)

    async def ask(self, entry: Entry) -> Decision:
        """Decide as the test says."""
        self.asked.append(entry)
        return next(self._decisions, "later")

    @property
    def states(self) -> list[str]:
        """The states that were shown."""
        return [state for state, _ in self.shown]


@asynccontextmanager
async def device_at(
    path: Path,
    answer: Answer,
    screen: Recording,
    clocks: Clocks,
    *gaps: Gap,
    lasts_seconds: float = 600.0,
    gateway: Any = None,
) -> AsyncIterator[tuple[Device, Queue]]:
    """A device on a file, until the block ends: as if it was switched off then."""
    queue = Queue(path)
    clock = clocks.clock()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://onward") as client:
        device = Device(
            queue,
            gateway or Gateway(client, "token"),
            screen,
            clock=clock,
            signal=Signal(gaps),
            shift_clock=ShiftClock(clock),
            lasts_seconds=lasts_seconds,
            ask=screen.ask,
            chance=random.Random(1),
        )
        try:
            yield device, queue
        finally:
            await device.stop()
            queue.close()
