"""Looks: the services of some types in a square around a patient, found in the index."""

from collections.abc import Sequence
from math import asin, cos, floor, inf, pi, radians, sin
from typing import NamedTuple

import numpy as np

from services.pathways.asked import Asked
from services.pathways.columns import Numbers, Truths, beside, joined
from services.pathways.filters import Pairs, codes_fail, may_be_said
from services.pathways.globe import EARTH_KM, METRES, Square
from services.pathways.index import BAND_DEGREES, BAND_WIDTH, BANDS, EVERY_TYPE, Snapshot
from services.pathways.wishes import PROPOSAL, Wishes

HAIR = 1e-5
"""Degrees by which a band is looked at too widely, for the keys are rounded. The square itself is exact."""


class Look(NamedTuple):
    """A look at a part of a search's square, around its middle, for some of its wishes."""

    wish: Numbers
    whole: Square
    part: float = 1.0
    of_all: int = 0
    """So many of its wishes, the first ones, are for all types there are, in their order."""

    @property
    def begins(self) -> Numbers:
        """Those of its wishes from which others are counted: the first for all types, and each for a single one."""
        return np.concatenate((self.wish[:1], self.wish[self.of_all :])) if self.of_all else self.wish

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
        of_all = self.of_all if len(wish) == len(self.wish) else 0
        return Look(wish, self.whole, min(1.0, self.part * times), of_all)


class Pieces(NamedTuple):
    """Runs of the index that cover what is looked at."""

    look: Numbers
    wish: Numbers
    """The first one, where a run is of all types."""
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
    begins = [looks[number].begins for number in numbers]
    wish, heads = joined(begins), [len(one) for one in begins]
    service_type = wishes.service_type.take(wish)
    of_all = np.array([looks[number].of_all for number in numbers]) > 0
    service_type[(np.cumsum(heads) - heads)[of_all]] = EVERY_TYPE
    lines, widths, bands = np.array([_bands(looks[number].square) for number in numbers]).T
    of_look = np.arange(len(numbers)).repeat(heads)
    runs = bands.astype(np.int64).take(of_look)
    run = np.arange(len(wish)).repeat(runs)
    band = np.arange(len(run)) - (runs.cumsum() - runs).repeat(runs)
    keys = (service_type * (BANDS * BAND_WIDTH) + lines.take(of_look)).take(run) + band * BAND_WIDTH
    look = of_look.take(run)
    return Pieces(
        look=np.array(numbers, np.int64).take(look),
        wish=wish.take(run),
        first=snapshot.order.keys.searchsorted(keys),
        past=snapshot.order.keys.searchsorted(keys + widths.take(look), side="right"),
    )


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
    order, lengths = snapshot.order, pieces.past - pieces.first
    ends = lengths.cumsum()
    run = np.arange(len(lengths)).repeat(lengths)
    place = np.arange(len(run)) + (pieces.past - ends).take(run)
    clinical = order.clinical.take(place)
    failed = codes_fail(asked, wishes.search.take(pieces.wish).take(run), clinical)
    proposed = (wishes.choice.take(pieces.wish) == PROPOSAL).take(run) if all_is_said else None
    some = may_be_said(failed, proposed).nonzero()[0]
    run, place, failed = run.take(some), place.take(some), failed.take(some)
    slot = order.slots.take(place)
    within = contained([one.square for one in looks], pieces.look.take(run), snapshot, slot).nonzero()[0]
    run, place = run.take(within), place.take(within)
    wish = pieces.wish.take(run) + order.type_of_all.take(place)
    return Pairs(wish, slot.take(within), failed.take(within))


def contained(squares: Sequence[Square], square: Numbers, snapshot: Snapshot, slot: Numbers) -> Truths:
    """Whether services are inside the square whose number is beside them."""
    south, north, west, east = np.array(squares).T
    latitude, longitude = snapshot.columns.latitude.take(slot), snapshot.columns.longitude.take(slot)
    inside = beside(south, square) <= latitude
    inside &= latitude <= beside(north, square)
    inside &= beside(west, square) <= longitude
    inside &= longitude <= beside(east, square)
    return inside
