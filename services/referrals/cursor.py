"""A place in the feed."""

import re
from typing import NamedTuple, Self

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
