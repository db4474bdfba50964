"""A shift: where a crew goes, when it gets there, and whom it meets. A seed decides all of it."""

import random
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from math import cos, hypot, radians
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.people import Position
from services.device.incidents import Incident, Spread, met, scenarios

KM_A_DEGREE = 111.2
"""Of latitude; and of longitude at the equator."""

SPREAD_KM = 8.0
"""How far from the middle of its area, or of a town, a patient is: north, south, east and west."""


class Figures(BaseModel):
    """The figures of `shift.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    within_an_area_kmh: float = Field(gt=0)
    between_towns_kmh: float = Field(gt=0)
    on_scene_minutes: Spread
    until_the_next_minutes: Spread
    without_signal_minutes: float = Field(gt=0)


@cache
def figures() -> Figures:
    """The figures that are shipped, with their sources in the file."""
    return Figures.model_validate(tomllib.loads(files("services.device").joinpath("shift.toml").read_text()))


def shift(
    seed: int, places: Sequence[Position], written_at: Callable[[timedelta], datetime], kinds: Sequence[str] = ()
) -> Iterator[Incident]:
    """Incidents without end: the scenarios in turn, so that each comes up, everything else drawn at random.

    `places` are the middles of the crew's area, or of the towns that it drives between. `written_at` says when an
    incident of so far into the shift is written down: it decides the times among the answers, and nothing else. The
    first patient is where the crew stands.
    """
    chance = random.Random(seed)  # noqa: S311 a simulation
    known = scenarios()
    names = list(kinds or known)
    here, at = None, timedelta()
    while True:
        for name in names:
            there = _somewhere(places, chance)
            km = 0.0 if here is None else kilometres(here, there)
            at += timedelta(minutes=minutes_of_driving(km, between_towns=len(places) > 1))
            at += timedelta(minutes=figures().on_scene_minutes.drawn(chance))
            yield Incident(
                at=at,
                driven_km=round(km, 1),
                key=UUID(int=chance.getrandbits(128), version=4),
                scenario=name,
                submission=met(known[name], there, written_at(at), chance),
                expect=known[name].expect,
            )
            at += timedelta(minutes=figures().until_the_next_minutes.drawn(chance))
            here = there


def _somewhere(places: Sequence[Position], chance: random.Random) -> Position:
    middle = chance.choice(places)
    north, east = (chance.uniform(-SPREAD_KM, SPREAD_KM) / KM_A_DEGREE for _ in range(2))
    # Near a pole a degree of longitude has no length; nobody is that exact there.
    longitude = middle.longitude + east / max(cos(radians(middle.latitude)), 0.01)
    return Position(
        latitude=round(max(-90.0, min(90.0, middle.latitude + north)), 5),
        longitude=round((longitude + 180) % 360 - 180, 5),
    )


def kilometres(one: Position, other: Position) -> float:
    """The length of the straight line between two positions, as on a flat map: good to a few in a thousand here."""
    north = (other.latitude - one.latitude) * KM_A_DEGREE
    east = (other.longitude - one.longitude) * KM_A_DEGREE * cos(radians((one.latitude + other.latitude) / 2))
    return hypot(north, east)


def minutes_of_driving(km: float, *, between_towns: bool) -> float:
    """How long a straight line takes at the average speed of real roads, in minutes."""
    known = figures()
    return km / (known.between_towns_kmh if between_towns else known.within_an_area_kmh) * 60
