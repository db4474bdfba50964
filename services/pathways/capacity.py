"""Capacity with its age: what a service's last report says at a moment, and how that counts in the order.

A report that has run out says nothing: the service is unknown since then, and not green. So is one that never reported.
How a status and its age count is data (`capacity.toml`), because no source settles it.
"""

import tomllib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.directory import CapacityReportedData
from services.chassis.problems import faults_of

Reported = Literal["red", "amber", "green"]
Status = Literal["red", "amber", "green", "unknown"]

LEAST_RESET_MINUTES = 15
DEFAULT_RESET_MINUTES = 240
MOST_RESET_MINUTES = 1440
"""When a report runs out (Directory of Services: by default after 240 minutes, at most 1440 by the capacity API; at
least 15, by the older service)."""

MOST_NOTES = 900
"""Characters of notes (Directory of Services)."""


class Standing(NamedTuple):
    """How full a service is, as far as is known at a moment."""

    status: Status
    since: datetime | None
    """When it was reported, or when its report ran out; none where it never reported."""
    until: datetime | None
    """When the report runs out; none where nothing is known, or where it does not."""


def status(reported: CapacityReportedData | None, now: datetime) -> Status:
    """How full a service is at `now`, by its last report."""
    if reported is None or (reported.resets_at is not None and reported.resets_at <= now):
        return "unknown"
    return reported.capacity


def standing(reported: CapacityReportedData | None, now: datetime) -> Standing:
    """The same, and since when and until when it is so."""
    if reported is None:
        return Standing("unknown", None, None)
    said = status(reported, now)
    if said == "unknown":
        return Standing(said, reported.resets_at, None)
    return Standing(said, reported.reported_at, reported.resets_at)


class Row(BaseModel):
    """A status, from an age on, and by how much it puts a service further back among those of its rank."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["green", "amber", "unknown"]
    from_minutes: float = Field(default=0, ge=0, allow_inf_nan=False, description="age since which this holds")
    adds_km: float = Field(ge=0, le=1000, description="it counts as so much further away, km")


class CapacityOrder(BaseModel):
    """How capacity and its age count in the order: the documented table of `capacity.toml`, or of a site's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    source: str = Field(min_length=1, description="where the figures are from")
    never_reported_adds_km: float = Field(ge=0, le=1000)
    rows: tuple[Row, ...]

    @model_validator(mode="after")
    def _says_each_age_once(self) -> Self:
        for status in ("green", "amber", "unknown"):
            ages = [row.from_minutes for row in self.rows if row.status == status]
            if len(set(ages)) < len(ages):
                raise ValueError(f"two rows say from which age {status} counts so")
            if 0 not in ages:
                raise ValueError(f"no row says how {status} counts from 0 minutes on")
        return self

    @classmethod
    def read(cls, file: Path) -> Self:
        """The table of a TOML file. Raises CapacityOrderFaulty."""
        try:
            return cls.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
        except ValidationError as error:
            faults = [f"{fault.pointer or '/'}: {fault.message}" for fault in faults_of(error)]
            raise CapacityOrderFaulty(file, faults) from None
        except (OSError, ValueError) as error:
            raise CapacityOrderFaulty(file, [str(error)]) from None

    @property
    def counts(self) -> bool:
        """Whether capacity counts in the order at all."""
        return self.never_reported_adds_km > 0 or any(row.adds_km > 0 for row in self.rows)

    def adds_km(self, one: Standing, now: datetime) -> float:
        """How much further away a service counts at `now`, in km, for what is known of its capacity.

        Nothing for red, which is excluded; where one is proposed all the same, its distance decides.
        """
        if one.status == "red":
            return 0.0
        if one.since is None:
            return self.never_reported_adds_km
        age = now - one.since
        return max(_old_enough(self.rows, one.status, age), key=lambda row: row.from_minutes).adds_km


class CapacityOrderFaulty(Exception):
    """A file does not say how capacity counts in the order."""

    def __init__(self, file: Path, faults: Sequence[str]) -> None:
        listed = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{file} does not say how capacity counts in the order:{listed}")


def _old_enough(rows: Sequence[Row], status: Status, age: timedelta) -> list[Row]:
    """The rows of a status that hold at an age; a report from the future, by another clock, has the age 0."""
    minutes = max(0.0, age / timedelta(minutes=1))
    return [row for row in rows if row.status == status and row.from_minutes <= minutes]
