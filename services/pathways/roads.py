"""Distances by road: the port behind which a site may put a road service. Without one, distances are crow-flies."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from contracts.people import Position

NEAREST_OF_A_TYPE = 100
"""So many services of a type are asked for, the patient's own surgery among them (Directory of Services)."""

TOO_FAR_MINUTES = 240
"""A service that is further away by road is dropped."""


class Journey(NamedTuple):
    """From the patient to a service, by road."""

    km: float
    minutes: float


class Trip(NamedTuple):
    """What a road service is asked for one search."""

    origin: Position
    destinations: tuple[Position, ...]


Journeys = Sequence[Journey | None]
"""One for each destination; None where it has no place on the road."""


class Roads(Protocol):
    """A road service."""

    async def journeys(self, trips: Sequence[Trip]) -> Sequence[Journeys | None]:
        """For each trip its journeys, or None where there is no answer in time: its distances stay crow-flies.

        It keeps its own deadline and raises nothing: a search never waits or fails because of it.
        """
