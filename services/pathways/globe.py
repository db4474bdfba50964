"""Positions and distances on the Earth, taken for a globe."""

from math import cos, degrees, radians, sin
from typing import NamedTuple

import numpy as np

from contracts.people import Position
from services.pathways.columns import Floats

EARTH_KM = 6371.0088
"""Mean radius of the Earth (IUGG)."""

METRES = 1000
"""Distances are compared by the metre: what is nearer than that is at one place, and stands by its id."""


class Square(NamedTuple):
    """A search square, in degrees. It does not reach over the 180th meridian, which is far from England."""

    south: float
    north: float
    west: float
    east: float

    @classmethod
    def around(cls, centre: Position, half_side_km: float) -> "Square":
        """The square with this centre whose sides are this far from it, in km."""
        up = degrees(half_side_km / EARTH_KM)
        across = up / max(cos(radians(centre.latitude)), 1e-9)
        latitude, longitude = centre.latitude, centre.longitude
        return cls(latitude - up, latitude + up, longitude - across, longitude + across)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Of latitude and longitude the least, and of both with their signs turned."""
        return self.south, self.west, -self.north, -self.east


def on_the_globe(position: Position) -> tuple[float, float, float]:
    """Where a position is on a globe of diameter 1."""
    latitude, longitude = radians(position.latitude), radians(position.longitude)
    across = cos(latitude) / 2
    return across * cos(longitude), across * sin(longitude), sin(latitude) / 2


def metres_of(apart: Floats) -> Floats:
    """Great-circle distances, in whole metres, between places that are so far apart on a globe of diameter 1."""
    chord = np.sqrt(np.vecdot(apart, apart))
    metres: Floats = np.rint(np.arcsin(np.minimum(chord, 1.0)) * (2 * EARTH_KM * METRES))
    return metres
