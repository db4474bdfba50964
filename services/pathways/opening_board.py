"""What opening hours say to a session, in columns: who is open, who is about to close, and who opens when.

The hours of a day are rows of a board, each made when it is first asked for. From them a minute is worked out once, for
all hours together, and of it each session that begins then: every such search reads one number of each service.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np

from contracts.opening_hours import DAY, Timetable
from services.pathways.columns import NEVER, Numbers
from services.pathways.criteria import BITS

MINUTES_A_DAY = 1440
AHEAD_DAYS = 3
"""A board knows what opens up to so many days after its own. What is asked beyond them, the timetable says."""

MOST_DAYS, MOST_MOMENTS = 4, 64
STAYS_OPEN_MINUTES = 30
"""A service must not close sooner than this (Directory of Services)."""

OPEN, CLOSING, NOT_MADE = 0, -1, -2
"""In place of the minutes until it opens. What is about to close is out, even if it opens again soon."""

NOT_IN_SESSION = np.int32(BITS["opening hours"])

NOT_KNOWN = 1 << 30
"""In place of what hours say: these are not made yet, or the session goes on past what the board knows."""


NOTHING_SAID: tuple[Numbers, Numbers] = (np.zeros(0, np.int64), np.zeros(0, np.int32))


class Hours(NamedTuple):
    """When a service is open, and within how many minutes it must open to be offered."""

    timetable: Timetable
    open_within: int
    """NEVER where that does not matter."""


class Moment(NamedTuple):
    """When a search is: a minute of the epoch (UTC), and whether it is some seconds past it."""

    minute: int
    is_past_it: bool


class Session(NamedTuple):
    """When a search is, and within how many minutes from then a service must be open for some time."""

    minute: int
    is_past_it: bool
    minutes: int

    @classmethod
    def of(cls, seconds: float, minutes: int) -> "Session":
        """The session of so many minutes after an instant, in seconds of the epoch."""
        minute = int(seconds // 60)
        return cls(minute, seconds > minute * 60, minutes)

    @property
    def moment(self) -> Moment:
        """When it begins."""
        return Moment(self.minute, self.is_past_it)


class OpeningBoards:
    """The boards of the days that were asked about last, and what they say to the last minutes."""

    def __init__(self, hours: Sequence[Hours]) -> None:
        self._hours = hours
        self._days: dict[int, _Board] = {}
        self._moments: dict[Moment, tuple[Numbers, Numbers]] = {}
        """In how many minutes each hours open, or OPEN, CLOSING, NOT_MADE; and what they fail in every session."""
        self._open_within: Numbers = np.zeros(0, np.int64)

    def table_of(self, session: Session) -> Numbers:
        """What each hours say to a session: bits of the criteria that they fail, or NOT_KNOWN."""
        opens_in, always_failed = self._moments.get(session.moment, NOTHING_SAID)
        if len(opens_in) < len(self._hours):
            opens_in = self._board(session).at(session.moment, len(self._hours))
            always_failed = self._always_failed(opens_in)
            _keep(self._moments, session.moment, (opens_in, always_failed), MOST_MOMENTS)
        failed = always_failed | (opens_in > session.minutes) * NOT_IN_SESSION
        if session.minutes >= AHEAD_DAYS * MINUTES_A_DAY:
            failed[opens_in == NEVER] |= NOT_KNOWN
        return failed

    def make(self, session: Session, hours: Numbers) -> None:
        """See to it that the board of a session's day knows these hours."""
        self._board(session).make(np.unique(hours), self._hours)
        self._moments.pop(session.moment, None)

    def opens(self, session: Session, hours: int) -> bool:
        """Whether hours open in a session, however long it is."""
        now = datetime.fromtimestamp(session.minute * 60, UTC)
        return self._hours[hours].timetable.opens(now, now + timedelta(minutes=session.minutes)) is not None

    @property
    def nbytes(self) -> int:
        """Memory of the boards."""
        boards, tables = self._days.values(), chain.from_iterable(self._moments.values())
        return sum(one.nbytes for one in boards) + sum(one.nbytes for one in tables)

    def _always_failed(self, opens_in: Numbers) -> Numbers:
        """What hours fail that open in so many minutes, however long the session is."""
        new = [one.open_within for one in self._hours[len(self._open_within) :]]
        self._open_within = np.append(self._open_within, new)
        failed = (opens_in == CLOSING) * NOT_IN_SESSION | (opens_in > self._open_within) * np.int32(
            BITS["only if open"]
        )
        failed[opens_in == NOT_MADE] = NOT_KNOWN
        return failed

    def _board(self, session: Session) -> "_Board":
        day = session.minute // MINUTES_A_DAY
        return self._days.get(day) or _keep(self._days, day, _Board(day), MOST_DAYS)


