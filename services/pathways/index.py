"""The index: the directory in memory, as a search wants to find it.

It is made of two compacted topics, and holds the highest version of each entry. What changes makes a new snapshot, when
one is next asked for; one that was handed out stays as it was.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from datetime import date
from math import inf
from typing import NamedTuple, cast

import numpy as np

from contracts.directory import CapacityReported, CapacityReportedData, ServiceListed, ServiceListedData
from contracts.envelope import Event
from contracts.opening_hours import Timetable
from contracts.topics import Topic
from services.chassis.lean import lean
from services.chassis.reader import Tombstone
from services.pathways.capacity import CapacityOrder
from services.pathways.columns import Columns, Floats, Numbers
from services.pathways.entries import Entry, Registers, capacity_row, sizes_of
from services.pathways.search_rules import MOST_TYPES, SearchRules

FOLLOWED = (Topic.SERVICES, Topic.CAPACITY)
READ = (lean(ServiceListed), lean(CapacityReported))
"""What it is made of, and as what that is read."""

BAND_DEGREES = 0.25
"""Services of a type lie in bands from south to north, and in a band from west to east: a square is a piece of some."""

EVERY_TYPE = MOST_TYPES
"""As a type: all services lie once more in bands, whatever their type."""

BANDS = 721
BAND_WIDTH = 512.0
"""More than the degrees around the globe, so that no two bands meet."""


class Order(NamedTuple):
    """Where the active services stand: in the bands of their types, then once more in the bands of all."""

    keys: Floats
    """Type, band and longitude in one ascending number."""
    slots: Numbers
    clinical: Numbers
    """Their clinical profiles: what a search looks at first, in the order in which it does."""
    type_of_all: Numbers
    """In the bands of all, where its type stands among the types; else 0."""


class Snapshot(NamedTuple):
    """The directory at one moment."""

    rules: SearchRules
    capacity_order: CapacityOrder | None
    """How capacity counts in the order, where it does."""
    registers: Registers
    slots: Mapping[str, int]
    """Of each service, by id. Shared with later snapshots: a slot past `entries` is not of this one."""
    ids: Sequence[str]
    """By slot. Shared with later snapshots, too."""
    entries: Sequence[Entry]
    """By slot, delisted ones too."""
    columns: Columns
    order: "Order"
    types: Numbers
    """The types of active services, ascending."""

    def slot(self, service_id: str) -> int | None:
        """The slot of a service, delisted or not; None where it is not in the directory."""
        slot = self.slots.get(service_id)
        return None if slot is None or slot >= len(self.entries) else slot

    def entry(self, service_id: str) -> Entry | None:
        """A service, delisted or not; None where it is not in the directory."""
        slot = self.slot(service_id)
        return None if slot is None else self.entries[slot]

    def timetable(self, slot: int) -> Timetable:
        """The hours of a service."""
        return self.entries[slot].timetable

    @property
    def active(self) -> int:
        """How many services are active."""
        return len(self.order.slots) // 2

    @property
    def nbytes(self) -> int:
        """Memory of the columns, and of the entries by a sample of them: what they share is counted once."""
        columns = self.columns.nbytes + sum(one.nbytes for one in self.order)
        columns += self.registers.boards.nbytes + self.registers.tables.flat.nbytes
        every = max(1, len(self.entries) // SAMPLED)
        sample = self.entries[::every]
        seen: set[int] = set()
        shared = sum(sizes_of((entry.ages, entry.clinical, entry.territory, entry.timetable), seen) for entry in sample)
        own = sum(sizes_of(entry, seen) for entry in sample)
        return columns + shared + own * len(self.entries) // max(1, len(sample))


SAMPLED = 200


def keys_of(service_type: Numbers | int, latitude: Floats, longitude: Floats) -> Floats:
    """Where active services stand in the index."""
    band = np.floor((latitude + 90.0) / BAND_DEGREES)
    keys: Floats = (service_type * float(BANDS) + band) * BAND_WIDTH + (longitude + 180.0)
    return keys


class Index:
    """Keeps what the topics say, and makes a snapshot of it when one is asked for."""

    def __init__(
        self,
        rules: SearchRules | None = None,
        capacity_order: CapacityOrder | None = None,
        public_holidays: frozenset[date] = frozenset(),
    ) -> None:
        self._rules = rules or SearchRules()
        self._public_holidays = public_holidays
        self._slots: dict[str, int] = {}
        self._by_slot: list[str] = []
        """Their ids."""
        self._entries: dict[int, Entry] = {}
        """Listed since the last snapshot, by slot."""
        self._reported: dict[str, CapacityReportedData] = {}
        """The last report of each service, listed or not."""
        self._newly_reported: set[str] = set()
        self._ids: list[str] = []
        """Of all services, ascending."""
        self._active: set[int] = set()
        self._replaced = 0
        """Listings that took the place of others, since the registers were new."""
        nothing = np.zeros(0, np.int64)
        self._snapshot = Snapshot(
            rules=self._rules,
            capacity_order=capacity_order if capacity_order is not None and capacity_order.counts else None,
            registers=Registers(self._public_holidays),
            slots=self._slots,
            ids=self._by_slot,
            entries=[],
            columns=Columns.empty(),
            order=Order(np.zeros(0), nothing, nothing, nothing),
            types=nothing,
        )

    def apply(self, read: Sequence[Event | Tombstone]) -> None:
        """Take in what the topics say. An older version, or one seen before, changes nothing."""
        for one in read:
            if isinstance(one, Tombstone):
                self._forget(one)
            elif one.type == ServiceListed.TYPE:  # a stand-in is an instance of no contract
                self._list(cast("ServiceListedData", one.data))
            elif one.type == CapacityReported.TYPE:
                self._report(cast("CapacityReportedData", one.data))

    def _forget(self, tombstone: Tombstone) -> None:
        service_id = tombstone.key
        if tombstone.topic == Topic.SERVICES:
            known = self._known(service_id)
            if known is not None:
                # Its version stays, so that an older record that is told late cannot bring it back.
                self._put(service_id, known._replace(active=False))
        elif service_id in self._reported:
            del self._reported[service_id]
            self._newly_reported.add(service_id)

    def _list(self, listed: ServiceListedData) -> None:
        service_id = listed.service.service_id
        known = self._known(service_id)
        if known is None or listed.version > known.version:
            reported = self._reported.get(service_id)
            self._put(service_id, self._snapshot.registers.entry(listed.version, listed.service, reported))

    def _report(self, reported: CapacityReportedData) -> None:
        last = self._reported.get(reported.service_id)
        if last is None or reported.version > last.version:
            self._reported[reported.service_id] = reported
            self._newly_reported.add(reported.service_id)

    def _known(self, service_id: str) -> Entry | None:
        slot = self._slots.get(service_id)
        if slot is None:
            return None
        return self._entries.get(slot) or self._snapshot.entries[slot]

    def _put(self, service_id: str, entry: Entry) -> None:
        slot = self._slots.setdefault(service_id, len(self._slots))
        if slot == len(self._by_slot):
            self._by_slot.append(service_id)
        self._entries[slot] = entry
        if entry.active:
            self._active.add(slot)
        else:
            self._active.discard(slot)

    @property
    def snapshot(self) -> Snapshot:
        """The directory as the topics have it now."""
        if self._entries or self._newly_reported:
            self._snapshot = self._next()
            self._entries = {}
            self._newly_reported = set()
        return self._snapshot

    def _next(self) -> Snapshot:
        last, size = self._snapshot, len(self._slots)
        entries = list(last.entries)
        entries.extend(self._entries[slot] for slot in range(len(entries), size))
        for slot, entry in self._entries.items():
            entries[slot] = entry
        listed = list(self._entries)
        reported = [self._slots[service_id] for service_id in self._newly_reported if service_id in self._slots]
        for slot in reported:
            report = self._reported.get(entries[slot].always["service_id"])
            entries[slot] = entries[slot]._replace(reported=report)
        registers = last.registers
        self._replaced += sum(slot < len(last.entries) for slot in listed)
        if self._replaced > size + 10_000:  # by now most of what is registered may be of nobody any more
            registers, listed, self._replaced = Registers(self._public_holidays), list(range(size)), 0
        columns = last.columns.with_rows(listed, [registers.row(slot, entries[slot]) for slot in listed], size)
        columns = columns.with_rows(reported, [capacity_row(entries[slot].reported) for slot in reported], size)
        columns = self._with_places(columns, range(len(last.entries), size))
        order, types = self._ordered(columns, listed) if listed else (last.order, last.types)
        return last._replace(registers=registers, entries=entries, columns=columns, order=order, types=types)

    def _ordered(self, columns: Columns, changed: Sequence[int]) -> tuple[Order, Numbers]:
        """The order, and the types, from the order of the last snapshot and what has changed."""
        last = self._snapshot.order
        moved = np.zeros(len(columns.active), np.bool_)
        moved[changed] = True
        stay = ~moved[last.slots]
        keys, slots = last.keys[stay], last.slots[stay]
        come = np.flatnonzero(moved & columns.active)
        latitude, longitude, *_ = columns.position[come].T
        of_type = keys_of(columns.service_type[come], latitude, longitude)
        new = np.concatenate((of_type, keys_of(EVERY_TYPE, latitude, longitude)))
        come = np.concatenate((come, come))
        by_key = np.argsort(new, kind="stable")
        new, come = new[by_key], come[by_key]
        at = np.searchsorted(keys, new)
        keys, slots = np.insert(keys, at, new), np.insert(slots, at, come)
        by_type, of_all = np.split(columns.service_type[slots], 2)
        types = np.unique(by_type)
        type_of_all = np.concatenate((np.zeros_like(by_type), types.searchsorted(of_all)))
        return Order(keys, slots, columns.clinical[slots], type_of_all), types

    def _with_places(self, columns: Columns, new: range) -> Columns:
        """The columns with a place for each new id between its neighbours' places."""
        if not new:
            return columns
        ids = self._by_slot[new.start :]
        places = columns.place_of_id.copy()
        if len(ids) < 1000 and self._squeezed_in(ids, places):
            return columns._replace(place_of_id=places)
        self._ids = sorted(self._slots)
        places[[self._slots[service_id] for service_id in self._ids]] = np.arange(len(self._ids))
        return columns._replace(place_of_id=places)

    def _squeezed_in(self, ids: Sequence[str], places: Floats) -> bool:
        for service_id in ids:
            at = bisect_left(self._ids, service_id)
            before = places[self._slots[self._ids[at - 1]]] if at > 0 else -inf
            after = places[self._slots[self._ids[at]]] if at < len(self._ids) else inf
            place = (max(before, -1e9) + min(after, 1e9)) / 2
            if place in (before, after):
                return False
            insort(self._ids, service_id)
            places[self._slots[service_id]] = place
        return True

    async def count(self) -> Sequence[float]:
        """Active services, and bytes of memory, for the gauges."""
        return self.snapshot.active, self.snapshot.nbytes

    def not_ready(self) -> str | None:
        """Why nobody can be found in it, if so."""
        if self._active:
            return None
        return "the directory is empty: load one with onward directory load FILE"
