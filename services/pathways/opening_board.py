"""What opening hours say to a minute, in columns: who is open, who is about to close, and who opens when.

The hours of a day are rows of a board, each made when it is first asked for. From them a minute is worked out once, for
all timetables together, and every search of that minute reads one number of each service.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

import numpy as np

from services.pathways.columns import NEVER, ByCode, Numbers, Truths, beside
from services.pathways.opening_hours import DAY, Timetable

MINUTES_A_DAY = 1440
AHEAD_DAYS = 3
"""A board knows what opens up to so many days after its own. What is asked beyond them, the timetable says."""

MOST_DAYS, MOST_MOMENTS = 4, 64
STAYS_OPEN_MINUTES = 30
"""A service must not close sooner than this (Directory of Services)."""

OPEN, CLOSING, NOT_MADE = 0, -1, -2
"""In place of the minutes until it opens. What is about to close is out, even if it opens again soon."""


class Moment(NamedTuple):
    """When a search is: a minute of the epoch (UTC), and whether it is some seconds past it."""

    minute: int
    is_past_it: bool

    @classmethod
    def of(cls, seconds: float) -> "Moment":
        """The moment of an instant, in seconds of the epoch."""
        minute = int(seconds // 60)
        return cls(minute, seconds > minute * 60)


class Opening(NamedTuple):
    """What the hours of services say to searches, one by one."""

    not_in_session: Truths
    """Not open at any time of the session, or about to close."""
    not_within: Truths
    """Not open, and not opening so soon that it is offered, where that matters."""


class OpeningBoards:
    """The boards of the days that were asked about last, and what they say to the last minutes."""

    def __init__(self, timetables: Sequence[Timetable]) -> None:
        self._timetables = timetables
        self._days: dict[int, _Board] = {}
        self._moments: dict[Moment, Numbers] = {}

    def look(
        self, moments: Sequence[Moment], sessions: Numbers, search: Numbers, timetable: Numbers, open_within: Numbers
    ) -> Opening:
        """What timetables say, each to the search beside it.

        Of each search `moments` says when it is, and `sessions` how many minutes its session lasts. `open_within` is
        each service's.
        """
        opens_in, session = self._opens_in(moments, search, timetable), beside(sessions, search)
        not_in_session = (opens_in < OPEN) | (opens_in > session)
        if sessions.max() >= AHEAD_DAYS * MINUTES_A_DAY:
            for one in np.flatnonzero((opens_in == NEVER) & (session >= AHEAD_DAYS * MINUTES_A_DAY)):
                minutes = int(sessions[search[one]])
                not_in_session[one] = not self._opens(int(timetable[one]), moments[search[one]], minutes)
        return Opening(not_in_session, opens_in > open_within)

    @property
    def nbytes(self) -> int:
        """Memory of the boards."""
        return sum(one.nbytes for one in self._days.values()) + sum(one.nbytes for one in self._moments.values())

    def _opens_in(self, moments: Sequence[Moment], search: Numbers, timetable: Numbers) -> Numbers:
        """OPEN, CLOSING, or in how many minutes each opens; NEVER where that is later than the board knows."""
        opens_in = ByCode.of(moments, self._at).to(search, timetable)
        if not len((opens_in == NOT_MADE).nonzero()[0]):
            return opens_in
        made: dict[Moment, Numbers] = {}
        for moment in sorted(set(moments)):  # day by day: there may be more than are kept, and some were forgotten
            board = self._board(moment)
            board.make(np.unique(timetable), self._timetables)
            made[moment] = self._kept(moment, board)
        return ByCode.of(moments, made.__getitem__).to(search, timetable)

    def _at(self, moment: Moment) -> Numbers:
        known = self._moments.get(moment)
        if known is None or len(known) < len(self._timetables):
            return self._kept(moment, self._board(moment))
        return known

    def _kept(self, moment: Moment, board: "_Board") -> Numbers:
        return _keep(self._moments, moment, board.at(moment, len(self._timetables)), MOST_MOMENTS)

    def _board(self, moment: Moment) -> "_Board":
        day = moment.minute // MINUTES_A_DAY
        return self._days.get(day) or _keep(self._days, day, _Board(day), MOST_DAYS)

    def _opens(self, timetable: int, moment: Moment, session: int) -> bool:
        now = datetime.fromtimestamp(moment.minute * 60, UTC)
        return self._timetables[timetable].opens(now, now + timedelta(minutes=session)) is not None


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

    def at(self, moment: Moment, timetables: int) -> Numbers:
        """What each timetable says to a moment: OPEN, CLOSING, NOT_MADE, or in how many minutes it opens."""
        if len(self._made) < timetables:
            self._reshape(timetables, self._opens.shape[1])
        coming = (self._closes <= moment.minute).sum(axis=1)  # the first that does not end before it
        every = np.arange(len(self._made))
        opens, closes = self._opens[every, coming], self._closes[every, coming]
        is_open = opens <= moment.minute
        is_closing = is_open & (closes < moment.minute + STAYS_OPEN_MINUTES + moment.is_past_it)
        opens_in = np.where(is_open, OPEN, np.where(opens == NEVER, NEVER, opens - moment.minute))
        opens_in[is_closing] = CLOSING
        opens_in[~self._made] = NOT_MADE
        return opens_in

    def make(self, numbers: Numbers, timetables: Sequence[Timetable]) -> None:
        """Make the rows of these timetables that are not made yet."""
        if len(self._made) < len(timetables):
            self._reshape(len(timetables), self._opens.shape[1])
        for number in numbers[~self._made[numbers]].tolist():
            self._make(number, timetables[number])

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
