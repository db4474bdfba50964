"""By when each side does its part: clocks that start at the confirmation, from a table of the site (`clocks.toml`)."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.bookings import HeldHour
from contracts.envelope import LAST_INSTANT
from contracts.placements import Candidate
from contracts.referrals import Clocks
from contracts.submissions import ServiceType
from services.chassis.versioned_table import VersionedTable

OutcomeOfPlace = Literal["slot_held", "place_held", "delivered"]
MOST_MINUTES = 60 * 24 * 60


class Held(Protocol):
    """A place that is held, as booking tells it or as a standing carries it."""

    @property
    def outcome(self) -> OutcomeOfPlace:
        """The kind of place."""

    @property
    def service(self) -> Candidate:
        """With whom."""

    @property
    def starts_at(self) -> datetime | None:
        """The slot, where one is held."""

    @property
    def slot_minutes(self) -> int | None:
        """Its length."""

    @property
    def acceptance_due(self) -> datetime | None:
        """Until when a place is held."""

    @property
    def hour(self) -> HeldHour | None:
        """In which hour, where the service takes so many patients an hour."""


class ClockRow(BaseModel):
    """The clocks of one kind of place, with services of some types or of all others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: OutcomeOfPlace
    service_types: tuple[ServiceType, ...] = ()
    acknowledge_minutes: int | None = Field(default=None, ge=1, le=MOST_MINUTES)
    answer_minutes: int | None = Field(default=None, ge=1, le=MOST_MINUTES)
    outcome_minutes: int = Field(ge=1, le=MOST_MINUTES)


class ClockTable(VersionedTable):
    """The documented table of `clocks.toml`, or of a site's own."""

    source: str = Field(min_length=1)
    decide_minutes: int = Field(ge=1, le=MOST_MINUTES)
    inform_minutes: int = Field(ge=1, le=MOST_MINUTES)
    look_again_minutes: int = Field(ge=1, le=MOST_MINUTES)
    placement_minutes: int = Field(ge=1, le=MOST_MINUTES)
    wait_days: int = Field(ge=1, le=365)
    clocks: tuple[ClockRow, ...]

    @model_validator(mode="after")
    def _each_kind_has_its_rows_once(self) -> "ClockTable":
        counted = Counter((row.outcome, one) for row in self.clocks for one in row.service_types or (None,))
        for kind in OutcomeOfPlace.__args__:  # type: ignore[attr-defined]
            if (kind, None) not in counted:
                raise ValueError(f"{kind} has no row without service_types, for all other services")
        for (kind, service_type), rows in counted.items():
            if rows > 1:
                whose = "without service_types" if service_type is None else f"for the type {service_type}"
                raise ValueError(f"{kind} has {rows} rows {whose}: one is enough")
        return self

    @cached_property
    def _rows(self) -> Mapping[tuple[OutcomeOfPlace, ServiceType | None], ClockRow]:
        return {(row.outcome, one): row for row in self.clocks for one in row.service_types or (None,)}

    def of(self, held: Held, confirmed_at: datetime) -> Clocks:
        """The clocks of a place. Those before a slot never run beyond its beginning."""
        row = self._row(held)
        expected = slot_end(held) if held.hour is None else held.hour.come_by
        return Clocks(
            acknowledge_by=_by(confirmed_at, row.acknowledge_minutes, held.starts_at),
            answer_by=held.acceptance_due or _by(confirmed_at, row.answer_minutes, held.starts_at),
            outcome_by=_by(expected or confirmed_at, row.outcome_minutes, None),
        )

    def acknowledge_by(self, held: Held, confirmed_at: datetime) -> datetime | None:
        """The first clock alone."""
        return _by(confirmed_at, self._row(held).acknowledge_minutes, held.starts_at)

    def _row(self, held: Held) -> ClockRow:
        return self._rows.get((held.outcome, held.service.service_type)) or self._rows[held.outcome, None]


def slot_end(held: Held) -> datetime | None:
    """When the slot is over; none where no slot is held."""
    return None if held.starts_at is None else held.starts_at + timedelta(minutes=held.slot_minutes or 0)


def _by(start: datetime, minutes: int | None, at_the_latest: datetime | None) -> datetime | None:
    if minutes is None:
        return None
    by = min(start + timedelta(minutes=minutes), LAST_INSTANT)
    return by if at_the_latest is None else min(by, at_the_latest)
