"""The search: who could take a patient, in which order, and why; and of any service why it is, or is not, among them.

It follows the published search of the Directory of Services (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5).
Where that leaves room, `docs/decisions/pathways-search.md` says how it is read.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np

from contracts.directory import SERVICE_TYPES
from contracts.people import Position
from contracts.placements import Candidate, NearMiss
from services.chassis.lean import lean
from services.pathways.columns import Numbers
from services.pathways.criteria import BITS, Criterion, failed
from services.pathways.filters import (
    METRES,
    PROPOSAL,
    Field,
    asked_of,
    field_of,
    session_minutes,
    suitable_of,
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
    first_of_each,
    foremost,
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

LeanCandidate, LeanNearMiss = lean(Candidate), lean(NearMiss)

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


class Place(NamedTuple):
    """Who stands at a place of a search, without a word about it."""

    service_id: str
    metres: float


def places_of_many(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> list[list[Place]]:
    """Of many searches together the candidates alone, in order: no reasons, near misses or proposals."""
    places: list[list[Place]] = [[] for _ in requests]
    if not requests:
        return places
    asked = asked_of(snapshot, requests)
    found = suitable_of(snapshot, requests, asked)
    grades = grades_of(snapshot, requests, asked, found)
    front = foremost(snapshot, requests, found, grades)
    found = found.where(front)
    found = found.where(ordered(snapshot, found, grades.where(front)))
    found = found.where(taken(snapshot, requests, found))
    entries = snapshot.entries
    for search, slot, metres in zip(found.search.tolist(), found.slot.tolist(), found.metres.tolist(), strict=True):
        of_search = places[search]
        if len(of_search) < MOST_CANDIDATES:
            of_search.append(Place(entries[slot].always["service_id"], metres))
    return places


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
        found, grades = self._graded(journeys)
        front = foremost(self._snapshot, requests, found, grades)
        order = front[ordered(self._snapshot, found.where(front), grades.where(front))]
        places = order[taken(self._snapshot, requests, found.where(order))]
        nearer = nearness(self._snapshot, found)
        for search, choice, slot, metres, *standing in zip(
            *(column[places].tolist() for column in (found.search, found.choice, found.slot, found.metres)),
            *(column[places].tolist() for column in (nearer, grades.tie, grades.elsewhere, grades.rank)),
            strict=True,
        ):
            of_search = candidates[search]
            if len(of_search) < MOST_CANDIDATES:
                request, hours = requests[search], self._hours(slot, requests[search])
                why = self._why(self._snapshot.entries[slot], request, choice, metres, hours, Standing(*standing))
                of_search.append(self._candidate(slot, request, metres, hours, why))
        near_misses = self._near_misses()
        departments, proposed = self._departments()
        return [
            Ranked(
                candidates=tuple(candidates[one]),
                near_misses=tuple(near_misses[one]),
                proposed=self._department(proposed[one], "nearest emergency department") if one in proposed else None,
                catch_all=() if candidates[one] else self._catch_all(departments.get(one, ())),
                distance=self._asked.distances[one],
            )
            for one in range(len(requests))
        ]

    def _graded(self, journeys: Sequence[Journeys | None] | None) -> tuple[Field, Grades]:
        found = self._found if journeys is None else by_road(self._shortlisted, journeys)
        return found, grades_of(self._snapshot, self._requests, self._asked, found)

    def explained(self) -> Explained:
        """Of the one service that the one search named: what excludes it, or that it would be a candidate."""
        [at] = np.flatnonzero(self._field.choice != PROPOSAL).tolist()
        slot, km = int(self._field.slot[at]), self._asked.distances[0].km
        excluded = tuple(
            Exclusion(one, _said(self._snapshot, slot, one, self._requests[0], km))
            for one in failed(int(self._field.failed[at]))
        )
        return Explained(None, "; ".join(one.why for one in excluded), excluded)

    def standing(self, service_id: str) -> tuple[int, int]:
        """Of one that the one search found: how many of its type go before it, and how many of its type there are."""
        found, grades = self._graded(None)
        slots = found.slot[ordered(self._snapshot, found, grades)]
        slot = self._snapshot.slot(service_id)
        types = self._snapshot.columns.service_type
        alike = slots[types[slots] == types[slot]].tolist()
        return alike.index(slot), len(alike)

    # What is said of each

    def _hours(self, slot: int, request: SearchRequest) -> "Hours":
        timetable = self._snapshot.timetable(slot)
        spell = timetable.at(request.at)
        if spell.is_open:
            return Hours(True, None, spell.ends)
        opens_at = timetable.opens(request.at, _session_ends(request))
        return Hours(False, opens_at, None if opens_at is None else timetable.at(opens_at).ends)

    def _candidate(
        self, slot: int, request: SearchRequest, metres: float, hours: "Hours", why: str, *, suffix: str = ""
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

    def _why(
        self, entry: Entry, request: SearchRequest, choice: int, metres: float, hours: "Hours", standing: "Standing"
    ) -> str:
        if request.in_order and request.wanted is not None and isinstance(request.wanted[choice], str):
            why = "named by the sender"
        else:
            is_open = "open " if hours.is_open else ""
            why = f"{_nth(standing.nearer)} suitable {is_open}{_type_name(entry.service_type)}"
        why = f"{why}, {metres / METRES:.1f} km"
        if standing.tie == OWN_SURGERY:
            why += ", the patient's own surgery"
        elif standing.tie in (COMMISSIONED, COMMISSIONED_RESTRICTED):
            why += ", commissioned by the patient's surgery"
        if standing.elsewhere:
            why += ", promoted to another area"
        if entry.capacity_at(request.at) == "red":  # found all the same, so the patient waits
            why += f", and {_full(entry)}"
        if request.said_of:
            return f"{why}; {request.said_of[choice]}"
        if not request.in_order:
            whose, ranks = self._snapshot.rules.ranks.of(request.area)
            return f"{why}; rank {standing.rank} of its type ({whose})" if ranks else why
        return why

    def _near_misses(self) -> list[list[NearMiss]]:
        near: list[list[NearMiss]] = [[] for _ in self._requests]
        seen: set[tuple[int, int]] = set()
        field = self._field
        places = nearest_failing_one(self._snapshot, self._requests, field)
        columns = (field.search, field.slot, field.metres, field.failed)
        for search, slot, metres, bits in zip(*(column[places].tolist() for column in columns), strict=True):
            request = self._requests[search]
            if len(near[search]) >= request.most_near_misses or (search, slot) in seen:
                continue
            seen.add((search, slot))
            near[search].append(self._near_miss(slot, request, metres, bits, self._asked.distances[search].km))
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
            why=_said(self._snapshot, slot, criterion, request, km),
        )

    def _departments(self) -> tuple[dict[int, Numbers], dict[int, int]]:
        """By search: the places of the nearest emergency departments, and of the one to propose.

        One that is open and takes such a patient is proposed before one that does not, whatever its capacity. If none
        is, the nearest is proposed all the same, and says what speaks against it: a person decides.
        """
        field = self._field
        near = np.flatnonzero(
            (field.choice == PROPOSAL) & (field.metres <= NATIONAL_KM * METRES)
        )  # a square has corners
        near = near[np.lexsort((self._snapshot.columns.place_of_id[field.slot[near]], field.metres[near]))]
        fit = near[field.failed[near] & AGAINST & ~BITS["capacity"] == 0]
        nearest = first_of_each(field.search[near], MOST_CATCH_ALL)
        proposed = {search: int(near[at[0]]) for search, at in nearest.items()}
        proposed |= {search: int(fit[at[0]]) for search, at in first_of_each(field.search[fit], 1).items()}
        return {search: near[at] for search, at in nearest.items()}, proposed

    def _catch_all(self, departments: Iterable[int]) -> tuple[Candidate, ...]:
        return tuple(
            self._department(at, f"catch-all: {_nth(number)} emergency department", suffix=" (Catch-all)")
            for number, at in enumerate(departments)
        )

    def _department(self, at: int, how: str, *, suffix: str = "") -> Candidate:
        search, slot = int(self._field.search[at]), int(self._field.slot[at])
        request, metres = self._requests[search], float(self._field.metres[at])
        against = "".join(
            f"; {_said(self._snapshot, slot, criterion, request, NATIONAL_KM)}"
            for criterion in failed(int(self._field.failed[at]) & AGAINST)
        )
        why = f"{how}, {metres / METRES:.1f} km{against}"
        return self._candidate(slot, request, metres, self._hours(slot, request), why, suffix=suffix)


AGAINST = BITS["gender"] | BITS["age"] | BITS["opening hours"] | BITS["capacity"] | BITS["left out"]
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


class Hours(NamedTuple):
    """What is said of a service's hours."""

    is_open: bool
    opens_at: datetime | None
    """In the session of the search, where it is not open yet."""
    open_until: datetime | None


