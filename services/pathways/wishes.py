"""Wishes: what searches look for around a patient, services of a type or one by name, and who is there."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from contracts.directory import EMERGENCY_DEPARTMENT
from services.pathways.asked import Asked
from services.pathways.columns import ByCode, Floats, Numbers, Truths
from services.pathways.globe import EARTH_KM, METRES, Square
from services.pathways.index import BAND_DEGREES, BAND_WIDTH, BANDS, Snapshot
from services.pathways.request import SearchRequest
from services.pathways.search_rules import NATIONAL_KM

PROPOSAL = -1
"""The choice of an emergency department to propose, whatever is wanted."""

HAIR = 1e-5
"""Degrees by which a band is looked at too widely, for the keys are rounded. The square itself is exact."""


class Wishes(NamedTuple):
    """What searches look for, by column: first types, ascending in each search; then emergency departments to propose;
    then services by name."""

    search: Numbers
    choice: Numbers
    """Which of what is wanted it is."""
    service_type: Numbers
    rank: Numbers
    """Of the type, for the area of the search."""
    south: Floats
    north: Floats
    west: Floats
    east: Floats
    """Of the search square, in degrees."""
    wanted: int
    """How many of them are for types that are wanted."""
    by_type: int
    """And how many for types at all."""
    named: Numbers
    """The slots of the others, which are looked for by name."""

    def narrowed(self, part: Floats) -> "Wishes":
        """The same with so large a part of each square, around the same middle; 1 is the whole."""
        up, across = (self.north - self.south) * ((1 - part) / 2), (self.east - self.west) * ((1 - part) / 2)
        return self._replace(
            south=self.south + up, north=self.north - up, west=self.west + across, east=self.east - across
        )

    def reach(self, latitude: Floats) -> Floats:
        """How far away at least, in metres, is what is outside each square; its middle is at this latitude."""
        up, across = np.radians(self.north - self.south) / 2, np.radians(self.east - self.west) / 2
        # To a meridian the way is shorter than along the parallel. A metre less, for distances are rounded.
        aside = np.arcsin(np.cos(np.radians(latitude)) * np.sin(np.minimum(across, np.pi / 2)))
        metres: Floats = np.minimum(up, aside) * (EARTH_KM * METRES) - 1
        return metres

    def contain(self, wish: Numbers, latitude: Floats, longitude: Floats) -> Truths:
        """Whether places are inside the square of the wish beside them."""
        inside = self.south.take(wish) <= latitude
        inside &= latitude <= self.north.take(wish)
        inside &= self.west.take(wish) <= longitude
        inside &= longitude <= self.east.take(wish)
        return inside


def wishes_of(snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked, *, proposals: bool) -> Wishes:
    """What searches look for; where there are `proposals`, each also an emergency department to propose."""
    ranks, type_of = snapshot.rules.ranks, snapshot.columns.service_type
    every = np.arange(len(requests))
    types, choices = zip(*(types_of(snapshot, one) for one in requests), strict=True)
    named = [
        (search, choice if request.in_order else 0, slot)
        for search, request in enumerate(requests)
        if asked.named[search]
        for choice, one in enumerate(request.wanted or ())
        if isinstance(one, str) and (slot := snapshot.slot(one)) is not None
    ]
    of_named, choice_of_named, slots = np.array(named, np.int64).reshape(-1, 3).T
    to_propose = every if proposals else every[:0]
    lengths = [len(one) for one in types]
    wanted = sum(lengths)
    by_type = wanted + len(to_propose)
    search = np.concatenate((every.repeat(lengths), to_propose, of_named))
    service_type = np.concatenate((*types, np.full(len(to_propose), EMERGENCY_DEPARTMENT), type_of[slots]))
    rank = ByCode.of([one.area for one in requests], ranks.by_type)
    around = [Square.around(one.position, far.km) for one, far in zip(requests, asked.distances, strict=True)]
    squares = np.array(around).take(search, axis=0)
    if proposals:
        squares[wanted:by_type] = [Square.around(one.position, NATIONAL_KM) for one in requests]
    south, north, west, east = np.ascontiguousarray(squares.T)
    return Wishes(
        search=search,
        choice=np.concatenate((*choices, np.full(len(to_propose), PROPOSAL), choice_of_named)),
        service_type=service_type,
        rank=rank.to(search, service_type),
        south=south,
        north=north,
        west=west,
        east=east,
        wanted=wanted,
        by_type=by_type,
        named=slots,
    )


def types_of(snapshot: Snapshot, request: SearchRequest) -> tuple[Numbers, Numbers]:
    """The types that are wanted, ascending, and which choice each is."""
    if request.wanted is None:
        return snapshot.types, np.zeros(len(snapshot.types), np.int64)
    return _types_among(request.wanted, request.in_order)


@lru_cache(maxsize=4096)
def _types_among(wanted: tuple[int | str, ...], in_order: bool) -> tuple[Numbers, Numbers]:
    first: dict[int, int] = {}
    for choice, one in enumerate(wanted):
        if isinstance(one, int):
            first.setdefault(one, choice if in_order else 0)
    types, choices = np.array(sorted(first.items()), np.int64).reshape(-1, 2).T
    return types, choices


class Pieces(NamedTuple):
    """Runs of the index that cover the squares of wishes."""

    wish: Numbers
    first: Numbers
    past: Numbers

    def where(self, chosen: Truths) -> "Pieces":
        """The runs at these places."""
        return Pieces(*(column[chosen] for column in self))

    def and_also(self, other: "Pieces") -> "Pieces":
        """These runs, then those."""
        return Pieces(*map(np.concatenate, zip(self, other, strict=True)))


def pieces_of(snapshot: Snapshot, wishes: Wishes, wish: Numbers) -> Pieces:
    """The runs with all services of the type in the square of each of these wishes, and with some around it."""
    south, north, west, east = (side.take(wish) for side in (wishes.south, wishes.north, wishes.west, wishes.east))
    lowest = np.maximum(np.floor((south + (90.0 - HAIR)) / BAND_DEGREES), 0)
    highest = np.minimum(np.floor((north + (90.0 + HAIR)) / BAND_DEGREES), BANDS - 1)
    run, band = spread((highest - lowest).astype(np.int64) + 1)
    line = ((wishes.service_type.take(wish) * float(BANDS) + lowest).take(run) + band) * BAND_WIDTH + 180.0
    first = snapshot.keys.searchsorted(line + np.maximum(west - HAIR, -180.0).take(run))
    past = snapshot.keys.searchsorted(line + np.minimum(east + HAIR, 180.0).take(run), side="right")
    return Pieces(wish.take(run), first, past)


def services_in(snapshot: Snapshot, wishes: Wishes, pieces: Pieces) -> tuple[Numbers, Numbers]:
    """The services inside the squares, each with its wish before it."""
    piece, step = spread(pieces.past - pieces.first)
    slot, wish = snapshot.ordered.take(pieces.first.take(piece) + step), pieces.wish.take(piece)
    columns = snapshot.columns
    inside = wishes.contain(wish, columns.latitude.take(slot), columns.longitude.take(slot)).nonzero()[0]
    return wish.take(inside), slot.take(inside)


def spread(lengths: Numbers) -> tuple[Numbers, Numbers]:
    """For runs of these lengths, one after the other: to which run each place belongs, and its place there."""
    run = np.arange(len(lengths)).repeat(lengths)
    return run, np.arange(len(run)) - (lengths.cumsum() - lengths).repeat(lengths)
