"""What the index keeps of each service, and of what services have in common: each once, under a number."""

from collections.abc import Collection, Hashable, Mapping
from datetime import date, datetime
from math import inf
from operator import attrgetter
from sys import getsizeof
from typing import Any, NamedTuple, get_args

import msgspec
from pydantic import BaseModel

from contracts.directory import CapacityReportedData, OpeningHours, Service
from contracts.opening_hours import Timetable
from contracts.people import Age, Gender, Position
from contracts.placements import Candidate
from services.chassis.lean import leaned
from services.pathways.capacity import Status, status
from services.pathways.columns import NEVER, Register, Tables, Verdicts
from services.pathways.criteria import (
    Clinical,
    ClinicalVerdicts,
    Commissioning,
    Commissionings,
    Patients,
    TerritorialVerdicts,
    Territory,
    patient_fails,
)
from services.pathways.globe import on_the_globe
from services.pathways.opening_board import Hours, OpeningBoards

CAPACITIES: tuple[Status, ...] = ("unknown", "green", "amber", "red")


class Entry(NamedTuple):
    """One service: what an answer says of it."""

    version: int
    active: bool
    service_type: int
    always: Mapping[str, Any]
    """What a candidate says of it in every search; distance, closing time, capacity and reason are each search's."""
    ages: tuple[Age | None, Age | None]
    genders: tuple[Gender, ...]
    clinical: Clinical
    commissioning: Commissioning
    territory: Territory
    timetable: Timetable
    open_within: int | None
    patients_an_hour: int | None
    reported: CapacityReportedData | None

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.always["name"])

    def capacity_at(self, now: datetime) -> Status:
        """How full it said that it is."""
        return status(self.reported, now)


class Registers:
    """What the columns hold numbers of. They only grow: what an older snapshot refers to stays."""

    def __init__(self, public_holidays: frozenset[date]) -> None:
        self._public_holidays = public_holidays
        self.organisations: Register[str] = Register()
        self.patients: Register[Patients] = Register()
        self.clinical: Register[Clinical] = Register()
        self.commissionings = Commissionings()
        self.territories: Register[Territory] = Register()
        self.hours: Register[Hours] = Register()
        self.boards = OpeningBoards(self.hours.items)
        self.tables = Tables()
        self.clinical_tables = self.tables.of(self.clinical, ClinicalVerdicts(self.clinical).of)
        self.patient_tables = self.tables.of(self.patients, Verdicts(self.patients, patient_fails).of)
        self.territorial_tables = self.tables.of(self.territories, TerritorialVerdicts(self.territories).of)
        self.tie_tables = self.tables.of(self.commissionings, self.commissionings.ties_to)
        self.session_tables = self.tables.of(self.hours, self.boards.table_of)
        self._of_surgery: dict[str, dict[int, None]] = {}
        self._timetables: dict[Hashable, Timetable] = {}
        self._ages: dict[Hashable, tuple[Age | None, Age | None]] = {}

    def entry(self, version: int, service: Service, reported: CapacityReportedData | None) -> Entry:
        """The entry of a service. What it has in common with others is kept once."""
        return Entry(
            version=version,
            active=service.active,
            service_type=service.service_type,
            always=dict(zip(SAID_ALWAYS, _said_always(service), strict=True), position=leaned(service.position)),
            ages=self._ages_of(service),
            genders=service.genders,
            clinical=self._once(
                self.clinical,
                Clinical(
                    tuple((group.code, group.discriminators) for group in service.symptom_groups),
                    service.dispositions,
                    service.referral_roles,
                ),
            ),
            commissioning=Commissioning(service.commissioned_by, service.restricted),
            territory=self._once(self.territories, Territory(service.limited_to, service.promoted_to)),
            timetable=self._timetable_of(service.hours),
            open_within=service.only_if_open_within_minutes,
            patients_an_hour=service.patients_an_hour,
            reported=reported,
        )

    def tied_to(self, surgery: str | None) -> Collection[int]:
        """The slots of what a surgery has or commissions, or once did."""
        return self._of_surgery.get(surgery or "", ())

    def row(self, slot: int, entry: Entry) -> dict[str, Any]:
        """What the columns hold of an entry."""
        for surgery in (entry.always["organisation"], *entry.commissioning.surgeries):
            self._of_surgery.setdefault(surgery, {})[slot] = None
        position: Position = entry.always["position"]
        youngest, oldest = entry.ages
        return {
            "service_type": entry.service_type,
            "active": entry.active,
            "position": (position.latitude, position.longitude, -position.latitude, -position.longitude),
            "on_the_globe": on_the_globe(position),
            "organisation": self.organisations.number_of(entry.always["organisation"]),
            "clinical": self.clinical.number_of(entry.clinical),
            "codes": (
                self.patients.number_of(
                    Patients(
                        None if youngest is None else youngest.in_days,
                        None if oldest is None else oldest.in_days + _ONE_MORE_DAYS[oldest.unit],
                        entry.genders,
                    )
                ),
                self.territories.number_of(entry.territory),
                self.commissionings.number_of(entry.commissioning),
                self.hours.number_of(Hours(entry.timetable, NEVER if entry.open_within is None else entry.open_within)),
            ),
            **capacity_row(entry.reported),
        }

    def _ages_of(self, service: Service) -> tuple[Age | None, Age | None]:
        youngest, oldest = ages = service.age_from, service.age_until
        said = (youngest and (youngest.value, youngest.unit), oldest and (oldest.value, oldest.unit))
        return self._ages.setdefault(said, ages)

    def _timetable_of(self, hours: OpeningHours) -> Timetable:
        # Contracts hash slowly, and there are few different hours: what they say is compared as plain tuples.
        said = (
            hours.always,
            tuple((one.days, one.opens, one.closes) for one in hours.periods),
            hours.public_holidays,
            tuple((one.on, one.periods) for one in hours.dates),
        )
        timetable = self._timetables.get(said)
        if timetable is None:
            timetable = self._timetables[said] = Timetable(hours, self._public_holidays)
        return timetable

    @staticmethod
    def _once(register: "Register[Any]", item: Any) -> Any:
        return register.items[register.number_of(item)]


SAID_ALWAYS = [name for name in Candidate.model_fields if name in Service.model_fields]
_said_always = attrgetter(*SAID_ALWAYS)

_ONE_MORE_DAYS = {unit: Age(value=1, unit=unit).in_days for unit in get_args(Age.model_fields["unit"].annotation)}
"""The days of one more of each unit: an oldest age holds until its end."""


def capacity_row(reported: CapacityReportedData | None) -> dict[str, float]:
    """What the columns hold of a capacity report."""
    if reported is None:
        return {"capacity": 0, "resets_at": inf, "reported_at": 0.0, "red_until": -inf}
    resets_at = inf if reported.resets_at is None else reported.resets_at.timestamp()
    return {
        "capacity": CAPACITIES.index(reported.capacity),
        "resets_at": resets_at,
        "reported_at": reported.reported_at.timestamp(),
        "red_until": resets_at if reported.capacity == "red" else -inf,
    }


def sizes_of(value: Any, seen: set[int]) -> int:
    """Bytes of a value and of what it holds, without what was seen before."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, BaseModel):
        inner = [value.__dict__, value.model_fields_set, value.model_extra]
    elif isinstance(value, msgspec.Struct):
        inner = list(msgspec.structs.astuple(value))
    elif isinstance(value, Mapping):
        inner = list(value.values())
    elif isinstance(value, (tuple, list, set, frozenset)):
        inner = list(value)
    return getsizeof(value) + sum(sizes_of(one, seen) for one in inner)
