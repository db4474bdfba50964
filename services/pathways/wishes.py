"""Wishes: what searches look for, services of a type or one by name."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from contracts.directory import EMERGENCY_DEPARTMENT
from services.pathways.columns import Numbers, beside, joined
from services.pathways.index import Snapshot
from services.pathways.request import SearchRequest
from services.pathways.search_rules import MOST_TYPES

PROPOSAL = -1
"""The choice of an emergency department to propose, whatever is wanted."""


class Wishes(NamedTuple):
    """What searches look for, by column: first types, ascending in each search; then emergency departments to propose;
    then services by name."""

    search: Numbers
    choice: Numbers
    """Which of what is wanted it is."""
    service_type: Numbers
    rank: Numbers
    """Of the type, for the area of the search."""
    begins: Sequence[int]
    """Where those of each search begin that are for types; and where the last of them end."""
    by_type: int
    """How many are for types, to propose or not."""
    named: Numbers
    """The slots of the others, which are looked for by name."""

    @property
    def wanted(self) -> int:
        """How many are for types that are wanted."""
        return self.begins[-1]


def wishes_of(snapshot: Snapshot, requests: Sequence[SearchRequest], *, proposals: bool) -> Wishes:
    """What searches look for; where there are `proposals`, each also an emergency department to propose."""
    every = np.arange(len(requests))
    types, choices = zip(*(types_of(snapshot, one) for one in requests), strict=True)
    lengths = [len(one) for one in types]
    begins = list(accumulate(lengths, initial=0))
    columns = [(every.repeat(lengths), joined(choices), joined(types))]
    if proposals:
        columns.append((every, np.full(len(every), PROPOSAL), np.full(len(every), EMERGENCY_DEPARTMENT)))
    by_type = begins[-1] + (len(every) if proposals else 0)
    search, choice, slots = _named(snapshot, requests)
    if len(slots):
        columns.append((search, choice, snapshot.columns.service_type[slots]))
    search, choice, service_type = map(joined, zip(*columns, strict=True))
    ranks = snapshot.rules.ranks
    strategy = np.array([ranks.number_of(one.area) for one in requests])
    rank = ranks.by_type.take(beside(strategy, search) * MOST_TYPES + service_type)
    return Wishes(search, choice, service_type, rank, begins, by_type, slots)


def _named(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> Numbers:
    """Searches, choices and slots of the services that are wanted by name."""
    named = [
        (search, choice if request.in_order else 0, slot)
        for search, request in enumerate(requests)
        for choice, one in enumerate(request.wanted or ())
        if isinstance(one, str) and (slot := snapshot.slot(one)) is not None
    ]
    columns: Numbers = np.array(named, np.int64).reshape(-1, 3).T if named else NOBODY
    return columns


NOBODY: Numbers = np.zeros((3, 0), np.int64)


def types_of(snapshot: Snapshot, request: SearchRequest) -> tuple[Numbers, Numbers]:
    """The types that are wanted, ascending, and which choice each is."""
    if request.wanted is None:
        return snapshot.types, np.zeros(len(snapshot.types), np.int64)
    return _types_among(request.wanted, request.in_order)


@lru_cache(maxsize=4096)
def _types_among(wanted: tuple[int | str, ...], in_order: bool) -> tuple[Numbers, Numbers]:
    first: dict[int, int] = {}
    for choice, one in enumerate(wanted):
        if isinstance(one, int):
            first.setdefault(one, choice if in_order else 0)
    types, choices = np.array(sorted(first.items()), np.int64).reshape(-1, 2).T
    return types, choices
