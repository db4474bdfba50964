"""Opening hours: is a service open at an instant, until when, or from when.

Clock times are Europe/London's; instants are UTC. A clock time means the first instant of its day at which the clock
shows that time or a later one. So in spring 01:30 is the instant at which the clock jumps from 01:00 to 02:00, and in
autumn it is the first of the two: one that closes then is taken to close the first time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from contracts.directory import DAYS, OpeningHours

LONDON = ZoneInfo("Europe/London")
DAY = timedelta(days=1)
MINUTES_A_DAY = 24 * 60
MINUTES_A_WEEK = 7 * MINUTES_A_DAY

Minutes = tuple[int, int]
"""A period, in minutes after midnight of the day on which it begins."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A time without a change: open or closed from `begins` up to, not including, `ends` (UTC; None: for ever).

    An open spell ends when the service closes. A closed one ends when it may open: at the latest at the next midnight,
    when it is worth asking again.
    """

    is_open: bool
    begins: datetime
    ends: datetime | None


class Special(NamedTuple):
    """The hours of one day that has its own: a specified date, or a public holiday."""

    periods: tuple[Minutes, ...]
    is_specified: bool
    """A specified date stands over a public holiday."""


class Timetable:
    """Opening hours, made ready to be asked often: most answers are the last one again.

    Most specific first (Directory of Services): specified dates, always open, public holidays, the weekly periods. A
    period belongs to the day on which it begins. One that runs past midnight stops there when the next day has hours
    that are more specific than its own: a closed day is closed from 00:00.
    """

    __slots__ = ("_holiday", "_holidays", "_last", "_never_pauses", "_special", "_weekly")

    def __init__(self, hours: OpeningHours, public_holidays: frozenset[date] = frozenset()) -> None:
        weekly: list[list[Minutes]] = [[] for _ in DAYS]
        self._holidays: frozenset[date] = frozenset()
        self._holiday = Special((), is_specified=False)
        if hours.always:
            weekly = [[(0, MINUTES_A_DAY)] for _ in DAYS]
        else:
            for period in hours.periods:
                for day in period.days:
                    weekly[DAYS.index(day)].append(_minutes(period.opens, period.closes))
            if hours.public_holidays is not None:
                self._holidays = public_holidays
                self._holiday = Special(tuple(_minutes(*one) for one in hours.public_holidays), is_specified=False)
        self._special = {
            one.on: Special(tuple(_minutes(*period) for period in one.periods), is_specified=True)
            for one in hours.dates
            if one.on.year < date.max.year  # the calendar has no day after its last one
        }
        self._weekly = weekly
        self._never_pauses = _covers_the_week(weekly)
        self._last = Spell(is_open=False, begins=datetime.max.replace(tzinfo=UTC), ends=None)

    def at(self, now: datetime) -> Spell:
        """The spell that holds `now` (an instant with its zone). It begins at an instant that was asked about."""
        last = self._last
        if last.begins <= now and (last.ends is None or now < last.ends):
            return last
        self._last = last = self._work_out(now)
        return last

    def opens(self, now: datetime, by: datetime) -> datetime | None:
        """When it opens next, `now` if it is open, where that is not after `by`."""
        while now <= by:
            spell = self.at(now)
            if spell.is_open or spell.ends is None:
                return now if spell.is_open else None
            now = spell.ends
        return None

    def open_from(self, day: date, days: int) -> list[tuple[datetime, datetime]]:
        """The times at which it is open, without a pause in each, of the periods that begin on these days."""
        periods = sorted(period for number in range(days) for period in self._periods(day + number * DAY))
        joined: list[tuple[datetime, datetime]] = []
        for begins, ends in periods:
            if begins >= ends:
                continue
            if joined and begins <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(joined[-1][1], ends)
            else:
                joined.append((begins, ends))
        return joined

    def _work_out(self, now: datetime) -> Spell:
        today = now.astimezone(LONDON).date()
        closes = self._extended(now, today - DAY)
        if closes > now:
            return Spell(True, now, self._closes(today, closes))
        opens = [
            begins
            for day in (today, today + DAY)
            for begins, ends in self._periods(day)
            if begins > now and ends > begins
        ]
        return Spell(False, now, min([*opens, _midnight(today + DAY)]))

    def _closes(self, day: date, until: datetime) -> datetime | None:
        """When a service that is open from some time of `day` until at least `until` closes; None is never."""
        while True:
            until = self._extended(until, day)
            day += DAY
            if until < _midnight(day):
                return until
            # Skipping is right only where the day before kept its weekly hours: they may reach into this one.
            if self._never_pauses and not self._own(day) and not self._own(day - DAY):
                coming = [special for special in (*self._special, *self._holidays) if special > day]
                if not coming:
                    return None
                day = min(coming)
                until = _midnight(day)

    def _extended(self, until: datetime, day: date) -> datetime:
        """The end of the periods of `day` and the day after that follow on `until` without a pause."""
        for begins, ends in sorted([*self._periods(day), *self._periods(day + DAY)]):
            if begins <= until < ends:
                until = ends
        return until

    def _periods(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """The periods that begin on `day`, as instants."""
        own, morrow = self._own(day), self._own(day + DAY)
        stops = None
        if morrow is not None and (own is None or (morrow.is_specified and not own.is_specified)):
            stops = _midnight(day + DAY)
        for opens, closes in self._weekly[day.weekday()] if own is None else own.periods:
            begins, ends = _instant(day, opens), _instant(day, closes)
            yield begins, ends if stops is None else min(ends, stops)

    def _own(self, day: date) -> Special | None:
        """The hours that a day has for itself, if so."""
        specified = self._special.get(day)
        return self._holiday if specified is None and day in self._holidays else specified


def _minutes(opens: str, closes: str) -> Minutes:
    """Minutes after midnight of the day on which a period begins; one that ends before it begins ends a day later."""
    first, last = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (opens, closes))
    return first, last if last >= first else last + MINUTES_A_DAY


def _covers_the_week(weekly: list[list[Minutes]]) -> bool:
    covered = 0
    week = [
        (weekday * MINUTES_A_DAY + opens + lap, weekday * MINUTES_A_DAY + closes + lap)
        for lap in (-MINUTES_A_WEEK, 0)
        for weekday, periods in enumerate(weekly)
        for opens, closes in periods
    ]
    for opens, closes in sorted(week):
        if opens <= covered < closes:
            covered = closes
    return covered >= MINUTES_A_WEEK


@lru_cache(maxsize=100_000)
def _instant(day: date, minutes: int) -> datetime:
    """The first instant at which the clock of `day` shows so many minutes after midnight, or later."""
    days, minutes = divmod(minutes, MINUTES_A_DAY)
    shown = datetime.combine(day + days * DAY, time(minutes // 60, minutes % 60), LONDON)
    instant = shown.astimezone(UTC)
    if instant.astimezone(LONDON).replace(tzinfo=None) == shown.replace(tzinfo=None):
        return instant
    # The clock jumps over this time: it is past it from the jump on, which is on a whole hour of UTC.
    return instant.replace(minute=0)


def _midnight(day: date) -> datetime:
    return _instant(day, 0)
