"""Diaries: which slots a session makes, and which slot each placement is given. Pure: values in, values out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.bookings import Tried, WhyExhausted
from contracts.directory import DAYS, SlotSession
from contracts.placements import BookingKind, BookingRequested, Candidate
from services.chassis.lean import lean

LeanTried = lean(Tried)

LONDON = ZoneInfo("Europe/London")
NO_CLOCK_TIME_WINDOW = timedelta(minutes=60)
"""Where a disposition names no time, within the hour (as the Directory of Services searches)."""


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """Room for some patients from an instant, for some minutes."""

    starts_at: datetime
    minutes: int
    capacity: int


def slots_between(sessions: Sequence[SlotSession], begin: datetime, end: datetime) -> list[Slot]:
    """The slots that sessions make from `begin` until before `end`, in order.

    Sessions are in clock time of Europe/London, slots are instants in UTC. On the night when clocks go forward the hour
    that does not exist has no slots; when they go back the repeated hour has slots once, the first time. Slots of one
    session never overlap. Where two sessions begin a slot at one instant, the first in the list makes it.
    """
    slots: dict[datetime, Slot] = {}
    # The day before may still run at the beginning, and the day before that may run into it.
    first, last = begin.astimezone(LONDON).date() - timedelta(days=2), end.astimezone(LONDON).date()
    for session in sessions:
        length, over = timedelta(minutes=session.slot_minutes), datetime.min.replace(tzinfo=UTC)
        for starts_at in _starts(session, first, last):
            if starts_at < over:  # a slot that runs into the missing hour is longer on the clock
                continue
            over = starts_at + length
            if begin <= starts_at < end:
                slots.setdefault(starts_at, Slot(starts_at, session.slot_minutes, session.capacity))
    return sorted(slots.values())


def _starts(session: SlotSession, first: date, last: date) -> Iterator[datetime]:
    begins, ends = _minutes(session.begins), _minutes(session.ends)
    if ends <= begins:  # past midnight
        ends += 24 * 60
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        if DAYS[day.weekday()] not in session.days:
            continue
        midnight = datetime.combine(day, time())
        for minute in range(begins, ends - session.slot_minutes + 1, session.slot_minutes):
            local = midnight + timedelta(minutes=minute)
            instant = local.replace(tzinfo=LONDON).astimezone(UTC)
            if instant.astimezone(LONDON).replace(tzinfo=None) == local:
                yield instant


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


class Room(NamedTuple):
    """What a diary has for a patient: a slot, or a time by which they must be accepted, or neither."""

    starts_at: datetime | None = None
    slot_minutes: int | None = None
    acceptance_due: datetime | None = None


@dataclass(slots=True)
class Diary:
    """What is known of a service when a batch is settled: its kind, and its free slots, earliest first."""

    service_id: str
    booking: BookingKind
    active: bool
    accept_within_minutes: int | None = None
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
        if self.booking == "slots":
            slot = self.take(until)
            return Room(*slot) if slot else None
        if self.booking == "acceptance":
            return Room(acceptance_due=now + timedelta(minutes=self.accept_within_minutes or 0))
        return Room()


@dataclass(frozen=True, slots=True)
class Given:
    """What a placement was given: a service, with a slot or a time by which it must accept, or neither."""

    service: Candidate
    place: int
    starts_at: datetime | None = None
    slot_minutes: int | None = None
    acceptance_due: datetime | None = None
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


def allocate(
    requests: Sequence[BookingRequested], diaries: Mapping[str, Diary], now: datetime
) -> list[Given | Refused]:
    """Give each request the first of its candidates that can take the patient: first come, first served, by rank.

    Takes slots out of `diaries`.
    """
    return [_place(request, diaries, now) if may_be_booked(request, now) else Refused() for request in requests]


def _place(request: BookingRequested, diaries: Mapping[str, Diary], now: datetime) -> Given | Refused:
    tried: list[Tried] = []
    until = latest_start(request, now)
    for place, candidate in enumerate(request.data.candidates):
        diary = diaries.get(candidate.service_id)
        if diary is None:
            tried.append(LeanTried(service_id=candidate.service_id, name=candidate.name, why="no diary"))
        elif not diary.active:
            tried.append(LeanTried(service_id=candidate.service_id, name=candidate.name, why="not active"))
        elif room := diary.room(until, now):
            return Given(candidate, place, *room, tried=tuple(tried))
        else:
            tried.append(LeanTried(service_id=candidate.service_id, name=candidate.name, why="no free slot in time"))
    wait_until = request.data.wait_until
    return Refused(tuple(tried), waits=wait_until is not None and now < wait_until)


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
            if diary and diary.active and (room := diary.room(waiter.latest_start, now)):
                given.append((waiter, place, room))
                break
    return given
