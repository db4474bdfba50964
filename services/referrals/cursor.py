"""A place in the feed."""

import re
from typing import NamedTuple, Self

from services.chassis.problems import Problem

_WRITTEN = re.compile(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})", re.ASCII)


class Cursor(NamedTuple):
    """All facts of the feed up to a position, of an epoch. A restore begins a new epoch, with positions of its own."""

    epoch: int
    position: int

    @classmethod
    def read(cls, written: str) -> Self:
        """From `<epoch>-<position>`. Raises ValueError."""
        match = _WRITTEN.fullmatch(written)
        if match is None:
            raise ValueError(written)
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.position}"


def start_of(written: str | None, end: Cursor) -> Cursor:
    """Where a reader goes on who names a cursor, `now`, or nothing: then at the beginning. Raises Problem."""
    beginning = end._replace(position=0)
    if written is None:
        return beginning
    if written == "now":
        return end
    try:
        cursor = Cursor.read(written)
    except ValueError:
        raise _bad_cursor() from None
    if cursor.epoch != end.epoch:
        raise Problem(
            410,
            "The cursor is of another epoch",
            "The feed was restored and its positions are new. Begin again at the cursor in `resume`; facts that you "
            "know come again, under the same ids.",
            resume=str(beginning),
        )
    if cursor.position > end.position:
        raise _bad_cursor()
    return cursor


def _bad_cursor() -> Problem:
    return Problem(
        400,
        "Not a cursor of this feed",
        "Send the `id` of an event of this feed as Last-Event-ID or `since`, `since=now`, or neither.",
    )
