"""Attempts of a kind that were taken in, until their answer is seen."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from services.chassis.reader import Tombstone
from services.gateway.outcomes import Seen
from services.gateway.overload import FEW

PILING_UP_SECONDS = 1.0
"""While the oldest waits for less, nothing piles up, and the pace of answers is the pace at which attempts come."""

STUCK_SECONDS = 3.0
"""One that was overtaken by one that began so much later is stuck by itself: partitions are not read in one order."""

PACE_SECONDS = 5.0
"""Over how long the pace of answers is taken: they come by the batch, a few hundred at once under load."""


class Outstanding:
    """By the transaction (the id of the attempt's event), the oldest first. In memory only."""

    def __init__(self, forget_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Past `forget_seconds` nobody is booked on its strength. `clock` gives seconds since any moment."""
        self._forget_seconds = forget_seconds
        self._clock = clock
        self._since: dict[UUID, float] = {}
        self._newest_settled = float("-inf")
        self._settled: deque[tuple[float, int]] = deque()
        """When answers came, and how many, since more than a few wait."""

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, transaction: UUID) -> None:
        """It is about to be stored and told. One that is told again counts from its first time."""
        now = self._clock()
        while self._since and (oldest := next(iter(self._since.items())))[1] < now - self._forget_seconds:
            del self._since[oldest[0]]
        self._since.setdefault(transaction, now)

    def recall(self, ages: Iterable[tuple[UUID, float]]) -> None:
        """These were taken in by others, or before this process began: each so many seconds ago."""
        now = self._clock()
        recalled = {transaction: now - age for transaction, age in ages}
        self._since = dict(sorted((recalled | self._since).items(), key=lambda one: one[1]))

    def drop(self, transactions: Iterable[UUID]) -> None:
        """These wait for no answer: they were not told, or have one."""
        for transaction in transactions:
            self._since.pop(transaction, None)

    def settle(self, facts: Sequence[Seen | Tombstone]) -> None:
        """These answer. Those whose attempts nobody here knows of are none of ours."""
        before = len(self._since)
        for seen in facts:
            if not isinstance(seen, Tombstone) and seen.correlationid in self._since:
                self._newest_settled = max(self._newest_settled, self._since.pop(seen.correlationid))
        if len(self._since) < FEW:
            self._settled.clear()
        elif len(self._since) < before:
            self._settled.append((self._clock(), before - len(self._since)))

    def older_than(self, seconds: float) -> list[UUID]:
        """Those that wait for longer than that."""
        before = self._clock() - seconds
        return [transaction for transaction, since in self._since.items() if since < before]

    def seconds_behind(self) -> float:
        """How long one more would wait; 0 where only a few wait. What is stuck by itself says nothing of the others.

        As long as the oldest one. But where they pile up that says how it was when the oldest came: until it has waited
        for too long, far more have come than can be answered in time. So there all that wait count, by the pace of
        answers.
        """
        if len(self._since) < FEW:
            return 0.0
        overtaken = self._newest_settled - STUCK_SECONDS
        stuck, oldest = next(
            ((number, since) for number, since in enumerate(self._since.values()) if since > overtaken), (0, None)
        )
        if oldest is None:
            return 0.0
        now = self._clock()
        waits, pace = now - oldest, self._pace(now)
        return waits if waits < PILING_UP_SECONDS or not pace else (len(self._since) - stuck) / pace

    def _pace(self, now: float) -> float:
        """Answers a second of late; 0 where they came once or not at all."""
        while self._settled and self._settled[0][0] < now - PACE_SECONDS:
            self._settled.popleft()
        after_the_first = sum(count for _, count in self._settled) - (self._settled[0][1] if self._settled else 0)
        return after_the_first / (now - self._settled[0][0]) if after_the_first else 0.0

    async def count(self) -> tuple[float, float]:
        """How many, and the age of the oldest in seconds, 0 when there is none."""
        oldest = next(iter(self._since.values()), None)
        return len(self._since), 0.0 if oldest is None else self._clock() - oldest