Key = TypeVar("Key")
Value = TypeVar("Value")


def _keep(kept: dict[Key, Value], key: Key, value: Value, most: int) -> Value:
    """Keep a value in the place of the oldest one, where there are too many."""
    if len(kept) >= most and key not in kept:
        del kept[next(iter(kept))]
    kept[key] = value
    return value


class _Board:
    """The hours of a day: from when to when each timetable is open, ascending, then for ever nothing."""

    def __init__(self, day: int) -> None:
        self._day = datetime.fromtimestamp(day * MINUTES_A_DAY * 60, UTC).date()
        self._made = np.zeros(0, np.bool_)
        self._opens: Numbers = np.zeros((0, 8), np.int32)
        self._closes: Numbers = np.zeros((0, 8), np.int32)

    @property
    def nbytes(self) -> int:
        """Memory of this board."""
        return self._made.nbytes + self._opens.nbytes + self._closes.nbytes

    def at(self, moment: Moment, count: int) -> Numbers:
        """What each timetable says to a moment: OPEN, CLOSING, NOT_MADE, or in how many minutes it opens."""
        if len(self._made) < count:
            self._reshape(count, self._opens.shape[1])
        coming = (self._closes <= moment.minute).sum(axis=1)  # the first that does not end before it
        every = np.arange(len(self._made))
        opens, closes = self._opens[every, coming], self._closes[every, coming]
        is_open = opens <= moment.minute
        is_closing = is_open & (closes < moment.minute + STAYS_OPEN_MINUTES + moment.is_past_it)
        opens_in = np.where(is_open, OPEN, np.where(opens == NEVER, NEVER, opens - moment.minute))
        opens_in[is_closing] = CLOSING
        opens_in[~self._made] = NOT_MADE
        return opens_in[:count]

    def make(self, numbers: Numbers, hours: Sequence[Hours]) -> None:
        """Make the rows of these hours that are not made yet."""
        if len(self._made) < len(hours):
            self._reshape(len(hours), self._opens.shape[1])
        for number in numbers[~self._made[numbers]].tolist():
            self._make(number, hours[number].timetable)

    def _make(self, number: int, timetable: Timetable) -> None:
        # From the day before, whose periods may reach into this one; to one more than is asked about, so that what
        # closes there is not cut short by the board's edge.
        open_from = timetable.open_from(self._day - DAY, AHEAD_DAYS + 3)
        if len(open_from) >= self._opens.shape[1]:
            self._reshape(len(self._made), 2 * len(open_from))
        for column, (begins, ends) in enumerate(open_from):
            self._opens[number, column] = begins.timestamp() // 60
            self._closes[number, column] = ends.timestamp() // 60
        self._made[number] = True

    def _reshape(self, height: int, width: int) -> None:
        grown_height = max(height + height // 4, len(self._made))
        made = np.zeros(grown_height, np.bool_)
        made[: len(self._made)] = self._made
        arrays = []
        for old in (self._opens, self._closes):
            new = np.full((grown_height, width), NEVER, np.int32)
            new[: old.shape[0], : old.shape[1]] = old
            arrays.append(new)
        self._made, (self._opens, self._closes) = made, arrays
