"""Letting attempts of a kind in, or not now."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from services.chassis.metrics import REFUSED
from services.gateway.backlog import Backlog
from services.gateway.outstanding import Outstanding
from services.gateway.overload import Limits, Refusal


@dataclass(slots=True)
class Room:
    """One attempt's place among the outstanding."""

    taken: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """What is under way, and how much may be."""

    outstanding: Outstanding
    backlog: Backlog
    limits: Limits

    def __post_init__(self) -> None:
        REFUSED.labels("gateway")  # counted from zero

    def refusal(self, *, at_once: bool) -> Refusal | None:
        """Why there is no room for one more, if so; `at_once` for a sender who does not wait."""
        return self.limits.refusal(
            unsettled=len(self.outstanding),
            behind_seconds=max(self.outstanding.seconds_behind(), self.backlog.seconds()),
            at_once=at_once,
        )

    @contextmanager
    def room_for(self, transaction: UUID) -> Iterator[Room]:
        """Room for an attempt, from now on, so that none slips in between; given back unless it is taken."""
        room = Room()
        self.outstanding.begin(transaction)
        try:
            yield room
        finally:
            if not room.taken:
                self.outstanding.drop([transaction])
