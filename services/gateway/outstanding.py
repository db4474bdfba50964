"""Submissions that this replica put on the log, until it sees their outcome."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from services.chassis.reader import Tombstone
from services.gateway.outcomes import Seen

MOST = 1_000_000
"""Past so many the oldest are forgotten: a count that large says enough."""


class Outstanding:
    """By the transaction (the id of the submission's event), in the order of their telling. In memory only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds since any moment."""
        self._clock = clock
        self._since: dict[UUID, float] = {}

    def begin(self, transaction: UUID) -> None:
        """It is about to be told. One that is told again counts from its first time."""
        self._since.setdefault(transaction, self._clock())
        if len(self._since) > MOST:
            del self._since[next(iter(self._since))]

    def settle(self, outcomes: Sequence[Seen | Tombstone]) -> None:
        """These have an outcome; those of other replicas are none of ours."""
        for seen in outcomes:
            if not isinstance(seen, Tombstone):
                self._since.pop(seen.correlationid, None)

    async def count(self) -> tuple[float, float]:
        """How many, and the age of the oldest in seconds, 0 when there is none."""
        oldest = next(iter(self._since.values()), None)
        return len(self._since), 0.0 if oldest is None else self._clock() - oldest
