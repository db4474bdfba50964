"""Ranking: the order of what a search has found, and which of it are taken.

The published order (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5) is a chain of stable sorts. Read from the last
to the first it is one comparison: promoted to another area goes below; then the rank of the type; then the patient's
own surgery, what it commissions and restricts, what it commissions, all others; then the distance. Two comparisons are
this project's: what is wanted in an order of its own comes before all, and a site may put capacity before distance.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from services.pathways.columns import Floats, Numbers
from services.pathways.criteria import ELSEWHERE
from services.pathways.filters import METRES, PROPOSAL, Asked, Field, commissioned
from services.pathways.index import CAPACITIES, Snapshot
from services.pathways.request import Area, SearchRequest
from services.pathways.roads import NEAREST_OF_A_TYPE, TOO_FAR_MINUTES, Journeys
from services.pathways.search_rules import LOWEST_RANK

BEST_OF_A_TYPE = 2

FURTHER_THAN_ANY = 1e9
"""Metres. More than the Earth's girth and what capacity adds."""

MOST_CHOICES, MOST_TYPES = 1 << 16, 10_000

OWN_SURGERY, COMMISSIONED_RESTRICTED, COMMISSIONED, OTHER = range(4)
"""How a service is tied to the patient's surgery, closest first."""


class Grades(NamedTuple):
    """What comes before distance in the order, for each of a field; lower goes first."""

    elsewhere: Numbers
    """1 where it is promoted to another area than that of the search."""
    rank: Numbers
    tie: Numbers
    adds: Floats
    """Metres by which its capacity puts it further back."""

    def where(self, chosen: Numbers) -> "Grades":
        """The grades at these places."""
        elsewhere, rank, tie, adds = self
        return Grades(elsewhere[chosen], rank[chosen], tie[chosen], adds[chosen])


def grades_of(snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked, found: Field) -> Grades:
    """The grades of what was found."""
    columns, registers, rules = snapshot.columns, snapshot.registers, snapshot.rules
    search, slot = found.search, found.slot
    territory = registers.territory_verdicts.verdicts[asked.territory[search], columns.territory[slot]]
    kinds: dict[Area, int] = {}
    for request in requests:
        kinds.setdefault(request.area, len(kinds))
    strategies = [rules.ranks.of(area)[1] for area in kinds]
    types = [*snapshot.types.tolist(), None]  # the last for those that only delisted services have
    ranks = np.array([[strategy.get(one, LOWEST_RANK) for one in types] for strategy in strategies])
    kind_of = np.array([kinds[request.area] for request in requests])
    restricted = registers.commissionings.restricted[columns.commissioning[slot]]
    theirs = commissioned(snapshot, requests, search, slot)
    tie = np.where(theirs, np.where(restricted, COMMISSIONED_RESTRICTED, COMMISSIONED), OTHER)
    tie[columns.organisation[slot] == asked.own_surgery[search]] = OWN_SURGERY
    return Grades(
        elsewhere=(territory & ELSEWHERE != 0).astype(np.int64),
        rank=ranks[kind_of[search], np.searchsorted(snapshot.types, columns.service_type[slot])],
        tie=tie,
        adds=_capacity_adds(snapshot, asked, search, slot),
    )


def _capacity_adds(snapshot: Snapshot, asked: Asked, search: Numbers, slot: Numbers) -> Floats:
    """By how much capacity and its age put a service further back, in metres (`capacity.CapacityOrder`)."""
    adds = np.zeros(len(slot))
    order, columns = snapshot.capacity_order, snapshot.columns
    if order is None:
        return adds
    now, resets_at, reported_at = asked.second[search], columns.resets_at[slot], columns.reported_at[slot]
    never, run_out = columns.capacity[slot] == CAPACITIES.index("unknown"), resets_at <= now
    status = np.where(run_out, CAPACITIES.index("unknown"), columns.capacity[slot])
    minutes = np.maximum(0.0, now - np.where(run_out, resets_at, reported_at)) / 60
    for number, name in enumerate(CAPACITIES):
        rows = sorted((row for row in order.rows if row.status == name), key=lambda row: row.from_minutes)
        if rows:
            here = status == number
            reached = np.searchsorted([row.from_minutes for row in rows], minutes[here], side="right") - 1
            adds[here] = np.array([row.adds_km for row in rows])[reached]
    adds[never] = order.never_reported_adds_km
    return adds * METRES


def shortlists(snapshot: Snapshot, asked: Asked, found: Field) -> Numbers:
    """Places in a field of what a road service is asked for: of each search the nearest of each type.

    The patient's own surgery counts as the nearest of all, so that it is kept.
    """
    columns = snapshot.columns
    nearness = np.where(columns.organisation[found.slot] == asked.own_surgery[found.search], -1.0, found.metres)
    by_type = columns.service_type[found.slot]
    order = np.lexsort((columns.place_of_id[found.slot], nearness, by_type, found.search))
    place = _place_in_group(found.search[order].astype(np.int64) * MOST_TYPES + by_type[order])
    listed: Numbers = np.sort(order[place < NEAREST_OF_A_TYPE])
    return listed


def by_road(found: Field, journeys: Sequence[Journeys | None] | None) -> Field:
    """A short-listed field with distances by road; where a search has no answer they stay as they are.

    `journeys` has for each search those to what it short-listed, in the field's order. What cannot be reached, or only
    in more than four hours, is dropped.
    """
    metres, reached = found.metres.copy(), np.ones(len(found.slot), np.bool_)
    for search, answer in enumerate(journeys or ()):
        if answer is None:
            continue
        for place, journey in zip(np.flatnonzero(found.search == search), answer, strict=True):
            if journey is None or journey.minutes > TOO_FAR_MINUTES:
                reached[place] = False
            else:
                metres[place] = round(journey.km * METRES)
    return found._replace(metres=metres).where(reached)


