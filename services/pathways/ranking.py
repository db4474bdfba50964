"""Ranking: which services could take a patient, in which order, and why.

The search follows the published one of the Directory of Services (nhsd-a2si/docs-dos-api), in part. Active, inside the
search square and of a type that triage finds fit come first; then age, gender, opening hours and capacity, where a
service that fails exactly one is a near miss; then distance, and the best two of a type. Local ranks, promotions,
areas, the patient's own surgery and road distances are not here. Another way to rank replaces this module, and nothing
else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from contracts.brief import Brief
from contracts.directory import EMERGENCY_DEPARTMENT, SERVICE_TYPES, Service
from contracts.placements import Candidate, NearMiss
from contracts.submissions import AcceptedService, AcceptedType
from services.pathways.index import Entry, Found, Snapshot, Square
from services.pathways.opening_hours import LONDON

SEARCH_KM = 60.0
"""Half the side of the search square: the national default of the Directory of Services."""

STAYS_OPEN = timedelta(minutes=30)
"""A service must not close sooner than this (Directory of Services)."""

BEST_OF_A_TYPE = 2
MOST_CANDIDATES = 50
MOST_NEAR_MISSES = 5

ORDINALS = ("nearest", "second nearest", "third nearest")

Criterion = Literal["active", "distance", "age", "gender", "opening hours", "capacity"]


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a search found."""

    candidates: tuple[Candidate, ...]
    near_misses: tuple[NearMiss, ...]
    catch_all: Candidate | None
    """The nearest emergency department: to be proposed, whether it is a candidate or not."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What each service is compared with."""

    square: Square
    search_km: float
    age_in_days: float | None
    gender: str
    now: datetime


def candidates(directory: Snapshot, brief: Brief, now: datetime, search_km: float = SEARCH_KM) -> Ranked:
    """Who could take the patient at `now` (UTC): only what is accepted and what triage finds fit.

    In the sender's order, or in triage's where any type is accepted; then by distance. A service that the sender names
    counts where triage finds its type fit, beside the two of a type. Where a clinician decides there is no candidate,
    only the emergency department to propose.
    """
    asked = _Asked(
        square=Square.around(brief.position, search_km),
        search_km=search_km,
        age_in_days=None if brief.age is None else brief.age.in_days,
        gender=brief.gender,
        now=now,
    )
    fit = () if brief.to_clinician else brief.service_types
    wishes: Sequence[AcceptedService | AcceptedType]
    wishes = [AcceptedType(service_type=one) for one in fit] if brief.accept == "any" else brief.accept
    taken: dict[str, Candidate] = {}
    missed: dict[str, tuple[Found, Criterion]] = {}
    searched: dict[int, list[Found]] = {}
    for choice, wish in enumerate(wishes, 1):
        if named := isinstance(wish, AcceptedService):
            one = directory.named(wish.service, brief.position)
            if one is None or one.entry.service.service_type not in fit:
                continue
            considered, service_type = [one], one.entry.service.service_type
        else:
            service_type = wish.service_type
            if service_type not in fit or service_type in searched:
                continue
            considered = searched[service_type] = directory.nearest(service_type, brief.position, asked.square)
        place = f"type {fit.index(service_type) + 1} of {len(fit)} that triage finds fit"
        if brief.accept != "any":
            place = f"choice {choice} of {len(wishes)} of the sender, {place}"
        suitable = chosen = 0
        for found in considered:
            failed = _failed(found.entry, asked, was_named=named)
            if len(failed) == 1:
                missed[found.service_id] = found, failed[0]
            if failed:
                continue
            suitable += 1
            if chosen < BEST_OF_A_TYPE and found.service_id not in taken:
                chosen += 1
                km = found.distance_km
                how = "named by the sender" if named else f"{_nth(suitable)} suitable open {_type_name(service_type)}"
                taken[found.service_id] = _candidate(found, km, now, f"{how}, {km:.1f} km; {place}")
    departments = searched.get(EMERGENCY_DEPARTMENT)
    if departments is None:
        departments = directory.nearest(EMERGENCY_DEPARTMENT, brief.position, asked.square)
    return Ranked(
        candidates=tuple(taken.values())[:MOST_CANDIDATES],
        near_misses=tuple(_near_miss(*one, asked) for one in sorted(missed.values())[:MOST_NEAR_MISSES]),
        catch_all=_catch_all(departments, asked),
    )


