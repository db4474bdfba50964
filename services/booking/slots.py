"""Slots: what the sessions of a diary make. Pure: values in, values out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from contracts.directory import DAYS, SlotSession
from contracts.opening_hours import LONDON


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
