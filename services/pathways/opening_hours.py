"""Opening hours: is a service open at an instant, and until when.

Clock times are Europe/London's; instants are UTC. A clock time means the first instant of its day at which the clock
shows that time or a later one. So in spring 01:30 is the instant at which the clock jumps from 01:00 to 02:00, and in
autumn it is the first of the two: one that closes then is taken to close the first time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from contracts.directory import DAYS, OpeningHours

LONDON = ZoneInfo("Europe/London")
DAY = timedelta(days=1)
MINUTES_A_DAY = 24 * 60
MINUTES_A_WEEK = 7 * MINUTES_A_DAY


@dataclass(frozen=True, slots=True)
class Spell:
    """A time without a change: open or closed from `begins` up to, not including, `ends` (UTC; None: for ever).

    An open spell ends when the service closes. A closed one ends when it may open: at the latest at the next midnight,
    when it is worth asking again.
    """

    is_open: bool
    begins: datetime
    ends: datetime | None


class Timetable:
    """Opening hours, made ready to be asked often: most answers are the last one again.

    Most specific first (Directory of Services): specified dates, always open, the weekly periods. A period belongs to
    the day on which it begins. One that runs past midnight stops there when the next day is a specified date, unless
    it is itself of a specified date: hours of a date stand over all others, and a closed day is closed from 00:00.
    """

    __slots__ = ("_dates", "_last", "_never_pauses", "_weekly")

    def __init__(self, hours: OpeningHours) -> None:
        weekly: list[list[tuple[int, int]]] = [[] for _ in DAYS]
        if hours.always:
            weekly = [[(0, MINUTES_A_DAY)] for _ in DAYS]
        else:
            for period in hours.periods:
                for day in period.days:
                    weekly[DAYS.index(day)].append(_minutes(period.opens, period.closes))
        self._weekly = weekly
        self._dates = {
            special.on: [_minutes(opens, closes) for opens, closes in special.periods]
            for special in hours.dates
            if special.on.year < date.max.year  # the calendar has no day after its last one
        }
        self._never_pauses = _covers_the_week(weekly)
        self._last = Spell(is_open=False, begins=datetime.max.replace(tzinfo=UTC), ends=None)

    def at(self, now: datetime) -> Spell:
        """The spell that holds `now` (an instant with its zone). It begins at an instant that was asked about."""
        last = self._last
        if last.begins <= now and (last.ends is None or now < last.ends):
            return last
        self._last = last = self._work_out(now)
        return last

    def _work_out(self, now: datetime) -> Spell:
        today = now.astimezone(LONDON).date()
        closes = self._extended(now, today - DAY)
        if closes > now:
            return Spell(True, now, self._closes(today, closes))
        opens = [begins for day in (today, today + DAY) for begins, _ in self._periods(day) if begins > now]
        return Spell(False, now, min([*opens, _midnight(today + DAY)]))

    def _closes(self, day: date, until: datetime) -> datetime | None:
        """When a service that is open from some time of `day` until at least `until` closes; None is never."""
        while True:
            until = self._extended(until, day)
            day += DAY
            if until < _midnight(day):
                return until
            # Skipping is right only where the day before kept its weekly hours: they may reach into this one.
            if self._never_pauses and not {day, day - DAY} & self._dates.keys():
                coming = [special for special in self._dates if special > day]
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
        special = self._dates.get(day)
        stops = None if special is not None or day + DAY not in self._dates else _midnight(day + DAY)
        for opens, closes in self._weekly[day.weekday()] if special is None else special:
            begins, ends = _instant(day, opens), _instant(day, closes)
            yield begins, ends if stops is None else min(ends, stops)


def _minutes(opens: str, closes: str) -> tuple[int, int]:
    """Minutes after midnight of the day on which a period begins; one that ends before it begins ends a day later."""
    first, last = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (opens, closes))
    return first, last if last >= first else last + MINUTES_A_DAY


def _covers_the_week(weekly: list[list[tuple[int, int]]]) -> bool:
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
