"""Attempts of a kind that were taken in, until their answer is seen."""

import time
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from services.chassis.reader import Tombstone
from services.gateway.outcomes import Seen
from services.gateway.overload import FEW


class Outstanding:
    """By the transaction (the id of the attempt's event), the oldest first. In memory only."""

    def __init__(self, forget_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Past `forget_seconds` nobody is booked on its strength. `clock` gives seconds since any moment."""
        self._forget_seconds = forget_seconds
        self._clock = clock
        self._since: dict[UUID, float] = {}
        self._newest_settled = float("-inf")

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
        for seen in facts:
            if not isinstance(seen, Tombstone) and seen.correlationid in self._since:
                self._newest_settled = max(self._newest_settled, self._since.pop(seen.correlationid))

    def older_than(self, seconds: float) -> list[UUID]:
        """Those that wait for longer than that."""
        before = self._clock() - seconds
        return [transaction for transaction, since in self._since.items() if since < before]

    def seconds_behind(self) -> float:
        """How long the oldest one waits that no later one has overtaken; 0 where only a few wait.

        One that was overtaken is stuck by itself and says nothing of the others.
        """
        if len(self._since) < FEW:
            return 0.0
        in_turn = next((since for since in self._since.values() if since > self._newest_settled), None)
        return 0.0 if in_turn is None else self._clock() - in_turn

    async def count(self) -> tuple[float, float]:
        """How many, and the age of the oldest in seconds, 0 when there is none."""
        oldest = next(iter(self._since.values()), None)
        return len(self._since), 0.0 if oldest is None else self._clock() - oldest
