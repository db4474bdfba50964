"""Search rules: what a site decides about searching its directory. Data, read from a file once, at the start."""

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from contracts.directory import AreaCode
from contracts.submissions import ServiceType
from services.chassis.versioned_table import VersionedTable
from services.pathways.columns import Numbers
from services.pathways.request import Area, SearchRequest

NATIONAL_KM = 60.0
"""Half the side of the search square where nothing else is known (Directory of Services)."""

Kilometres = Annotated[float, Field(ge=1, le=99)]
Rank = Annotated[int, Field(ge=1, le=10)]
LOWEST_RANK = 10

BEST_OF_A_TYPE = 2

MOST_TYPES = 10_000
"""A service type is a number below it."""

Ranks = dict[ServiceType, Rank]
"""By service type, 1 highest. A type that is not there has the lowest."""


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Strategies(_Written):
    """Ranks of service types: of the local authority of the search, else of its commissioner, else national."""

    national: Ranks = Field(default={})
    local_authorities: dict[AreaCode, Ranks] = Field(default={})
    commissioners: dict[AreaCode, Ranks] = Field(default={})

    def of(self, area: Area) -> tuple[str, Ranks]:
        """The ranks that count for an area, and whose they are."""
        for code, strategies in (
            (area.local_authority, self.local_authorities),
            (area.commissioner, self.commissioners),
        ):
            if code in strategies:
                return code, strategies[code]
        return "national", self.national

    def number_of(self, area: Area) -> int:
        """The number of the ranks that count for an area: a row of `by_type`."""
        local_authorities, commissioners, _ = self._numbered
        return local_authorities.get(area.local_authority) or commissioners.get(area.commissioner, 0)

    @property
    def by_type(self) -> Numbers:
        """All ranks, in rows: by the number of the type. The first are the national ones."""
        return self._numbered[2]

    @cached_property
    def _numbered(self) -> tuple[dict[str | None, int], dict[str | None, int], Numbers]:
        strategies = [self.national, *self.local_authorities.values(), *self.commissioners.values()]
        by_type = np.full((len(strategies), MOST_TYPES), LOWEST_RANK)
        for row, ranks in zip(by_type, strategies, strict=True):
            row[list(ranks)] = list(ranks.values())
        local_authorities: dict[str | None, int] = {code: n for n, code in enumerate(self.local_authorities, 1)}
        first = 1 + len(local_authorities)
        commissioners: dict[str | None, int] = {code: n for n, code in enumerate(self.commissioners, first)}
        return local_authorities, commissioners, by_type


class Distance(NamedTuple):
    """How far to search, and why so far."""

    km: float
    source: Literal["forced", "postcode", "sector", "district", "request", "national"]


class SearchRules(VersionedTable):
    """How the directory of a site is searched."""

    name: str = "published"
    version: str = "1.5"
    national_km: Kilometres = NATIONAL_KM
    distances: dict[str, Kilometres] = Field(default={})
    """By postcode (EX1 1AA), sector (EX1 1) or district (EX1)."""
    ranks: Strategies = Strategies()
    one_of_a_type: tuple[ServiceType, ...] = (138, 100, 133, 130, 137, 139)
    """Types of which the best one is taken; of all others the best two (Directory of Services)."""

    @property
    def most_of_each_type(self) -> Numbers:
        """How many of a type are taken, by the number of the type."""
        return _most_of_each_type(self.one_of_a_type)

    def distance_of(self, request: SearchRequest) -> Distance:
        """The search distance, by the first that exists: forced, held for the postcode, asked for, national."""
        if request.km is not None and request.km_is_forced:
            return Distance(request.km, "forced")
        if request.postcode is not None and self.distances:
            held = held_for(request.postcode, self.distances)
            if held is not None:
                return held
        if request.km is not None:
            return Distance(request.km, "request")
        return Distance(self.national_km, "national")


@lru_cache(maxsize=8)
def _most_of_each_type(one_of_a_type: tuple[int, ...]) -> Numbers:
    most = np.full(MOST_TYPES, BEST_OF_A_TYPE)
    most[list(one_of_a_type)] = 1
    return most


POSTCODE = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?)(?: ?([0-9])([A-Z]{2})?)?")


def held_for(postcode: str, distances: Mapping[str, float]) -> Distance | None:
    """The distance that is held for a postcode, else for its sector, else for its district."""
    parts = POSTCODE.fullmatch(" ".join(postcode.upper().split()))
    if parts is None:
        return None
    district, sector, unit = parts.groups()
    if sector and unit and (km := distances.get(f"{district} {sector}{unit}")) is not None:
        return Distance(km, "postcode")
    if sector and (km := distances.get(f"{district} {sector}")) is not None:
        return Distance(km, "sector")
    if (km := distances.get(district)) is not None:
        return Distance(km, "district")
    return None
