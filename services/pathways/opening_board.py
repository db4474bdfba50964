"""A day's board of many timetables, in columns: which are open at an instant, until when, and which open by then.

A row of the board is made when it is first asked for, from its timetable; it holds for every search of that day.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from services.pathways.columns import Numbers, Truths
from services.pathways.opening_hours import DAY, Timetable

MINUTES_A_DAY = 1440
AHEAD_DAYS = 3
"""A board knows what opens up to so many days after its own. What is asked beyond them, the timetable says."""

NEVER = np.iinfo(np.int32).max
MOST_BOARDS = 4
STAYS_OPEN_MINUTES = 30
"""A service must not close sooner than this (Directory of Services)."""


class Opening(NamedTuple):
    """What the hours of services say to searches, one by one."""

    in_session: Truths
    """Open at some time of the session, and not about to close."""
    within: Truths
    """Open, or opening so soon that it is offered, where that matters."""


class OpeningBoards:
    """The boards of the days that were asked about last."""

    def __init__(self, timetables: Sequence[Timetable]) -> None:
        self._timetables = timetables
        self._boards: dict[int, _Board] = {}

    def look(
        self, timetables: Numbers, minutes: Numbers, *, session: Numbers, open_within: Numbers, past: Truths
    ) -> Opening:
        """What these timetables say, each to a search of its own, which is at this minute of the epoch (UTC).

        `session` is how many minutes the session lasts; `past` says that the search is some seconds past the minute;
        `open_within` is -1 where it does not matter.
        """
        opens, closes = np.zeros((2, len(timetables)), np.int64)
        last = np.zeros(len(timetables), np.int64)
        days = minutes // MINUTES_A_DAY
        for day in set(days.tolist()):
            here = np.flatnonzero(days == day)
            board = self._board(day)
            opens[here], closes[here] = board.next_of(timetables[here], minutes[here], self._timetables)
            last[here] = board.ends
        closing = (opens <= minutes) & (closes < minutes + STAYS_OPEN_MINUTES + past)
        in_session = (opens <= minutes + session) & ~closing
        for one in np.flatnonzero(~in_session & ~closing & (minutes + session >= last)):
            in_session[one] = self._opens(int(timetables[one]), int(minutes[one]), int(session[one]))
        return Opening(in_session, (open_within < 0) | (opens <= minutes + open_within))

    @property
    def nbytes(self) -> int:
        """Memory of the boards."""
        return sum(board.nbytes for board in self._boards.values())

    def _board(self, day: int) -> "_Board":
        board = self._boards.get(day)
        if board is None:
            if len(self._boards) >= MOST_BOARDS:
                self._boards.pop(next(iter(self._boards)))
            board = self._boards[day] = _Board(day)
        return board

    def _opens(self, timetable: int, minute: int, session: int) -> bool:
        now = datetime.fromtimestamp(minute * 60, UTC)
        return self._timetables[timetable].opens(now, now + timedelta(minutes=session)) is not None


class _Board:
    def __init__(self, day: int) -> None:
        self._day = datetime.fromtimestamp(day * MINUTES_A_DAY * 60, UTC).date()
        self.ends = (day + 1 + AHEAD_DAYS) * MINUTES_A_DAY
        self._made = np.zeros(0, np.bool_)
        self._opens: Numbers = np.zeros((0, 8), np.int32)
        self._closes: Numbers = np.zeros((0, 8), np.int32)

    @property
    def nbytes(self) -> int:
        """Memory of this board."""
        return self._made.nbytes + self._opens.nbytes + self._closes.nbytes

    def next_of(self, numbers: Numbers, minutes: Numbers, timetables: Sequence[Timetable]) -> tuple[Numbers, Numbers]:
        """From when, and until when, each is open that closes next after its minute."""
        if len(self._made) < len(timetables):
            self._reshape(len(timetables), self._opens.shape[1])
        for number in np.unique(numbers[~self._made[numbers]]):
            self._make(int(number), timetables[number])
        closes = self._closes[numbers]
        coming = (closes <= minutes[:, np.newaxis]).sum(axis=1)
        return self._opens[numbers, coming], closes[np.arange(len(numbers)), coming]

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