def foremost(snapshot: Snapshot, requests: Sequence[SearchRequest], found: Field, grades: Grades) -> Numbers:
    """Places in a field among which are all that may be taken: mostly few, and so quickly put in order.

    What was found for one type lies together. Of such a run stays what is no worse than the second best.
    """
    if len(found.slot) == 0 or any(isinstance(one, str) for request in requests for one in request.wanted or ()):
        return np.arange(len(found.slot))
    types = snapshot.columns.service_type[found.slot]
    begins = np.ones(len(types), np.bool_)
    begins[1:] = (types[1:] != types[:-1]) | (found.search[1:] != found.search[:-1])
    runs = np.flatnonzero(begins)
    worth = (grades.elsewhere * 4 + grades.tie) * FURTHER_THAN_ANY + found.metres + grades.adds
    best = np.minimum.reduceat(worth, runs)
    run = np.cumsum(begins) - 1
    second = np.minimum.reduceat(np.where(worth == best[run], np.inf, worth), runs)
    front: Numbers = np.flatnonzero(worth <= second[run])
    return front


def ordered(snapshot: Snapshot, found: Field, grades: Grades) -> Numbers:
    """The places in a field, search by search, each in its order."""
    grade = ((found.choice * 2 + grades.elsewhere) * 16 + grades.rank) * 4 + grades.tie
    by = (snapshot.columns.place_of_id[found.slot], found.metres + grades.adds, grade, found.search)
    order: Numbers = np.lexsort(by)
    return order


@lru_cache(maxsize=8)
def most_of_each_type(one_of_a_type: tuple[int, ...]) -> Numbers:
    """How many of a type are taken, by type."""
    most = np.full(MOST_TYPES, BEST_OF_A_TYPE)
    most[list(one_of_a_type)] = 1
    return most


def taken(snapshot: Snapshot, requests: Sequence[SearchRequest], found: Field) -> Numbers:
    """Of an ordered field the places of those that are taken: the best two of a type, of some types the best one.

    Where there is an order of what is wanted, a named service is taken beside them, and each service once.
    """
    types = snapshot.columns.service_type[found.slot].astype(np.int64)
    place = _place_in_group((found.search.astype(np.int64) * MOST_CHOICES + found.choice) * MOST_TYPES + types)
    most = most_of_each_type(snapshot.rules.one_of_a_type)[types]
    named = [sum(isinstance(one, str) for one in request.wanted or ()) for request in requests]
    if not any(named):
        return np.flatnonzero(place < most)
    # A named service may stand before, and the type then gives the next.
    kept: list[int] = []
    seen: set[tuple[int, int]] = set()
    counts: dict[tuple[int, int, int], int] = {}
    for at in np.flatnonzero(place < most + np.array(named)[found.search]):
        one = int(found.search[at]), int(found.slot[at])
        group = int(found.search[at]), int(found.choice[at]), int(types[at])
        if one not in seen and counts.get(group, 0) < most[at]:
            seen.add(one)
            counts[group] = counts.get(group, 0) + 1
            kept.append(int(at))
    return np.array(kept, np.int64)


def _place_in_group(groups: Numbers) -> Numbers:
    """For each place how many of the same group come before it."""
    order = np.argsort(groups, kind="stable")
    alike = groups[order]
    begins = np.ones(len(groups), np.bool_)
    np.not_equal(alike[1:], alike[:-1], out=begins[1:])
    place = np.zeros(len(groups), np.int64)
    place[order] = np.arange(len(groups)) - np.flatnonzero(begins)[np.cumsum(begins) - 1]
    return place


def first_of_each(searches: Numbers, most: int) -> dict[int, Numbers]:
    """For each search the first places, at most so many, that are its own."""
    first = np.flatnonzero(_place_in_group(searches) < most)
    first = first[np.argsort(searches[first], kind="stable")]
    begins = np.flatnonzero(np.diff(searches[first], prepend=-1))
    if not len(first):
        return {}
    return dict(zip(searches[first[begins]].tolist(), np.split(first, begins[1:]), strict=True))


def nearest_failing_one(snapshot: Snapshot, requests: Sequence[SearchRequest], field: Field) -> Numbers:
    """Places of those that fail exactly one criterion, search by search, nearest first: no more than may be said.

    A service that is named may be there more than once.
    """
    failed = field.failed
    near = np.flatnonzero((failed != 0) & (failed & (failed - 1) == 0) & (field.choice != PROPOSAL))
    by = (snapshot.columns.place_of_id[field.slot[near]], field.metres[near], field.search[near])
    order = near[np.lexsort(by)]
    most = np.array([request.most_near_misses + len(request.wanted or ()) for request in requests])
    search = field.search[order]
    some: Numbers = order[_place_in_group(search) < most[search]]
    return some


def nearness(snapshot: Snapshot, found: Field) -> Numbers:
    """For each of a field how many of the same search, choice and type are nearer."""
    columns = snapshot.columns
    order = np.lexsort((columns.place_of_id[found.slot], found.metres))
    alike = (found.search.astype(np.int64) * MOST_CHOICES + found.choice) * MOST_TYPES + columns.service_type[
        found.slot
    ]
    nearer = np.zeros(len(order), np.int64)
    nearer[order] = _place_in_group(alike[order])
    return nearer
