"""Looks: the services of some types in a square around a patient, found in the index."""

from collections.abc import Sequence
from math import asin, cos, floor, inf, pi, radians, sin
from typing import NamedTuple

import numpy as np

from services.pathways.columns import Numbers, Truths, beside
from services.pathways.globe import EARTH_KM, METRES, Square
from services.pathways.index import BAND_DEGREES, BAND_WIDTH, BANDS, Snapshot
from services.pathways.wishes import Wishes

HAIR = 1e-5
"""Degrees by which a band is looked at too widely, for the keys are rounded. The square itself is exact."""


class Look(NamedTuple):
    """A look at a part of a search's square, around its middle, for some of its wishes."""

    wish: Numbers
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

    def wider(self, wish: Numbers, times: float) -> "Look":
        """The same for some of its wishes, so many times as far, at most to the sides of the whole square."""
        return self._replace(wish=wish, part=min(1.0, self.part * times))


class Pieces(NamedTuple):
    """Runs of the index that cover what is looked at."""

    look: Numbers
    wish: Numbers
    first: Numbers
    past: Numbers

    def and_also(self, other: "Pieces") -> "Pieces":
        """These runs, then those."""
        return Pieces(*map(np.concatenate, zip(self, other, strict=True)))

    def where(self, chosen: Truths) -> "Pieces":
        """The runs at these places."""
        return Pieces(*(column[chosen] for column in self))


def pieces_of(snapshot: Snapshot, wishes: Wishes, looks: Sequence[Look], numbers: Sequence[int]) -> Pieces:
    """The runs with all services that are looked at in the looks of these numbers, and with some around them."""
    wish = np.concatenate([NOTHING, *(looks[number].wish for number in numbers)])
    lines, widths, bands = np.array([_bands(looks[number].square) for number in numbers]).reshape(-1, 3).T
    of_look = np.arange(len(numbers)).repeat([len(looks[number].wish) for number in numbers])
    runs = bands.astype(np.int64).take(of_look)
    run = np.arange(len(wish)).repeat(runs)
    band = np.arange(len(run)) - (runs.cumsum() - runs).repeat(runs)
    keys = (wishes.service_type.take(wish) * (BANDS * BAND_WIDTH) + lines.take(of_look)).take(run) + band * BAND_WIDTH
    look = of_look.take(run)
    return Pieces(
        look=np.array(numbers, np.int64).take(look),
        wish=wish.take(run),
        first=snapshot.keys.searchsorted(keys),
        past=snapshot.keys.searchsorted(keys + widths.take(look), side="right"),
    )


def _bands(square: Square) -> tuple[float, float, int]:
    """Where the most southern band of a square begins, for a type 0; how wide it is; and how many bands there are."""
    south, north, west, east = square
    lowest = max(floor((south + 90.0 - HAIR) / BAND_DEGREES), 0)
    highest = min(floor((north + 90.0 + HAIR) / BAND_DEGREES), BANDS - 1)
    west, east = max(west - HAIR, -180.0), min(east + HAIR, 180.0)
    return lowest * BAND_WIDTH + west + 180.0, east - west, highest - lowest + 1


NOTHING = np.zeros(0, np.int64)


def services_in(snapshot: Snapshot, looks: Sequence[Look], pieces: Pieces) -> tuple[Numbers, Numbers]:
    """The services inside the squares that are looked at, each with its wish before it."""
    lengths = pieces.past - pieces.first
    ends = lengths.cumsum()
    place = np.arange(ends[-1] if len(ends) else 0) + (pieces.past - ends).repeat(lengths)
    slot = snapshot.ordered.take(place)
    within = contained([one.square for one in looks], pieces.look.repeat(lengths), snapshot, slot).nonzero()[0]
    return pieces.wish.repeat(lengths).take(within), slot.take(within)


def contained(squares: Sequence[Square], square: Numbers, snapshot: Snapshot, slot: Numbers) -> Truths:
    """Whether services are inside the square whose number is beside them."""
    south, north, west, east = np.array(squares).T
    latitude, longitude = snapshot.columns.latitude.take(slot), snapshot.columns.longitude.take(slot)
    inside = beside(south, square) <= latitude
    inside &= latitude <= beside(north, square)
    inside &= beside(west, square) <= longitude
    inside &= longitude <= beside(east, square)
    return inside
