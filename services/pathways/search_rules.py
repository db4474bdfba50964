"""Search rules: what a site decides about searching its directory. Data, read from a file once, at the start."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from contracts.directory import AreaCode
from contracts.submissions import ServiceType
from services.chassis.versioned_table import VersionedTable
from services.pathways.request import Area, SearchRequest

NATIONAL_KM = 60.0
"""Half the side of the search square where nothing else is known (Directory of Services)."""

Kilometres = Annotated[float, Field(ge=1, le=99)]
Rank = Annotated[int, Field(ge=1, le=10)]
LOWEST_RANK = 10

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
    public_holidays: frozenset[date] = frozenset()

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
