"""Diaries: which slot each placement is given. Pure: values in, values out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from contracts.bookings import HeldHour, Refusal, Tried, WhyExhausted
from contracts.placements import BookingKind, BookingRequested, Candidate
from services.booking.hours import held_hour
from services.chassis.lean import lean

LeanTried = lean(Tried)

NO_CLOCK_TIME_WINDOW = timedelta(minutes=60)
"""Where a disposition names no time, within the hour (as the Directory of Services searches)."""


class Room(NamedTuple):
    """What a diary has for a patient: a slot, or a time by which they must be accepted, or neither.

    A place in an hour is held as a slot is, and says which.
    """

    starts_at: datetime | None = None
    slot_minutes: int | None = None
    acceptance_due: datetime | None = None
    hour: HeldHour | None = None


@dataclass(slots=True)
class Diary:
    """What is known of a service when a batch is settled: its kind, and its free slots, earliest first."""

    service_id: str
    booking: BookingKind
    active: bool
    accept_within_minutes: int | None = None
    patients_an_hour: int | None = None
    elsewhere: bool = False
    """The receiver keeps it, and is asked."""
    left_alone: bool = False
    """It is not asked now, for it failed."""
    starts: list[datetime] = field(default_factory=list)
    minutes: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    first_free: int = 0

    def add(self, starts_at: datetime, minutes: int, free: int) -> None:
        """A free slot, later than those before it."""
        self.starts.append(starts_at)
        self.minutes.append(minutes)
        self.free.append(free)

    def take(self, until: datetime) -> tuple[datetime, int] | None:
        """The first free slot that begins by `until`, held now; none when there is none."""
        while self.first_free < len(self.free) and self.free[self.first_free] == 0:
            self.first_free += 1
        if self.first_free == len(self.free) or self.starts[self.first_free] > until:
            return None
        self.free[self.first_free] -= 1
        return self.starts[self.first_free], self.minutes[self.first_free]

    def room(self, until: datetime, now: datetime) -> Room | None:
        """What there is for a patient who is to be seen by `until`, held now; none where it is full."""
        begins = minutes = due = hour = None
        if self.booking == "acceptance":
            due = now + timedelta(minutes=self.accept_within_minutes or 0)
        if self.booking == "slots" or self.patients_an_hour is not None:
            taken = self.take(until)
            if taken is None:
                return None
            begins, minutes = taken
            if self.patients_an_hour is not None:
                hour = held_hour(begins, minutes, self.free[self.first_free], self.patients_an_hour, until)
                due = min(due, hour.come_by) if due else None  # who has not come by then has not accepted
        return Room(begins, minutes, due, hour)

    @property
    def full(self) -> Refusal:
        """Why there is no room, where there is none."""
        return "no free slot in time" if self.patients_an_hour is None else "no place this hour"


@dataclass(frozen=True, slots=True)
class Given:
    """What a placement was given: a service, with what its diary has for the patient."""

    service: Candidate
    place: int
    starts_at: datetime | None = None
    slot_minutes: int | None = None
    acceptance_due: datetime | None = None
    hour: HeldHour | None = None
    tried: tuple[Tried, ...] = ()
    elsewhere: UUID | None = None
    """The key under which a receiver booked it in its own diary."""
    receiver_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Asks:
    """A placement whose next candidate keeps its own diary, and what was tried before."""

    service: Candidate
    place: int
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A placement that nobody could take, and what was tried."""

    tried: tuple[Tried, ...] = ()
    waits: bool = False
    """It waits for one of them, and is not ended."""
    why: WhyExhausted | None = None
    """Where it is no fault of the candidates."""


class Waiter(NamedTuple):
    """Who waits for a place with one of these services, in the order in which they are wanted."""

    placement_id: UUID
    services: Sequence[str]
    latest_start: datetime


def latest_start(request: BookingRequested, now: datetime) -> datetime:
    """By when the patient must be seen: the disposition's minutes from now, or within the hour when it names none.

    One who may wait longer, may be seen as late as that.
    """
    minutes, wait_until = request.data.brief.disposition.minutes, request.data.wait_until
    latest = now + (timedelta(minutes=minutes) if minutes else NO_CLOCK_TIME_WINDOW)
    return latest if wait_until is None else max(latest, wait_until)


def may_be_booked(request: BookingRequested, now: datetime) -> bool:
    """Whether anything may be held: in time, with candidates, and not for a clinician to decide."""
    brief = request.data.brief
    return bool(request.data.candidates) and not brief.to_clinician and now <= brief.answer_by


def last_time(request: BookingRequested) -> datetime:
    """Past it nobody is booked on the strength of this request, whoever they wait for."""
    answer_by, wait_until = request.data.brief.answer_by, request.data.wait_until
    return answer_by if wait_until is None else max(answer_by, wait_until)


def allocate(
    requests: Sequence[BookingRequested], diaries: Mapping[str, Diary], now: datetime
) -> list[Given | Refused | Asks]:
    """Give each request the first of its candidates that can take the patient: first come, first served, by rank.

    Takes slots out of `diaries`.
    """
    return [
        place(request, diaries, latest_start(request, now), now) if may_be_booked(request, now) else Refused()
        for request in requests
    ]


def place(
    request: BookingRequested,
    diaries: Mapping[str, Diary],
    until: datetime,
    now: datetime,
    *,
    tried: Sequence[Tried] = (),
    begin: int = 0,
) -> Given | Refused | Asks:
    """Give it the first of its candidates, from the one at `begin`, that can take a patient who is to be seen by
    `until`; or come to one that must be asked first."""
    so_far = list(tried)
    for number, candidate in enumerate(request.data.candidates[begin:], begin):
        diary = diaries.get(candidate.service_id)
        if diary is None:
            so_far.append(not_taken(candidate, "no diary"))
        elif not diary.active:
            so_far.append(not_taken(candidate, "not active"))
        elif diary.elsewhere:
            if not diary.left_alone:
                return Asks(candidate, number, tuple(so_far))
            so_far.append(not_taken(candidate, "its diary did not answer"))
        elif room := diary.room(until, now):
            return Given(candidate, number, *room, tried=tuple(so_far))
        else:
            so_far.append(not_taken(candidate, diary.full))
    wait_until = request.data.wait_until
    return Refused(tuple(so_far), waits=wait_until is not None and now < wait_until)


def not_taken(candidate: Candidate, why: Refusal) -> Tried:
    """It was tried, and could not take the patient."""
    return LeanTried(service_id=candidate.service_id, name=candidate.name, why=why)


def give_freed(
    waiting: Sequence[Waiter], diaries: Mapping[str, Diary], now: datetime
) -> list[tuple[Waiter, int, Room]]:
    """Who of those who wait, in this order, is given a place in these diaries; with which of their services, and what.

    Takes slots out of `diaries`.
    """
    given = []
    for waiter in waiting:
        for place, service_id in enumerate(waiter.services):
            diary = diaries.get(service_id)
            if diary and diary.active and not diary.elsewhere and (room := diary.room(waiter.latest_start, now)):
                given.append((waiter, place, room))
                break
    return given
