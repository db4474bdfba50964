"""The clocks of a device: the one that it shows, which may be wrong, and the one that measures, which cannot be set."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

TOLERANCE = timedelta(minutes=1)
"""A clock that differs from the server's by less counts as right."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Clock:
    """What a device knows of time."""

    now: Callable[[], datetime]
    """The time that it shows."""
    elapsed: Callable[[], float]
    """Seconds since it was switched on, those asleep included where the system counts them. Nobody can set it."""
    sleep: Callable[[float], Awaitable[object]]
    """Waits so many seconds."""
    boot: str
    """Names the time since it was switched on: `elapsed` means nothing across it."""


def clock_of_this_machine(wrong_by: timedelta = timedelta()) -> Clock:
    """This machine's clocks; `wrong_by` sets the one that is shown wrong, for a simulation."""
    asleep_too = getattr(time, "CLOCK_BOOTTIME", None)
    return Clock(
        now=lambda: datetime.now(UTC) + wrong_by,
        elapsed=time.monotonic if asleep_too is None else lambda: time.clock_gettime(asleep_too),
        sleep=asyncio.sleep,
        boot=_BOOT_ID.read_text().strip() if _BOOT_ID.exists() else f"{psutil.boot_time():.0f}",
    )


class ShiftClock:
    """The time within a shift, in seconds from its beginning, which may pass faster than life."""

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        self._elapsed = clock.elapsed
        self._began = clock.elapsed()
        self._speed = speed

    def seconds(self) -> float:
        """How far the shift has come."""
        return (self._elapsed() - self._began) * self._speed

    def in_life(self, seconds: float) -> float:
        """How long so many seconds of the shift take."""
        return seconds / self._speed
