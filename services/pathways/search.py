"""The search: who could take a patient, in which order, and why; and of any service why it is, or is not, among them.

It follows the published search of the Directory of Services (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5).
Where that leaves room, `docs/decisions/pathways-search.md` says how it is read.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np

from contracts.directory import SERVICE_TYPES
from contracts.people import Position
from contracts.placements import Candidate, NearMiss
from services.pathways.columns import Numbers
from services.pathways.criteria import BITS, Criterion, failed
from services.pathways.filters import (
    METRES,
    PROPOSAL,
    Field,
    asked_of,
    field_of,
    session_minutes,
)
from services.pathways.index import Entry, Snapshot
from services.pathways.opening_hours import LONDON
from services.pathways.ranking import (
    BEST_OF_A_TYPE,
    COMMISSIONED,
    COMMISSIONED_RESTRICTED,
    OWN_SURGERY,
    Grades,
    by_road,
    grades_of,
    nearest_failing_one,
    nearness,
    ordered,
    shortlists,
    taken,
)
from services.pathways.request import SearchRequest
from services.pathways.roads import Journeys, Trip
from services.pathways.search_rules import NATIONAL_KM, Distance

MOST_CANDIDATES = 50
MOST_CATCH_ALL = 2

ORDINALS = ("nearest", "second nearest", "third nearest")


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


class Search:
    """Searches that have been filtered. Where there is a road service, it is asked for `trips` before they are ranked.

    At least one request is needed.
    """

    def __init__(self, snapshot: Snapshot, requests: Sequence[SearchRequest]) -> None:
        self._snapshot = snapshot
        self._requests = requests
        self._asked = asked_of(snapshot, requests)
        self._field = field_of(snapshot, requests, self._asked)
        self._found = self._field.where((self._field.failed == 0) & (self._field.choice != PROPOSAL))

    @cached_property
    def _shortlisted(self) -> Field:
        return self._found.where(shortlists(self._snapshot, self._asked, self._found))

    @property
    def trips(self) -> list[Trip]:
        """For each search where it starts and where to, to be asked of a road service."""
        destinations: list[list[Position]] = [[] for _ in self._requests]
        for one, slot in zip(self._shortlisted.search, self._shortlisted.slot, strict=True):
            destinations[one].append(self._snapshot.entries[slot].always["position"])
        return [Trip(request.position, tuple(to)) for request, to in zip(self._requests, destinations, strict=True)]

    def ranked(self, journeys: Sequence[Journeys | None] | None = None) -> list[Ranked]:
        """What was found, in order. `journeys` are a road service's, one answer for each of `trips`."""
        requests = self._requests
        candidates: list[list[Candidate]] = [[] for _ in requests]
        found, grades, order = self._in_order(journeys)
        nearer = nearness(self._snapshot, found)
        for at in order[taken(self._snapshot, requests, found.where(order))].tolist():
            of_search = candidates[found.search[at]]
            if len(of_search) < MOST_CANDIDATES:
                of_search.append(self._candidate(found, at, self._why(found, grades, int(nearer[at]), at)))
        near_misses = self._near_misses()
        departments = self._departments()
        return [
            Ranked(
                candidates=tuple(candidates[one]),
                near_misses=tuple(near_misses[one]),
                proposed=self._proposed(departments[one]),
                catch_all=() if candidates[one] else self._catch_all(departments[one]),
                distance=self._asked.distances[one],
            )
            for one in range(len(requests))
        ]

    def _in_order(self, journeys: Sequence[Journeys | None] | None) -> tuple[Field, Grades, Numbers]:
        found = self._found if journeys is None else by_road(self._shortlisted, journeys)
        grades = grades_of(self._snapshot, self._requests, self._asked, found)
        return found, grades, ordered(self._snapshot, found, grades)

    def explained(self) -> Explained:
        """Of the one service that the one search named: what excludes it, or that it would be a candidate."""
        [at] = np.flatnonzero(self._field.choice != PROPOSAL).tolist()
        entry, request = self._of(self._field, at)
        criteria = failed(int(self._field.failed[at]))
        excluded = tuple(Exclusion(one, _said(self._snapshot, entry, one, request, self.km)) for one in criteria)
        return Explained(None, "; ".join(one.why for one in excluded), excluded)

    def standing(self, service_id: str) -> tuple[int, int]:
        """Of one that the one search found: how many of its type go before it, and how many of its type there are."""
        found, _, order = self._in_order(None)
        slots = found.slot[order]
        slot = self._snapshot.slot(service_id)
        types = self._snapshot.columns.service_type
        alike = slots[types[slots] == types[slot]].tolist()
        return alike.index(slot), len(alike)

    @property
    def km(self) -> float:
        """How far the first search goes."""
        return self._asked.distances[0].km

    # What is said of each

    def _of(self, found: Field, at: int) -> tuple[Entry, SearchRequest]:
        return self._snapshot.entries[found.slot[at]], self._requests[found.search[at]]

    def _candidate(self, found: Field, at: int, why: str, *, suffix: str = "") -> Candidate:
        entry, request = self._of(found, at)
        timetable = self._snapshot.registers.timetable_of(entry)
        spell, opens_at = timetable.at(request.at), None
        if not spell.is_open:
            opens_at = _opens_in_session(self._snapshot, entry, request)
            spell = spell if opens_at is None else timetable.at(opens_at)
        capacity = entry.capacity_at(request.at)
        return Candidate(
            **(entry.always if not suffix else {**entry.always, "name": entry.name + suffix}),
            distance_km=round(float(found.metres[at]) / METRES, 2),
            opens_at=opens_at,
            open_until=spell.ends if spell.is_open else None,
            # A candidate is never red; where an emergency department is proposed all the same, its reason says so.
            capacity="unknown" if capacity == "red" else capacity,
            why=why,
        )

    def _why(self, found: Field, grades: Grades, nearer: int, at: int) -> str:
        entry, request = self._of(found, at)
        choice = int(found.choice[at])
        km = float(found.metres[at]) / METRES
        if request.in_order and request.wanted is not None and isinstance(request.wanted[choice], str):
            how = "named by the sender"
        else:
            opens_at = _opens_in_session(self._snapshot, entry, request)
            is_open = opens_at is not None and opens_at <= request.at
            how = f"{_nth(nearer)} suitable {'open ' if is_open else ''}{_type_name(entry.service_type)}"
        words = [f"{how}, {km:.1f} km"]
        if grades.tie[at] == OWN_SURGERY:
            words.append("the patient's own surgery")
        elif grades.tie[at] in (COMMISSIONED, COMMISSIONED_RESTRICTED):
            words.append("commissioned by the patient's surgery")
        if grades.elsewhere[at]:
            words.append("promoted to another area")
        said = request.said_of[choice] if request.said_of else ""
        whose, ranks = self._snapshot.rules.ranks.of(request.area)
        if not request.in_order and ranks:
            said = f"rank {grades.rank[at]} of its type ({whose})"
        return ", ".join(words) + (f"; {said}" if said else "")

    def _near_misses(self) -> list[list[NearMiss]]:
        near: list[list[NearMiss]] = [[] for _ in self._requests]
        seen: set[tuple[int, int]] = set()
        field = self._field
        for at in nearest_failing_one(self._snapshot, field).tolist():
            search, slot = int(field.search[at]), int(field.slot[at])
            request, entry = self._requests[search], self._snapshot.entries[slot]
            if len(near[search]) >= request.most_near_misses or (search, slot) in seen:
                continue
            seen.add((search, slot))
            [criterion] = failed(int(field.failed[at]))
            near[search].append(
                NearMiss(
                    service_id=entry.always["service_id"],
                    name=entry.name,
                    service_type=entry.service_type,
                    distance_km=round(float(field.metres[at]) / METRES, 2),
                    failed=criterion,
                    why=_said(self._snapshot, entry, criterion, request, self._asked.distances[search].km),
                )
            )
        return near

    def _departments(self) -> list[list[int]]:
        """For each search, places of the emergency departments within the national distance, nearest first."""
        departments: list[list[int]] = [[] for _ in self._requests]
        field = self._field
        near = np.flatnonzero(
            (field.choice == PROPOSAL) & (field.metres <= NATIONAL_KM * METRES)
        )  # a square has corners
        by = (self._snapshot.columns.place_of_id[field.slot[near]], field.metres[near])
        for at in near[np.lexsort(by)].tolist():
            departments[field.search[at]].append(at)
        return departments

    def _proposed(self, departments: Sequence[int]) -> Candidate | None:
        """The nearest emergency department, whatever its capacity.

        One that is open and takes such a patient goes before one that does not. If there is none, the nearest is given
        all the same, and says what speaks against it: a person decides.
        """
        if not departments:
            return None
        fit = [at for at in departments if self._field.failed[at] & AGAINST & ~BITS["capacity"] == 0]
        return self._department(fit[0] if fit else departments[0], "nearest emergency department")

    def _catch_all(self, departments: Sequence[int]) -> tuple[Candidate, ...]:
        return tuple(
            self._department(at, f"catch-all: {_nth(number)} emergency department", suffix=" (Catch-all)")
            for number, at in enumerate(departments[:MOST_CATCH_ALL])
        )

    def _department(self, at: int, how: str, *, suffix: str = "") -> Candidate:
        entry, request = self._of(self._field, at)
        against = "".join(
            f"; {_said(self._snapshot, entry, criterion, request, NATIONAL_KM)}"
            for criterion in failed(int(self._field.failed[at]) & AGAINST)
        )
        km = float(self._field.metres[at]) / METRES
        return self._candidate(self._field, at, f"{how}, {km:.1f} km{against}", suffix=suffix)