class Standing(NamedTuple):
    """What put a candidate at its place."""

    nearer: int
    """How many suitable ones of its type are nearer."""
    tie: int
    elsewhere: int
    rank: int


def _session_ends(request: SearchRequest) -> datetime:
    return request.at + timedelta(minutes=session_minutes(request.minutes))


def _said(snapshot: Snapshot, slot: int, criterion: Criterion, request: SearchRequest, km: float) -> str:
    """In words, how a service fails a criterion of a search that goes so far."""
    entry, needs = snapshot.entries[slot], request.needs
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
            return _full(entry)
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
            return f"it takes patients {ages_in_words(entry)}{unknown}"
        case "opening hours":
            return _closed(snapshot, slot, request)
        case "only if open":
            within = f", nor within {entry.open_within} minutes" if entry.open_within else ""
            return f"it is offered only while it is open, and is not open now{within}"
        case "area":
            return f"it serves only {' and '.join(entry.territory.limited_to)}"
        case "left out":
            return "it is not asked again: it would not take the patient, took its place back, or is to be left"


def _full(entry: Entry) -> str:
    since = entry.reported and f", since {entry.reported.reported_at.astimezone(LONDON):%H:%M on %d %B}"
    return f"it reports that it is full (red){since or ''}"


def _closed(snapshot: Snapshot, slot: int, request: SearchRequest) -> str:
    spell = snapshot.timetable(slot).at(request.at)
    if spell.is_open and spell.ends is not None:
        return f"it closes at {spell.ends.astimezone(LONDON):%H:%M}, too soon"
    return f"it is closed now, and until after {_session_ends(request).astimezone(LONDON):%H:%M}"


def ages_in_words(entry: Entry) -> str:
    """Whom a service takes by age; it must take only some."""
    youngest, oldest = entry.ages
    words = [f"from {youngest.value} {youngest.unit}"] if youngest else []
    return " ".join([*words, f"to {oldest.value} {oldest.unit}"] if oldest else words)


def _type_name(service_type: int) -> str:
    return SERVICE_TYPES.get(service_type, f"service of type {service_type}")


def _nth(before: int) -> str:
    return ORDINALS[before] if before < len(ORDINALS) else f"no. {before + 1} nearest"
