"""The search once more, as plainly as it can be said: no index, one loop over all services, every rule written out.

It shares nothing with services/pathways but the contracts. It is slow on purpose: `test_pathways_exactness.py` holds
the index against it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from math import asin, cos, pi, radians, sin, sqrt
from zoneinfo import ZoneInfo

from contracts.directory import CapacityReportedData, OpeningHours, Service
from contracts.people import Age, Position

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RADIUS_KM = 6371.0088
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Site:
    """What a site decides about searching."""

    holidays: frozenset[date] = frozenset()
    distances: Mapping[str, float] = field(default_factory=dict)
    national_ranks: Mapping[int, int] = field(default_factory=dict)
    local_authority_ranks: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    commissioner_ranks: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    unknown_adds_km: float = 0.0
    amber_adds_km: float = 0.0


@dataclass(frozen=True)
class Query:
    """What is asked."""

    position: Position
    at: datetime
    ages: tuple[float, float] | None
    """Youngest and oldest, in days."""
    gender: str
    asks_codes: bool
    symptom_group: str | None
    discriminators: tuple[str, ...]
    disposition: str | None
    minutes: int | None
    surgery: str | None
    role: str | None
    postcode: tuple[str, str, str] | None
    """Whole, its sector, its district."""
    local_authority: str | None
    commissioner: str | None
    km: float | None
    forced: bool
    wanted: tuple[int | str, ...] | None
    in_order: bool
    without: tuple[str, ...]
    full_too: bool


@dataclass
class Answer:
    """What is found."""

    candidates: list[tuple[str, float]]
    """Ids and kilometres."""
    near_misses: list[tuple[str, str]]
    """Ids and the criterion that each fails, nearest first."""
    proposed: str | None
    catch_all: list[str]
    failed: dict[str, set[str]]
    """Of every service in the directory."""
    keys: list[tuple[object, ...]]
    """Of all that pass, in order: choice, elsewhere, rank, tie, metres, id; and the metres without capacity."""


def search(
    services: Sequence[Service], reports: Mapping[str, CapacityReportedData], query: Query, site: Site
) -> Answer:
    """Look at every service, one by one."""
    km = distance(query, site)
    failed = {one.service_id: set(failures(one, reports.get(one.service_id), query, site, km)) for one in services}
    found: list[tuple[tuple[object, ...], Service]] = []
    nearly: dict[str, tuple[int, str, str]] = {}
    for one in services:
        for choice, named in choices(one, query):
            wrong = failed[one.service_id]
            if not wrong:
                found.append((key(one, reports.get(one.service_id), query, site, choice), one))
            if len(wrong) == 1 and (named or not wrong & {"active", "distance", "symptom group", "gender", "surgery"}):
                nearly[one.service_id] = metres(query.position, one.position), one.service_id, *wrong
    found.sort(key=lambda pair: pair[0])
    taken: list[tuple[object, Service]] = []
    for keys, one in found:
        choice = keys[0]
        alike = [other for number, other in taken if number == choice and other.service_type == one.service_type]
        best = 1 if one.service_type in (138, 100, 133, 130, 137, 139) else 2
        if len(alike) < best and one not in [other for _, other in taken]:
            taken.append((choice, one))
    departments = sorted(
        (metres(query.position, one.position), one.service_id)
        for one in services
        if one.service_type == 105
        and one.active
        and inside(query.position, one.position, 60)
        and metres(query.position, one.position) <= 60_000
    )
    ids = [service_id for _, service_id in departments]
    fit = [one for one in ids if not failed[one] & {"gender", "age", "opening hours", "left out"}]
    return Answer(
        candidates=[(one.service_id, round(metres(query.position, one.position) / 1000, 2)) for _, one in taken],
        near_misses=[(service_id, criterion) for _, service_id, criterion in sorted(nearly.values())[:5]],
        proposed=next(iter(fit + ids), None),
        catch_all=[] if taken else ids[:2],
        failed=failed,
        keys=[keys for keys, _ in found],
    )


def choices(service: Service, query: Query) -> Iterator[tuple[int, bool]]:
    """For which of what is wanted a service is looked at, and whether it was named."""
    if query.wanted is None:
        yield 0, False
        return
    types: set[int] = set()
    for number, one in enumerate(query.wanted):
        if one == service.service_id:
            yield (number if query.in_order else 0), True
        if isinstance(one, int) and one == service.service_type and one not in types:
            types.add(one)
            yield (number if query.in_order else 0), False


def key(
    service: Service, report: CapacityReportedData | None, query: Query, site: Site, choice: int
) -> tuple[object, ...]:
    """What decides its place, the first first."""
    areas = {query.local_authority, query.commissioner} - {None}
    elsewhere = bool(query.commissioner and service.promoted_to and not areas & set(service.promoted_to))
    ranks = site.national_ranks
    if query.commissioner in site.commissioner_ranks:
        ranks = site.commissioner_ranks[query.commissioner or ""]
    if query.local_authority in site.local_authority_ranks:
        ranks = site.local_authority_ranks[query.local_authority or ""]
    tie = 3
    if query.surgery is not None and query.surgery in service.commissioned_by:
        tie = 1 if service.restricted else 2
    if query.surgery == service.organisation:
        tie = 0
    plain = metres(query.position, service.position)
    adds = 0.0
    if report is None or (report.resets_at is not None and report.resets_at <= query.at):
        adds = site.unknown_adds_km * 1000
    elif report.capacity == "amber":
        adds = site.amber_adds_km * 1000
    return choice, elsewhere, ranks.get(service.service_type, 10), tie, plain + adds, service.service_id, plain


def distance(query: Query, site: Site) -> float:
    """How far to search."""
    if query.forced and query.km is not None:
        return query.km
    for code in query.postcode or ():
        if code in site.distances:
            return site.distances[code]
    return 60.0 if query.km is None else query.km


def failures(
    service: Service, report: CapacityReportedData | None, query: Query, site: Site, km: float
) -> Iterator[str]:
    """Every criterion that a service fails."""
    if not service.active:
        yield "active"
    if not inside(query.position, service.position, km):
        yield "distance"
    groups = [group for group in service.symptom_groups if group.code == query.symptom_group]
    if query.asks_codes and (query.symptom_group is None or (service.symptom_groups and not groups)):
        yield "symptom group"
    if service.genders and query.gender not in service.genders:
        yield "gender"
    if service.restricted and service.commissioned_by and query.surgery not in service.commissioned_by:
        yield "surgery"
    red = report is not None and report.capacity == "red" and (report.resets_at is None or query.at < report.resets_at)
    if red and not query.full_too:
        yield "capacity"
    if query.asks_codes and groups:
        missing = [code for code in query.discriminators if code not in groups[0].discriminators]
        if groups[0].discriminators and missing:
            yield "symptom discriminator"
    if (
        query.asks_codes
        and query.disposition
        and service.dispositions
        and query.disposition not in service.dispositions
    ):
        yield "disposition"
    if query.role and service.referral_roles and query.role not in service.referral_roles:
        yield "referral role"
    if not takes_age(service, query.ages):
        yield "age"
    minutes = query.minutes or 0
    session = 60 if minutes == 0 else 30 if minutes <= 30 else minutes if minutes <= 60 else minutes - 60
    opens, closes = next_open(service.hours, site.holidays, query.at, query.at + session * MINUTE)
    closing = opens == query.at and closes is not None and closes < query.at + 30 * MINUTE
    if opens is None or closing:
        yield "opening hours"
    soon = service.only_if_open_within_minutes
    if soon is not None and next_open(service.hours, site.holidays, query.at, query.at + soon * MINUTE)[0] is None:
        yield "only if open"
    areas = {query.local_authority, query.commissioner}
    if query.commissioner is not None and service.limited_to and not areas & set(service.limited_to):
        yield "area"
    if service.service_id in query.without:
        yield "left out"


def takes_age(service: Service, ages: tuple[float, float] | None) -> bool:
    """Whether a service takes anyone of these ages; an unknown age is taken where there is no limit."""
    if service.age_from is None and service.age_until is None:
        return True
    if ages is None:
        return False
    days = {"days": 1.0, "months": 30.4375, "years": 365.25}
    youngest, oldest = ages
    if service.age_from is not None and oldest < service.age_from.value * days[service.age_from.unit]:
        return False
    until: Age | None = service.age_until
    return until is None or youngest < until.value * days[until.unit] + days[until.unit]


def inside(centre: Position, place: Position, km: float) -> bool:
    """Whether a place is in the square around a centre whose sides are so far away."""
    side = km / RADIUS_KM * 180 / pi
    north = abs(place.latitude - centre.latitude)
    east = abs(place.longitude - centre.longitude) * cos(radians(centre.latitude))
    return north <= side and east <= side


def metres(one: Position, other: Position) -> int:
    """Great-circle distance by the haversine formula."""
    north = radians(other.latitude - one.latitude)
    east = radians(other.longitude - one.longitude)
    square = sin(north / 2) ** 2 + cos(radians(one.latitude)) * cos(radians(other.latitude)) * sin(east / 2) ** 2
    return round(2 * RADIUS_KM * 1000 * asin(min(1.0, sqrt(square))))


def next_open(
    hours: OpeningHours, holidays: frozenset[date], now: datetime, by: datetime
) -> tuple[datetime | None, datetime | None]:
    """When it is open for the first time from `now` to `by`, both included, and until when."""
    first = now.astimezone(LONDON).date() - 2 * DAY
    last = by.astimezone(LONDON).date() + 2 * DAY
    periods = [
        period
        for number in range((last - first).days + 1)
        for period in periods_of(hours, holidays, first + number * DAY)
    ]
    begins = [now if opens <= now else opens for opens, closes in periods if opens <= by and closes > max(now, opens)]
    if not begins:
        return None, None
    opens = until = min(begins)
    while longer := [closes for begin, closes in periods if begin <= until < closes]:
        until = max(longer)
    return opens, until


def periods_of(hours: OpeningHours, holidays: frozenset[date], day: date) -> list[tuple[datetime, datetime]]:
    """The periods that begin on a day. One ends at midnight where the next day has more specific hours."""

    def special(one: date) -> int:
        if one in [entry.on for entry in hours.dates]:
            return 3
        if hours.always:
            return 2
        return 1 if one in holidays and hours.public_holidays is not None else 0

    kind = special(day)
    if kind == 3:
        clocks = [period for entry in hours.dates if entry.on == day for period in entry.periods]
    elif kind == 2:
        clocks = [("00:00", "24:00")]
    elif kind == 1:
        clocks = list(hours.public_holidays or ())
    else:
        clocks = [(one.opens, one.closes) for one in hours.periods if DAYS[day.weekday()] in one.days]
    periods = []
    for opens, closes in clocks:
        begins = shown(day, opens)
        ends = shown(day + DAY if closes < opens else day, closes)
        if special(day + DAY) > kind:
            ends = min(ends, shown(day + DAY, "00:00"))
        periods.append((begins, ends))
    return periods


LONDON = ZoneInfo("Europe/London")


@cache
def shown(day: date, clock: str) -> datetime:
    """The first minute of a day at which London's clock shows this time or a later one, by walking along it."""
    if clock == "24:00":
        day, clock = day + DAY, "00:00"
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=1)
    # By the hour while it is surely too early, then by the minute.
    while f"{(instant + timedelta(hours=2)).astimezone(LONDON):%Y-%m-%d %H:%M}" < f"{day} {clock}":
        instant += timedelta(hours=1)
    while f"{instant.astimezone(LONDON):%Y-%m-%d %H:%M}" < f"{day} {clock}":
        instant += MINUTE
    return instant