AGAINST = BITS["gender"] | BITS["age"] | BITS["opening hours"] | BITS["capacity"]
"""What may speak against an emergency department. Codes, areas and surgeries do not."""


def explain(snapshot: Snapshot, request: SearchRequest, service_id: str) -> Explained | None:
    """Of any service its place and why, or every criterion that excludes it; None where there is no such service."""
    entry = snapshot.entry(service_id)
    if entry is None:
        return None
    explained = Search(snapshot, [request._replace(wanted=(service_id,), in_order=True, said_of=())]).explained()
    if request.wanted is not None and not {service_id, entry.service_type} & set(request.wanted):
        why = f"its type, {_type_name(entry.service_type)}, is not among those that are searched"
        excluded = (Exclusion("service type", why), *explained.excluded)
        return Explained(None, "; ".join(one.why for one in excluded), excluded)
    if explained.excluded:
        return explained
    found = Search(snapshot, [request])
    [ranked] = found.ranked()
    for place, candidate in enumerate(ranked.candidates, 1):
        if candidate.service_id == service_id:
            return Explained(place, candidate.why)
    before, alike = found.standing(service_id)
    most = 1 if entry.service_type in snapshot.rules.one_of_a_type else BEST_OF_A_TYPE
    if before < most:
        return Explained(None, f"it is suitable, but {MOST_CANDIDATES} others go before it")
    return Explained(None, f"it is suitable, no. {before + 1} of {alike} of its type: the best {most} are taken")


