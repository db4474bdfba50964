"""Booking as plainly as it can be said: one patient after the other, in memory, without a database."""

from dataclasses import dataclass, field
from typing import NamedTuple

Place = tuple[str, str]
"""A service, and the clock time of a slot."""


class Waiting(NamedTuple):
    """Who waits: the most urgent first, then who has waited the longest."""

    urgency: int
    since: int
    placement: int
    services: tuple[str, ...]


@dataclass
class Slot:
    """Room for some patients, and who has it."""

    capacity: int
    held: set[int] = field(default_factory=set)
    withdrawn: bool = False

    @property
    def free(self) -> bool:
        """Whether it takes one more."""
        return not self.withdrawn and len(self.held) < self.capacity


@dataclass
class Model:
    """What booking has stored, and what it must tell next."""

    listed: dict[str, dict[str, int] | None] = field(default_factory=dict)
    """By service: the slots of its template, each with its capacity; none where it is not active."""
    slots: dict[str, dict[str, Slot]] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)
    """What each placement was given, for ever."""
    held: set[int] = field(default_factory=set)
    settled: dict[int, int] = field(default_factory=dict)
    displaced: set[int] = field(default_factory=set)
    waiting: list[Waiting] = field(default_factory=list)
    tick: int = 0

    def lists(self, service: str, template: dict[str, int] | None) -> tuple[set[int], dict[int, Place]]:
        """A service has another template, or none. Returns who is displaced, and who waits no more."""
        if template is not None and self.listed.get(service) == template:
            return set(), {}  # told again that it takes nobody, it is cleared again of what was given back since
        self.listed[service] = template
        before = self.slots.get(service, {})
        after = {begins: slot for begins, slot in before.items() if slot.held}
        for slot in after.values():
            slot.withdrawn = True
        for begins, capacity in (template or {}).items():
            slot = after.setdefault(begins, Slot(capacity))
            if len(slot.held) <= capacity:
                slot.withdrawn, slot.capacity = False, capacity
        self.slots[service] = after
        displaced = set()
        for begins, slot in after.items():
            if slot.withdrawn:
                room = (template or {}).get(begins, 0)
                displaced |= set(sorted(slot.held, key=lambda one: (self.settled[one], one))[room:])
        displaced -= self.displaced
        self.displaced |= displaced
        return displaced, self._give(service)

    def settle(self, placement: int, services: tuple[str, ...], *, urgency: int, waits: bool) -> Place | None:
        """Where the patient goes; none where nobody has room."""
        for service in services:
            if place := self._take(placement, service):
                return place
        if waits:
            self.waiting.append(Waiting(urgency, self.tick, placement, services))
        return None

    def release(self, placement: int) -> dict[int, Place]:
        """A place is given back. Returns who of those who wait is given what."""
        if placement not in self.held:
            return {}
        self.held.remove(placement)
        service, begins = self.places[placement]
        self.slots[service][begins].held.remove(placement)
        return self._give(service)

    def forget(self, placement: int) -> bool:
        """A wait is over; whether it was one."""
        before = len(self.waiting)
        self.waiting = [one for one in self.waiting if one.placement != placement]
        return len(self.waiting) < before

    def _take(self, placement: int, service: str) -> Place | None:
        if self.listed.get(service) is None:
            return None
        for begins, slot in sorted(self.slots[service].items()):
            if slot.free:
                slot.held.add(placement)
                self.held.add(placement)
                self.settled[placement] = self.tick
                self.places[placement] = service, begins
                return service, begins
        return None

    def _give(self, service: str) -> dict[int, Place]:
        given = {}
        for waiter in sorted(self.waiting):
            if service in waiter.services and (place := self._take(waiter.placement, service)):
                given[waiter.placement] = place
        self.waiting = [one for one in self.waiting if one.placement not in given]
        return given
