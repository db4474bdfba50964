"""Looks: the services of some types in a square around a patient, found in the index."""

from collections.abc import Iterable, Sequence
from math import asin, cos, floor, inf, pi, radians, sin
from typing import NamedTuple

import numpy as np

from services.pathways.asked import Asked
from services.pathways.columns import Numbers, Truths, beside
from services.pathways.filters import Pairs, may_be_said
from services.pathways.globe import EARTH_KM, METRES, Square
from services.pathways.index import BAND_DEGREES, BAND_WIDTH, BANDS, Snapshot
from services.pathways.wishes import PROPOSAL, Wishes

HAIR = 1e-5
"""Degrees by which a band is looked at too widely, for the keys are rounded. The square itself is exact."""


class Look(NamedTuple):
    """A look at a part of a search's square, around its middle, for some of its wishes."""

    wish: Numbers
    heads: Sequence[tuple[int, int]]
    """The same by wish and type, where those for all types are one, which begins with the first of them."""
    whole: Square
    part: float = 1.0

    @property
    def square(self) -> Square:
        """What is looked at."""
        if self.part == 1:
            return self.whole
        south, north, west, east = self.whole
        up, across = (north - south) * (1 - self.part) / 2, (east - west) * (1 - self.part) / 2
        return Square(south + up, north - up, west + across, east - across)

    @property
    def reach(self) -> float:
        """How far away at least, in metres, is what is in the whole square and is not looked at."""
        if self.part == 1:
            return inf
        south, north, west, east = self.square
        up, across = radians(north - south) / 2, radians(east - west) / 2
        # To a meridian the way is shorter than along the parallel. A metre less, for distances are rounded.
        aside = asin(cos(radians(south + north) / 2) * sin(min(across, pi / 2)))
        return min(up, aside) * EARTH_KM * METRES - 1

    def wider(self, wishes: Wishes, wish: Numbers, times: float) -> "Look":
        """The same for some of its wishes, so many times as far, at most to the sides of the whole square."""
        heads = self.heads if len(wish) == len(self.wish) else heads_of(wishes, wish)
        return Look(wish, heads, self.whole, min(1.0, self.part * times))


def heads_of(wishes: Wishes, wish: Numbers) -> list[tuple[int, int]]:
    """Each of some wishes with its type."""
    return list(zip(wish.tolist(), wishes.service_type.take(wish).tolist(), strict=True))


class Pieces(NamedTuple):
    """Runs of the index that cover what is looked at."""

    look: Numbers
    wish: Numbers
    """The first one, where a run is of all types."""
    past: Numbers
    length: Numbers

    def and_also(self, other: "Pieces") -> "Pieces":
        """These runs, then those."""
        return Pieces(*map(np.concatenate, zip(self, other, strict=True)))

    def where(self, chosen: Truths) -> "Pieces":
        """The runs at these places."""
        return Pieces(*(column[chosen] for column in self))


def pieces_of(snapshot: Snapshot, looks: Sequence[Look], numbers: Iterable[int]) -> Pieces:
    """The runs with all services that are looked at in the looks of these numbers, and with some around them."""
    look: list[int] = []
    wish: list[int] = []
    lowest: list[float] = []
    highest: list[float] = []
    for number in numbers:
        line, width, bands = _bands(looks[number].square)
        for head, service_type in looks[number].heads:
            first = service_type * (BANDS * BAND_WIDTH) + line
            begins = [first + band for band in BAND_BEGINS[:bands]]
            lowest += begins
            highest += [key + width for key in begins]
            wish += [head] * bands
            look += [number] * bands
    keys = snapshot.order.keys
    past = keys.searchsorted(np.array(highest), side="right")
    length = past - keys.searchsorted(np.array(lowest))
    return Pieces(np.array(look, np.int64), np.array(wish, np.int64), past, length)


BAND_BEGINS = [BAND_WIDTH * number for number in range(BANDS)]


def _bands(square: Square) -> tuple[float, float, int]:
    """Where the most southern band of a square begins, for a type 0; how wide it is; and how many bands there are."""
    south, north, west, east = square
    lowest = max(floor((south + 90.0 - HAIR) / BAND_DEGREES), 0)
    highest = min(floor((north + 90.0 + HAIR) / BAND_DEGREES), BANDS - 1)
    west, east = max(west - HAIR, -180.0), min(east + HAIR, 180.0)
    return lowest * BAND_WIDTH + west + 180.0, east - west, highest - lowest + 1


def services_in(
    snapshot: Snapshot, asked: Asked, wishes: Wishes, looks: Sequence[Look], pieces: Pieces, *, all_is_said: bool
) -> Pairs:
    """The services inside the squares that are looked at of which, by their codes, something may be said."""
    order, ends = snapshot.order, pieces.length.cumsum()
    place = (pieces.past - ends).repeat(pieces.length)
    place += np.arange(len(place))
    codes = order.clinical.take(place)
    if len(asked.clinical) == 1:
        codes += asked.clinical
    else:
        codes += asked.clinical.take(wishes.search.take(pieces.wish)).repeat(pieces.length)
    failed = snapshot.registers.tables.flat.take(codes)
    proposed = (wishes.choice.take(pieces.wish) == PROPOSAL).repeat(pieces.length) if all_is_said else None
    some = may_be_said(failed, proposed).nonzero()[0]
    run, place = np.arange(len(ends)).repeat(pieces.length).take(some), place.take(some)
    slot = order.slots.take(place)
    within = contained([one.square for one in looks], pieces.look.take(run), snapshot, slot).nonzero()[0]
    wish = pieces.wish.take(run.take(within)) + order.type_of_all.take(place.take(within))
    return Pairs(wish, slot.take(within), failed.take(some.take(within)))


def contained(squares: Sequence[Square], square: Numbers, snapshot: Snapshot, slot: Numbers) -> Truths:
    """Whether services are inside the square whose number is beside them."""
    bounds = np.array([one.bounds for one in squares])
    within = snapshot.columns.position.take(slot, axis=0) >= beside(bounds, square)
    inside: Truths = within.view(np.uint32)[:, 0] == ALL_FOUR  # a number of each row: quicker than to go along rows
    return inside


ALL_FOUR = np.ones(4, np.bool_).view(np.uint32)[0]