def _opens_in_session(snapshot: Snapshot, entry: Entry, request: SearchRequest) -> datetime | None:
    """When it is open for the first time in the session of a search."""
    by = request.at + timedelta(minutes=session_minutes(request.minutes))
    return snapshot.registers.timetable_of(entry).opens(request.at, by)


def _said(snapshot: Snapshot, entry: Entry, criterion: Criterion, request: SearchRequest, km: float) -> str:
    """In words, how a service fails a criterion of a search that goes so far."""
    needs = request.needs
    match criterion:
        case "active":
            return "it is no longer listed"
        case "distance":
            return f"it is outside the search square, {km:g} km to each side"
        case "symptom group":
            asked = needs.symptom_group if needs else None
            return f"it does not take symptom group {asked}" if asked else "the search has no symptom group"
        case "gender":
            unknown = ", and the patient's is not known" if request.gender == "unknown" else ""
            return f"it takes patients of gender {' or '.join(entry.genders)}{unknown}"
        case "surgery":
            unknown = ", and the patient's is not known" if request.surgery is None else ""
            return f"it takes only patients of the surgeries that commission it{unknown}"
        case "capacity":
            since = entry.reported and f", since {entry.reported.reported_at.astimezone(LONDON):%H:%M on %d %B}"
            return f"it reports that it is full (red){since or ''}"
        case "symptom discriminator":
            met = {code for group, codes in entry.clinical.symptom_groups for code in codes}
            lacking = [code for code in needs.discriminators if code not in met] if needs else []
            return f"it cannot meet {' and '.join(lacking) or 'them all in one'}"
        case "disposition":
            return f"it does not take disposition {needs.disposition if needs else None}"
        case "referral role":
            return f"it takes no referrals from the role {request.referral_role}"
        case "age":
            unknown = ", and the patient's age is not known" if request.age is None else ""
            return f"it takes patients {_ages(entry)}{unknown}"
        case "opening hours":
            return _closed(snapshot, entry, request)
        case "only if open":
            within = f", nor within {entry.open_within} minutes" if entry.open_within else ""
            return f"it is offered only while it is open, and is not open now{within}"
        case "area":
            return f"it serves only {' and '.join(entry.territory.limited_to)}"


def _closed(snapshot: Snapshot, entry: Entry, request: SearchRequest) -> str:
    spell = snapshot.registers.timetable_of(entry).at(request.at)
    if spell.is_open and spell.ends is not None:
        return f"it closes at {spell.ends.astimezone(LONDON):%H:%M}, too soon"
    by = request.at + timedelta(minutes=session_minutes(request.minutes))
    return f"it is closed now, and until after {by.astimezone(LONDON):%H:%M}"


def _ages(entry: Entry) -> str:
    youngest, oldest = entry.ages
    words = [f"from {youngest.value} {youngest.unit}"] if youngest else []
    return " ".join([*words, f"to {oldest.value} {oldest.unit}"] if oldest else words)


def _type_name(service_type: int) -> str:
    return SERVICE_TYPES.get(service_type, f"service of type {service_type}")


def _nth(before: int) -> str:
    return ORDINALS[before] if before < len(ORDINALS) else f"no. {before + 1} nearest"
