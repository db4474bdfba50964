"""The search: who could take a patient, in which order, and why; and of any service why it is, or is not, among them.

It follows the published search of the Directory of Services (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5).
Where that leaves room, `docs/decisions/pathways-search.md` says how it is read.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

import numpy as np

from contracts.people import Position
from contracts.placements import Candidate, NearMiss
from services.chassis.lean import lean
from services.pathways.criteria import failed
from services.pathways.filters import Field
from services.pathways.globe import METRES
from services.pathways.index import Snapshot
from services.pathways.looking import ABOUT_AT_FIRST, AGAINST, FIT, MOST_CATCH_ALL, look
from services.pathways.ranking import (
    MOST_CANDIDATES,
    best,
    by_road,
    nearest_failing_one,
    nearness,
    ordered,
    shortlists,
)
from services.pathways.reasons import Hours, Standing, hours_of, nth, type_name, why_not, why_there
from services.pathways.request import SearchRequest
from services.pathways.roads import Journeys, Trip
from services.pathways.search_rules import NATIONAL_KM, Distance
from services.pathways.wishes import PROPOSAL

LeanCandidate, LeanNearMiss = lean(Candidate), lean(NearMiss)


class Ranked(NamedTuple):
    """What a search found."""

    candidates: tuple[Candidate, ...]
    near_misses: tuple[NearMiss, ...]
    """The nearest of those that failed exactly one criterion."""
    proposed: Candidate | None
    """The nearest emergency department, whatever is found: to be proposed by one who must propose something."""
    catch_all: tuple[Candidate, ...]
    """Where no candidate remains: the nearest two emergency departments, whatever their capacity."""
    distance: Distance
    """How far was searched, and why so far."""


class Exclusion(NamedTuple):
    """A criterion that excludes a service, and how."""

    criterion: str
    why: str


class Explained(NamedTuple):
    """Why a service stands where it stands in a search, or why it is not there."""

    place: int | None
    """Among the candidates, from 1; none where it is no candidate."""
    why: str
    excluded: tuple[Exclusion, ...] = ()
    """Every criterion that excludes it. None where it is a candidate, or others of its type go before it."""


def search(snapshot: Snapshot, request: SearchRequest) -> Ranked:
    """One search."""
    [ranked] = search_many(snapshot, [request])
    return ranked


def search_many(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> list[Ranked]:
    """Many searches together, each with its own time and place: the same answers, for less."""
    return Search(snapshot, requests).ranked() if requests else []


class Places(NamedTuple):
    """Who stands where in a search, the first one first, without a word about it."""

    service_ids: list[str]
    metres: list[float]


def places_of_many(
    snapshot: Snapshot, requests: Sequence[SearchRequest], *, about_at_first: float = ABOUT_AT_FIRST
) -> list[Places]:
    """Of many searches together the candidates alone, in order: no reasons, near misses or proposals."""
    if not requests:
        return []
    looked = look(snapshot, requests, all_is_said=False, about_at_first=about_at_first)
    found = looked.field
    at = best(snapshot, looked, found)
    service_ids = [snapshot.ids[slot] for slot in found.slot.take(at).tolist()]
    metres: list[float] = found.metres.take(at).tolist()
    search = looked.wishes.search.take(found.wish.take(at))
    ends = accumulate(np.bincount(search, minlength=len(requests)).tolist(), initial=0)
    return [Places(service_ids[begin:end], metres[begin:end]) for begin, end in pairwise(ends)]


class Search:
    """Searches that have been filtered. Where there is a road service, it is asked for `trips` before they are ranked.

    At least one request is needed. The nearest are looked at first (`looking.py`); for roads, and to count how many
    stand before a service, all must be: `about_at_first` is then infinite.
    """

    def __init__(
        self, snapshot: Snapshot, requests: Sequence[SearchRequest], *, about_at_first: float = ABOUT_AT_FIRST
    ) -> None:
        self._snapshot = snapshot
        self._requests = requests
        self._looked = look(snapshot, requests, all_is_said=True, about_at_first=about_at_first)
        field, choice = self._looked.field, self._looked.wishes.choice
        self._found = field.where(((field.failed == 0) & (choice.take(field.wish) != PROPOSAL)).nonzero()[0])

    @cached_property
    def _shortlisted(self) -> Field:
        return self._found.where(shortlists(self._snapshot, self._looked, self._found))

    @property
    def trips(self) -> list[Trip]:
        """For each search where it starts and where to, to be asked of a road service."""
        destinations: list[list[Position]] = [[] for _ in self._requests]
        search = self._looked.wishes.search[self._shortlisted.wish]
        for one, slot in zip(search, self._shortlisted.slot, strict=True):
            destinations[one].append(self._snapshot.entries[slot].always["position"])
        return [Trip(request.position, tuple(to)) for request, to in zip(self._requests, destinations, strict=True)]

    def ranked(self, journeys: Sequence[Journeys | None] | None = None) -> list[Ranked]:
        """What was found, in order. `journeys` are a road service's, one answer for each of `trips`."""
        snapshot, wishes = self._snapshot, self._looked.wishes
        found = self._found if journeys is None else by_road(self._looked, self._shortlisted, journeys)
        nearer = nearness(snapshot, self._looked, found)
        places = best(snapshot, self._looked, found)
        found, nearer = found.where(places), nearer.take(places)
        candidates: list[list[Candidate]] = [[] for _ in self._requests]
        columns = (wishes.choice.take(found.wish), found.metres, nearer, found.tie, found.elsewhere)
        standings = zip(*(column.tolist() for column in (*columns, wishes.rank.take(found.wish))), strict=True)
        search = wishes.search.take(found.wish)
        for number, slot, standing in zip(search.tolist(), found.slot.tolist(), standings, strict=True):
            candidates[number].append(self._ranked(slot, self._requests[number], Standing(*standing)))
        near_misses = self._near_misses()
        departments, proposed = self._departments()
        return [
            Ranked(
                candidates=tuple(candidates[one]),
                near_misses=tuple(near_misses[one]),
                proposed=self._department(proposed[one], "nearest emergency department") if one in proposed else None,
                catch_all=() if candidates[one] else self._catch_all(departments.get(one, ())[:MOST_CATCH_ALL]),
                distance=distance,
            )
            for one, distance in enumerate(self._looked.asked.distances)
        ]

    def explained(self) -> Explained:
        """Of the one service that the one search named: what excludes it, or that it would be a candidate."""
        [at] = (self._looked.wishes.choice[self._looked.field.wish] != PROPOSAL).nonzero()[0].tolist()
        slot, km = int(self._looked.field.slot[at]), self._looked.asked.distances[0].km
        excluded = tuple(
            Exclusion(one, why_not(self._snapshot, slot, one, self._requests[0], km))
            for one in failed(int(self._looked.field.failed[at]))
        )
        return Explained(None, "; ".join(one.why for one in excluded), excluded)

    def place_in_type(self, service_id: str) -> tuple[int, int]:
        """Of one that the one search found: how many of its type go before it, and how many of its type there are."""
        every = np.arange(len(self._found.slot))
        slots = self._found.slot[ordered(self._snapshot, self._looked, self._found, every)]
        slot = self._snapshot.slot(service_id)
        types = self._snapshot.columns.service_type
        alike = slots[types[slots] == types[slot]].tolist()
        return alike.index(slot), len(alike)

    def _ranked(self, slot: int, request: SearchRequest, standing: Standing) -> Candidate:
        hours = hours_of(self._snapshot, slot, request)
        why = why_there(self._snapshot, self._snapshot.entries[slot], request, hours, standing)
        return self._candidate(slot, request, standing.metres, hours, why)

    def _candidate(
        self, slot: int, request: SearchRequest, metres: float, hours: Hours, why: str, *, suffix: str = ""
    ) -> Candidate:
        entry = self._snapshot.entries[slot]
        capacity = entry.capacity_at(request.at)
        return LeanCandidate(
            **(entry.always if not suffix else {**entry.always, "name": entry.name + suffix}),
            distance_km=round(metres / METRES, 2),
            opens_at=hours.opens_at,
            open_until=hours.open_until,
            # A candidate is never red; where one is waited for or proposed all the same, its reason says so.
            capacity="unknown" if capacity == "red" else capacity,
            why=why,
        )

    def _near_misses(self) -> list[list[NearMiss]]:
        near: list[list[NearMiss]] = [[] for _ in self._requests]
        seen: set[tuple[int, int]] = set()
        found = self._looked.field.where(nearest_failing_one(self._snapshot, self._requests, self._looked))
        columns = (self._looked.wishes.search.take(found.wish), found.slot, found.metres, found.failed)
        for search, slot, metres, bits in zip(*(column.tolist() for column in columns), strict=True):
            request = self._requests[search]
            if len(near[search]) >= request.most_near_misses or (search, slot) in seen:
                continue
            seen.add((search, slot))
            km = self._looked.asked.distances[search].km
            near[search].append(self._near_miss(slot, request, metres, bits, km))
        return near

    def _near_miss(self, slot: int, request: SearchRequest, metres: float, bits: int, km: float) -> NearMiss:
        entry = self._snapshot.entries[slot]
        [criterion] = failed(bits)
        return LeanNearMiss(
            service_id=entry.always["service_id"],
            name=entry.name,
            service_type=entry.service_type,
            distance_km=round(metres / METRES, 2),
            failed=criterion,
            why=why_not(self._snapshot, slot, criterion, request, km),
        )

    def _departments(self) -> tuple[dict[int, list[int]], dict[int, int]]:
        """By search: the places of the emergency departments, nearest first, and of the one to propose.

        One that is open and takes such a patient is proposed before one that does not, whatever its capacity. If none
        is, the nearest is proposed all the same, and says what speaks against it: a person decides.
        """
        field, wishes = self._looked.field, self._looked.wishes
        near = (wishes.choice.take(field.wish) == PROPOSAL) & (field.metres <= NATIONAL_KM * METRES)
        place = near.nonzero()[0]  # without those in the corners of the square
        found = field.where(place)
        order = np.lexsort((self._snapshot.columns.place_of_id.take(found.slot), found.metres))
        search, fit = wishes.search.take(found.wish.take(order)), found.failed.take(order) & FIT == 0
        nearest: dict[int, list[int]] = {}
        proposed: dict[int, int] = {}
        for one, is_fit, at in zip(search.tolist(), fit.tolist(), place.take(order).tolist(), strict=True):
            nearest.setdefault(one, []).append(at)
            if is_fit:
                proposed.setdefault(one, at)
        return nearest, {one: places[0] for one, places in nearest.items()} | proposed

    def _catch_all(self, departments: Sequence[int]) -> tuple[Candidate, ...]:
        return tuple(
            self._department(at, f"catch-all: {nth(number)} emergency department", suffix=" (Catch-all)")
            for number, at in enumerate(departments)
        )

    def _department(self, at: int, how: str, *, suffix: str = "") -> Candidate:
        field = self._looked.field
        slot, metres = int(field.slot[at]), float(field.metres[at])
        request = self._requests[int(self._looked.wishes.search[field.wish[at]])]
        against = "".join(
            f"; {why_not(self._snapshot, slot, criterion, request, NATIONAL_KM)}"
            for criterion in failed(int(field.failed[at]) & AGAINST)
        )
        why = f"{how}, {metres / METRES:.1f} km{against}"
        return self._candidate(slot, request, metres, hours_of(self._snapshot, slot, request), why, suffix=suffix)


def explain(snapshot: Snapshot, request: SearchRequest, service_id: str) -> Explained | None:
    """Of any service its place and why, or every criterion that excludes it; None where there is no such service."""
    entry = snapshot.entry(service_id)
    if entry is None:
        return None
    explained = Search(snapshot, [request._replace(wanted=(service_id,), in_order=True, said_of=())]).explained()
    if request.wanted is not None and not {service_id, entry.service_type} & set(request.wanted):
        why = f"its type, {type_name(entry.service_type)}, is not among those that are searched"
        excluded = (Exclusion("service type", why), *explained.excluded)
        return Explained(None, "; ".join(one.why for one in excluded), excluded)
    if explained.excluded:
        return explained
    found = Search(snapshot, [request], about_at_first=inf)
    [ranked] = found.ranked()
    for place, candidate in enumerate(ranked.candidates, 1):
        if candidate.service_id == service_id:
            return Explained(place, candidate.why)
    before, alike = found.place_in_type(service_id)
    most = snapshot.rules.most_of_each_type[entry.service_type]
    if before < most:
        return Explained(None, f"it is suitable, but {MOST_CANDIDATES} others go before it")
    return Explained(None, f"it is suitable, no. {before + 1} of {alike} of its type: the best {most} are taken")
