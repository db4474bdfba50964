"""When one more attempt could not be answered in time. Pure: times are seconds since any one moment."""

from collections import deque
from dataclasses import dataclass
from math import ceil

LONGEST_RETRY_SECONDS = 30
PACE_SECONDS = 3.0
"""Over how long a pace is taken: more than a few commits of offsets."""

FEW = 20
"""So few that wait say nothing of how far the answers are behind: one of them may be stuck by itself."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not now, and why."""

    why: str
    retry_seconds: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be under way."""

    unsettled: int
    """Attempts without an answer, those included that were answered 202."""
    unsettled_at_once: int
    """The same for senders who do not wait, and could otherwise crowd out those who do."""
    behind_seconds: float

    def refusal(self, *, unsettled: int, behind_seconds: float, at_once: bool) -> Refusal | None:
        """Why one more would not be answered in time, if so."""
        if behind_seconds > self.behind_seconds:
            return Refusal(
                f"Answers are {behind_seconds:.0f} seconds behind.",
                min(ceil(behind_seconds), LONGEST_RETRY_SECONDS),
            )
        if unsettled >= (self.unsettled_at_once if at_once else self.unsettled):
            return Refusal(f"{unsettled} wait for their answer already.", max(1, ceil(behind_seconds)))
        return None


class Pace:
    """How far a group is behind on a topic, in seconds: what it has left, by the pace at which it went of late."""

    def __init__(self) -> None:
        self._committed: deque[tuple[float, int]] = deque()
        self._stands_since: float | None = None

    def seconds_behind(self, now: float, end: int, committed: int) -> float:
        """Take a look at the group: the topic's end and what the group has committed, summed over partitions.

        Of a group that has something left and does not move: since when it stands. A pace says nothing of a few that
        are left: where one comes every few seconds, that is how slowly they come, and the group has just not committed.
        """
        moved = bool(self._committed) and committed > self._committed[-1][1]
        self._committed.append((now, committed))
        while self._committed[0][0] < now - PACE_SECONDS:
            self._committed.popleft()
        left = end - committed
        if left <= 0 or moved:
            self._stands_since = None
        elif self._stands_since is None:
            self._stands_since = now
        if left <= 0:
            return 0.0
        began, then = self._committed[0]
        if committed > then and left >= FEW:
            return left * (now - began) / (committed - then)
        return 0.0 if self._stands_since is None else now - self._stands_since