def _failed(entry: Entry, asked: _Asked, *, was_named: bool = False) -> list[Criterion]:
    """The criteria that a service fails. One that was named may be delisted, or anywhere; of a type, it is not."""
    failed: list[Criterion] = []
    if was_named:
        if not entry.service.active:
            failed.append("active")
        if not asked.square.holds(entry.service.position):
            failed.append("distance")
    age = asked.age_in_days
    if entry.limits_age and (age is None or not entry.youngest <= age < entry.too_old):
        failed.append("age")
    if entry.genders and asked.gender not in entry.genders:
        failed.append("gender")
    spell = entry.timetable.at(asked.now)
    if not spell.is_open or (spell.ends is not None and spell.ends < asked.now + STAYS_OPEN):
        failed.append("opening hours")
    if entry.capacity_at(asked.now) == "red":
        failed.append("capacity")
    return failed


def _catch_all(departments: Sequence[Found], asked: _Asked) -> Candidate | None:
    """The nearest emergency department within the search distance, whatever its capacity.

    One that is open and takes such a patient goes before one that does not. If there is none, the nearest is given all
    the same, and says what speaks against it: a person decides.
    """
    nearest: tuple[Found, list[Criterion]] | None = None
    for found in departments:
        if found.distance_km > asked.search_km:  # the square has corners
            break
        failed = _failed(found.entry, asked)
        if not failed or failed == ["capacity"]:
            nearest = found, failed
            break
        nearest = nearest or (found, failed)
    if nearest is None:
        return None
    found, failed = nearest
    against = "".join(f"; {_said(found.entry, criterion, asked)}" for criterion in failed)
    km = found.distance_km
    return _candidate(found, km, asked.now, f"nearest emergency department, {km:.1f} km{against}")


def _candidate(found: Found, km: float, now: datetime, why: str) -> Candidate:
    entry = found.entry
    spell = entry.timetable.at(now)
    capacity = entry.capacity_at(now)
    return Candidate(
        **entry.always,
        distance_km=round(km, 2),
        open_until=spell.ends if spell.is_open else None,
        # A candidate is never red; where an emergency department is proposed all the same, its reason says so.
        capacity="unknown" if capacity == "red" else capacity,
        why=why,
    )


def _near_miss(found: Found, criterion: Criterion, asked: _Asked) -> NearMiss:
    service = found.entry.service
    return NearMiss(
        service_id=service.service_id,
        name=service.name,
        service_type=service.service_type,
        distance_km=round(found.distance_km, 2),
        failed=criterion,
        why=_said(found.entry, criterion, asked),
    )


def _said(entry: Entry, criterion: Criterion, asked: _Asked) -> str:
    """In words, how a service fails a criterion."""
    match criterion:
        case "active":
            return "it is no longer listed"
        case "distance":
            return f"it is outside the search square, {asked.search_km:g} km to each side"
        case "age":
            unknown = ", and the patient's age is not known" if asked.age_in_days is None else ""
            return f"it takes patients {_ages(entry.service)}{unknown}"
        case "gender":
            unknown = ", and the patient's is not known" if asked.gender == "unknown" else ""
            return f"it takes patients of gender {' or '.join(entry.service.genders)}{unknown}"
        case "opening hours":
            spell = entry.timetable.at(asked.now)
            if not spell.is_open or spell.ends is None:
                return "it is closed now"
            return f"it closes at {spell.ends.astimezone(LONDON):%H:%M}, too soon"
        case "capacity":
            since = entry.reported and f", since {entry.reported.reported_at.astimezone(LONDON):%H:%M on %d %B}"
            return f"it reports that it is full (red){since or ''}"


def _ages(service: Service) -> str:
    youngest, oldest = service.age_from, service.age_until
    words = [f"from {youngest.value} {youngest.unit}"] if youngest else []
    return " ".join([*words, f"to {oldest.value} {oldest.unit}"] if oldest else words)


def _type_name(service_type: int) -> str:
    return SERVICE_TYPES.get(service_type, f"service of type {service_type}")


def _nth(number: int) -> str:
    return ORDINALS[number - 1] if number <= len(ORDINALS) else f"no. {number} nearest"
