"""The built-in table of English towns: what a crew may name instead of a position, and where invented people live."""

import csv
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

from contracts.people import Position

TABLE = Path(__file__).with_name("towns.csv")
"""Its source and licence stand in its first lines."""


class Town(NamedTuple):
    """A town of the table: its middle, and how many people live there."""

    name: str
    position: Position
    population: int


@cache
def towns() -> tuple[Town, ...]:
    """Every town of the table, by name."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return tuple(
        Town(
            row["name"],
            Position(latitude=float(row["latitude"]), longitude=float(row["longitude"])),
            int(row["population"]),
        )
        for row in csv.DictReader(lines)
    )


def town(name: str) -> Town | None:
    """The town of this name, however it is spelt: capitals, hyphens, blanks and points do not count."""
    return _by_spelling().get(_spelling(name))


def towns_like(name: str) -> list[str]:
    """At most three names that look like this one."""
    close = get_close_matches(_spelling(name), _by_spelling(), n=3, cutoff=0.7)
    return [_by_spelling()[spelling].name for spelling in close]


@cache
def _by_spelling() -> Mapping[str, Town]:
    return {_spelling(one.name): one for one in towns()}


def _spelling(name: str) -> str:
    return re.sub(r"[^a-z]", "", re.sub(r"\bsaint\b", "st", name.casefold()))
