"""When one more attempt could not be answered in time. Pure: times are seconds since any one moment."""

from collections import deque
from dataclasses import dataclass
from math import ceil

LONGEST_RETRY_SECONDS = 30
PACE_SECONDS = 3.0
"""Over how long a pace is taken: more than a few commits of offsets."""

LATE_COMMIT_SECONDS = 1.0
"""What a group has done it may commit so much later, and a submission does not wait for that at any of the hops."""

MOST_LOOKS = 600
"""How long a record waits is known so many looks back: longer than anyone is told to wait."""

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
    """How far a group is behind on a topic, in seconds: what it has left, by the pace at which it went of late.

    But never longer than its oldest record is known to wait: one that had nothing to read, or has not committed yet,
    goes at a pace that says nothing of how fast it is.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque(maxlen=MOST_LOOKS)
        """Looks at the topic's end from the first on that found records which the group has not committed."""
        self._committed: deque[tuple[float, int]] = deque()

    def seconds_behind(self, now: float, end: int, committed: int) -> float:
        """Take a look at the group: the topic's end and what the group has committed, summed over partitions."""
        self._ends.append((now, end))
        while self._ends and self._ends[0][1] <= committed:
            self._ends.popleft()
        self._committed.append((now, committed))
        while self._committed[0][0] < now - PACE_SECONDS:
            self._committed.popleft()
        if not self._ends:
            return 0.0
        waits = max(0.0, now - self._ends[0][0] - LATE_COMMIT_SECONDS)
        began, then = self._committed[0]
        return min(waits, (end - committed) * (now - began) / (committed - then)) if committed > then else waits
