"""Signal: when a device reaches the network, by a schedule or at random."""

import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import time
from itertools import count
from typing import NamedTuple

DAY = 86_400.0
_SPELL = re.compile(r"(\d{2}:\d{2}(?::\d{2})?)\s*-\s*(\d{2}:\d{2}(?::\d{2})?)", re.ASCII)


class Gap(NamedTuple):
    """A spell without signal, in seconds from the beginning of the shift."""

    begins: float
    ends: float


class Reception(NamedTuple):
    """Whether there is signal, and in how many seconds of the shift that may change."""

    is_there: bool
    for_seconds: float


class NotASpell(ValueError):
    """A spell that cannot be read."""

    def __init__(self, written: str) -> None:
        super().__init__(f"{written!r} is not a spell: write two times of the shift's clock, such as 08:00-08:20")


class Signal:
    """Signal over a shift. Each kind of gap is in order and may have no end; asked for later and later times."""

    def __init__(self, *kinds: Iterable[Gap]) -> None:
        self._kinds = [iter(kind) for kind in kinds]
        self._next = [next(kind, None) for kind in self._kinds]

    def at(self, seconds: float) -> Reception:
        """Whether there is signal so far into the shift."""
        changes = math.inf
        for number, kind in enumerate(self._kinds):
            gap = self._next[number]
            while gap is not None and gap.ends <= seconds:
                gap = next(kind, None)
            self._next[number] = gap
            if gap is None:
                continue
            if gap.begins <= seconds:
                return Reception(False, gap.ends - seconds)
            changes = min(changes, gap.begins - seconds)
        return Reception(True, changes)


def by_schedule(written: Sequence[str], begins: time) -> Iterator[Gap]:
    """Gaps from spells such as `08:00-08:20`, every day of a shift that begins at that time. Raises NotASpell."""
    spells = sorted(_spell(one, begins) for one in written)
    if not spells:
        return iter(())
    # From the day before: a spell that began then may still last.
    return (Gap(begun + day * DAY, ended + day * DAY) for day in count(-1) for begun, ended in spells)


def _spell(written: str, begins: time) -> Gap:
    match = _SPELL.fullmatch(written.strip())
    if match is None:
        raise NotASpell(written)
    try:
        begun, ended = (_seconds(time.fromisoformat(part)) for part in match.groups())
    except ValueError:
        raise NotASpell(written) from None
    lasts = (ended - begun) % DAY
    if lasts == 0:
        raise NotASpell(written)
    start = (begun - _seconds(begins)) % DAY
    return Gap(start, start + lasts)


def _seconds(clock: time) -> float:
    return clock.hour * 3600.0 + clock.minute * 60.0 + clock.second


def at_random(share: float, mean_gap_seconds: float, chance: random.Random) -> Iterator[Gap]:
    """Gaps so that there is signal for a share (above 0, up to 1) of the time: both spells' lengths are exponential."""
    mean_between = mean_gap_seconds * share / (1 - share) if share < 1 else math.inf
    at = 0.0
    while math.isfinite(mean_between):
        at += chance.expovariate(1 / mean_between)
        ends = at + chance.expovariate(1 / mean_gap_seconds)
        yield Gap(at, ends)
        at = ends
