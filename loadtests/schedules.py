"""Schedules: when each request is to leave, in seconds from the beginning. Pure functions of what is asked and a seed.

A schedule is a rate that is known at every moment: pieces of time over which it stays, or grows or shrinks evenly.
Arrivals are even (the n-th request leaves when n are due) or of a Poisson process of that rate, as when many people act
without knowing of each other.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from math import sqrt
from typing import Literal, Self

Arrivals = Literal["even", "poisson"]
DAY_SECONDS = 86_400.0
HOURS = 24


@dataclass(frozen=True, slots=True)
class Piece:
    """So many seconds, over which the rate goes evenly from one figure to another. Rates are requests a second."""

    seconds: float
    begins: float
    ends: float

    @property
    def requests(self) -> float:
        """How many are due over the piece."""
        return self.seconds * (self.begins + self.ends) / 2

    def when(self, due: float) -> float:
        """After how many seconds so many are due: where the area under the rate is `due`."""
        if due <= 0:
            return 0.0
        growth = (self.ends - self.begins) / self.seconds
        # Of the two ways to write the root of growth/2 t² + begins t = due, the one that divides by no small number.
        return 2 * due / (self.begins + sqrt(max(0.0, self.begins**2 + 2 * growth * due)))


@dataclass(frozen=True)
class Schedule:
    """Pieces one after the other; a schedule without any is a burst, all at once."""

    pieces: tuple[Piece, ...]
    arrivals: Arrivals = "even"
    at_once: int = 0
    """How many leave at the very beginning, beside what the pieces say."""

    @classmethod
    def constant(cls, per_second: float, seconds: float, arrivals: Arrivals = "even") -> Self:
        """The same rate all the time."""
        return cls((Piece(seconds, per_second, per_second),), arrivals)

    @classmethod
    def ramp(cls, begins: float, ends: float, seconds: float, arrivals: Arrivals = "even") -> Self:
        """From one rate to another, evenly."""
        return cls((Piece(seconds, begins, ends),), arrivals)

    @classmethod
    def steps(cls, rates: Sequence[float], seconds: float, arrivals: Arrivals = "even") -> Self:
        """One rate after the other, each for so many seconds."""
        return cls(tuple(Piece(seconds, rate, rate) for rate in rates), arrivals)

    @classmethod
    def day(cls, events: float, hours: Sequence[float], arrivals: Arrivals = "poisson") -> Self:
        """A day of so many events. `hours` weighs each hour's beginning; between two of them the rate goes evenly."""
        around = [*hours, hours[0]]
        whole = sum(begins + ends for begins, ends in pairwise(around)) / 2
        rates = [events * hour / whole / (DAY_SECONDS / HOURS) for hour in around]
        return cls(tuple(Piece(DAY_SECONDS / HOURS, *two) for two in pairwise(rates)), arrivals)

    @classmethod
    def burst(cls, events: int) -> Self:
        """All at once."""
        return cls((), "even", events)

    def shortened(self, by: float) -> "Schedule":
        """The same rates for a part of the time, and so a part of the requests."""
        pieces = tuple(Piece(one.seconds / by, one.begins, one.ends) for one in self.pieces)
        return Schedule(pieces, self.arrivals, round(self.at_once / by))

    def faster(self, by: float) -> "Schedule":
        """The same requests in a part of the time, and so at so many times the rate."""
        pieces = tuple(Piece(one.seconds / by, one.begins * by, one.ends * by) for one in self.pieces)
        return Schedule(pieces, self.arrivals, self.at_once)

    def times(self, by: float) -> "Schedule":
        """So many times the rate for the same time."""
        pieces = tuple(Piece(one.seconds, one.begins * by, one.ends * by) for one in self.pieces)
        return Schedule(pieces, self.arrivals, round(self.at_once * by))

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(piece.seconds for piece in self.pieces)

    @property
    def requests(self) -> float:
        """How many leave, exactly with even arrivals, on average with others."""
        return self.at_once + sum(piece.requests for piece in self.pieces)

    def rate(self, at: float) -> float:
        """Requests a second, so many seconds from the beginning; none before and after."""
        for piece in self.pieces:
            if 0 <= at < piece.seconds:
                return piece.begins + (piece.ends - piece.begins) * at / piece.seconds
            at -= piece.seconds
        return 0.0

    def moments(self, seed: int) -> Iterator[float]:
        """When each request is to leave, ascending."""
        yield from [0.0] * self.at_once
        chance = random.Random(seed)
        dues = count() if self.arrivals == "even" else _poisson(chance)
        began, before = 0.0, 0.0
        due = next(dues)
        for piece in self.pieces:
            while due - before < piece.requests:
                yield began + piece.when(due - before)
                due = next(dues)
            began += piece.seconds
            before += piece.requests


def _poisson(chance: random.Random) -> Iterator[float]:
    """How many are due, on average, when the next one comes."""
    due = 0.0
    while True:
        due += chance.expovariate(1.0)
        yield due
