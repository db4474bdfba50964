"""The index: the directory in memory, as a search wants to find it.

It is made of the compacted topics `services` and `capacity`, and holds the highest version of each entry. What changes
makes a new snapshot; one that was handed out stays as it was.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import asin, cos, degrees, inf, radians, sin, sqrt
from typing import Any, NamedTuple

from contracts.directory import CapacityReported, CapacityReportedData, Service, ServiceListed, ServiceListedData
from contracts.envelope import Event
from contracts.people import Age, Gender, Position
from contracts.placements import Candidate
from contracts.topics import Topic
from services.chassis.reader import Tombstone
from services.pathways.capacity import Status, status
from services.pathways.opening_hours import Timetable

EARTH_KM = 6371.0088
"""Mean radius of the Earth (IUGG)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One service, with what every search asks of it worked out beforehand."""

    service: Service
    reported: CapacityReportedData | None
    timetable: Timetable
    always: Mapping[str, Any]
    """What a candidate says of it in every search; distance, closing time, capacity and reason are each search's."""
    service_id: str
    longitude: float
    x: float
    y: float
    z: float
    """Where it is on a globe of radius 1."""
    limits_age: bool
    youngest: float
    """In days, included."""
    too_old: float
    """In days: the first age past the oldest."""
    genders: frozenset[Gender]
    """None means all."""

    @classmethod
    def of(cls, service: Service, reported: CapacityReportedData | None) -> "Entry":
        """The entry of a service and of its last capacity report, if it made one."""
        x, y, z = _on_the_globe(service.position)
        oldest = service.age_until
        return cls(
            service=service,
            reported=reported,
            timetable=Timetable(service.hours),
            always={name: getattr(service, name) for name in Candidate.model_fields if name in Service.model_fields},
            service_id=service.service_id,
            longitude=service.position.longitude,
            x=x,
            y=y,
            z=z,
            limits_age=service.age_from is not None or oldest is not None,
            youngest=0.0 if service.age_from is None else service.age_from.in_days,
            too_old=inf if oldest is None else oldest.in_days + Age(value=1, unit=oldest.unit).in_days,
            genders=frozenset(service.genders),
        )

    def capacity_at(self, now: datetime) -> Status:
        """How full it said that it is."""
        return status(self.reported, now)


class Found(NamedTuple):
    """A service and how far it is. Sorts by distance, then by id, so that equals keep one order."""

    chord: float
    """Straight through a globe of radius 1, squared: it grows with the distance, and costs no trigonometry."""
    service_id: str
    entry: Entry

    @property
    def distance_km(self) -> float:
        """Great-circle distance in km."""
        return 2 * EARTH_KM * asin(min(1.0, sqrt(self.chord) / 2))


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

    def holds(self, position: Position) -> bool:
        """Whether a position is inside, the sides included."""
        return self.south <= position.latitude <= self.north and self.west <= position.longitude <= self.east


class Shelf(NamedTuple):
    """The active services of one type, from south to north."""

    latitudes: list[float]
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The directory at one moment."""

    services: Mapping[str, Entry] = field(default_factory=dict)
    """By id, delisted ones too."""
    shelves: Mapping[int, Shelf] = field(default_factory=dict)
    """By type, active ones only."""

    def nearest(self, service_type: int, position: Position, square: Square) -> list[Found]:
        """The active services of a type inside the search square, nearest to a position first."""
        shelf = self.shelves.get(service_type)
        if shelf is None:
            return []
        first = bisect_left(shelf.latitudes, square.south)
        past = bisect_right(shelf.latitudes, square.north)
        x, y, z = _on_the_globe(position)
        west, east = square.west, square.east
        found = [
            Found((entry.x - x) ** 2 + (entry.y - y) ** 2 + (entry.z - z) ** 2, entry.service_id, entry)
            for entry in shelf.entries[first:past]
            if west <= entry.longitude <= east
        ]
        found.sort()
        return found

    def named(self, service_id: str, position: Position) -> Found | None:
        """One service by its id, active or not, wherever it is."""
        entry = self.services.get(service_id)
        if entry is None:
            return None
        x, y, z = _on_the_globe(position)
        return Found((entry.x - x) ** 2 + (entry.y - y) ** 2 + (entry.z - z) ** 2, service_id, entry)


def _on_the_globe(position: Position) -> tuple[float, float, float]:
    latitude, longitude = radians(position.latitude), radians(position.longitude)
    across = cos(latitude)
    return across * cos(longitude), across * sin(longitude), sin(latitude)


class Index:
    """Keeps the newest snapshot while the topics are followed."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self._listed: dict[str, ServiceListedData] = {}
        self._reported: dict[str, CapacityReportedData] = {}

    def apply(self, read: Sequence[Event | Tombstone]) -> None:
        """Take in what the topics say. An older version, or one seen before, changes nothing."""
        changed: set[str] = set()
        for one in read:
            match one:
                case ServiceListed(data=listed):
                    service_id = listed.service.service_id
                    known = self._listed.get(service_id)
                    if known is None or listed.version > known.version:
                        self._listed[service_id] = listed
                        changed.add(service_id)
                case CapacityReported(data=reported):
                    report = self._reported.get(reported.service_id)
                    if report is None or reported.version > report.version:
                        self._reported[reported.service_id] = reported
                        changed.add(reported.service_id)
                case Tombstone(topic=Topic.SERVICES, key=service_id) if service_id in self._listed:
                    # Its version stays, so that an older record that is told late cannot bring it back.
                    listed = self._listed[service_id]
                    delisted = listed.service.model_copy(update={"active": False})
                    self._listed[service_id] = listed.model_copy(update={"service": delisted})
                    changed.add(service_id)
                case Tombstone(topic=Topic.CAPACITY, key=service_id) if service_id in self._reported:
                    del self._reported[service_id]
                    changed.add(service_id)
        if changed := changed & self._listed.keys():
            self.snapshot = self._with(changed)

    def _with(self, changed: set[str]) -> Snapshot:
        """The next snapshot: only the shelves of changed services are filled anew."""
        services = dict(self.snapshot.services)
        types = {services[service_id].service.service_type for service_id in changed & services.keys()}
        for service_id in changed:
            services[service_id] = Entry.of(self._listed[service_id].service, self._reported.get(service_id))
            types.add(services[service_id].service.service_type)
        shelves = dict(self.snapshot.shelves)
        for service_type in types:
            entries = sorted(
                (e for e in services.values() if e.service.active and e.service.service_type == service_type),
                key=lambda entry: entry.service.position.latitude,
            )
            shelves[service_type] = Shelf([entry.service.position.latitude for entry in entries], entries)
        return Snapshot(services, {number: shelf for number, shelf in shelves.items() if shelf.entries})

    def not_ready(self) -> str | None:
        """Why nobody can be found in it, if so."""
        if self.snapshot.shelves:
            return None
        return "the directory is empty: load one with onward directory load FILE"
