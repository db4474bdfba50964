"""Reasons: why a service is a candidate, and at its place, or what excludes it; in words."""

from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.directory import SERVICE_TYPES
from contracts.opening_hours import LONDON
from services.pathways.asked import session_minutes
from services.pathways.criteria import COMMISSIONED, COMMISSIONED_RESTRICTED, OTHER, OWN_SURGERY, Criterion
from services.pathways.entries import Entry
from services.pathways.globe import METRES
from services.pathways.index import Snapshot
from services.pathways.request import SearchRequest

ORDINALS = ("nearest", "second nearest", "third nearest")


class Hours(NamedTuple):
    """What is said of a service's hours."""

    is_open: bool
    opens_at: datetime | None
    """In the session of the search, where it is not open yet."""
    open_until: datetime | None


class Standing(NamedTuple):
    """What put a candidate at its place."""

    choice: int
    metres: float
    nearer: int
    """How many suitable ones of its type are nearer."""
    tie: int
    elsewhere: int
    rank: int


def hours_of(snapshot: Snapshot, slot: int, request: SearchRequest) -> Hours:
    """What is said of the hours of a service at the time of a search."""
    timetable = snapshot.timetable(slot)
    spell = timetable.at(request.at)
    if spell.is_open:
        return Hours(True, None, spell.ends)
    opens_at = timetable.opens(request.at, _session_ends(request))
    return Hours(False, opens_at, None if opens_at is None else timetable.at(opens_at).ends)


def why_there(snapshot: Snapshot, entry: Entry, request: SearchRequest, hours: Hours, standing: Standing) -> str:
    """Why a candidate stands at its place."""
    is_named = request.in_order and request.wanted is not None and isinstance(request.wanted[standing.choice], str)
    if is_named:
        why = "named by the sender"
    else:
        is_open = "open " if hours.is_open else ""
        why = f"{is_open}{type_name(entry.service_type)}"
        # What stands there for its tie may have many nearer ones before it, and those are not counted.
        why = f"suitable {why}" if standing.tie != OTHER else f"{nth(standing.nearer)} suitable {why}"
    why = f"{why}, {standing.metres / METRES:.1f} km"
    if standing.tie == OWN_SURGERY:
        why += ", the patient's own surgery"
    elif standing.tie in (COMMISSIONED, COMMISSIONED_RESTRICTED):
        why += ", commissioned by the patient's surgery"
    if standing.elsewhere:
        why += ", promoted to another area"
    if entry.capacity_at(request.at) == "red":  # found all the same, so the patient waits
        why += f", and {_full(entry)}"
    if request.said_of:
        return f"{why}; {request.said_of[standing.choice]}"
    if not request.in_order:
        whose, ranks = snapshot.rules.ranks.of(request.area)
        return f"{why}; rank {standing.rank} of its type ({whose})" if ranks else why
    return why


def why_not(snapshot: Snapshot, slot: int, criterion: Criterion, request: SearchRequest, km: float) -> str:
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


def type_name(service_type: int) -> str:
    """What people call a type of service."""
    return SERVICE_TYPES.get(service_type, f"service of type {service_type}")


def nth(before: int) -> str:
    """Which it is among the nearest, when so many are nearer."""
    return ORDINALS[before] if before < len(ORDINALS) else f"no. {before + 1} nearest"


def _session_ends(request: SearchRequest) -> datetime:
    return request.at + timedelta(minutes=session_minutes(request.minutes))
