"""Directories and searches to measure: of any size, on real geography, with every filter in use."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from contracts.directory import (
    CapacityReported,
    CapacityReportedData,
    Service,
    ServiceListed,
    ServiceListedData,
)
from contracts.people import Age, Gender
from services.chassis.public_holidays import public_holidays
from services.chassis.versioned_table import read_table
from services.pathways.codes import CodeTable
from services.pathways.index import Index
from services.pathways.invented import Codes, area, drawn_near, invented, surgery
from services.pathways.request import AgeSpan, Area, Needs, SearchRequest
from services.pathways.search_rules import SearchRules, Strategies
from services.pathways.settings import PathwaysSettings
from services.pathways.towns import Town, towns

MONDAY = datetime(2026, 1, 12, tzinfo=UTC)
DAYS = 9
"""Of opening hours that a database has written out: the week of the searches and what they look ahead."""
SETTINGS = PathwaysSettings()
CODES = read_table(SETTINGS.codes, CodeTable)
HOLIDAYS = public_holidays({})
CITIES = 12
VILLAGE = 20_000
"""People of a town that counts as rural; what is asked for lies some way out of it."""
GENDERS: tuple[Gender, ...] = ("female", "male")


def rules() -> SearchRules:
    """The shipped rules, with ranks of some local authorities."""
    shipped = read_table(SETTINGS.search_rules, SearchRules)
    random = Random(5)
    types = sorted(shipped.ranks.national)
    local = {area(random): {one: random.randint(1, 10) for one in types} for _ in range(10)}
    ranks = Strategies(national=shipped.ranks.national, local_authorities=local)
    return shipped.model_copy(update={"ranks": ranks})


def services_of(count: int) -> list[Service]:
    """So many services all over England."""
    return [one for one in invented(towns(), count, 1, Codes.of(CODES)) if isinstance(one, Service)]


def reports_on(services: Sequence[Service]) -> dict[str, CapacityReportedData]:
    """Of every second service a report, of any status; some run out in the week that is searched."""
    random = Random(2)
    reports: dict[str, CapacityReportedData] = {}
    for service in services[::2]:
        resets_at = MONDAY + timedelta(hours=random.uniform(1, 200)) if random.random() < 0.8 else None
        reports[service.service_id] = CapacityReportedData(
            version=1,
            service_id=service.service_id,
            capacity=random.choices(("green", "amber", "red"), (6, 3, 1))[0],
            reported_by=service.organisation,
            reported_at=MONDAY,
            resets_at=resets_at,
        )
    return reports


def index_of(services: Sequence[Service], reports: Mapping[str, CapacityReportedData]) -> Index:
    """An index that has read them."""
    index, none = Index(rules(), public_holidays=HOLIDAYS), UUID(int=1)
    index.apply(list(_events(services, reports, none)))
    return index


def _events(
    services: Sequence[Service], reports: Mapping[str, CapacityReportedData], id: UUID
) -> Iterator[ServiceListed | CapacityReported]:
    for service in services:
        listed = ServiceListedData(version=1, service=service)
        yield ServiceListed.first(listed, id=id, source="bench", subject=service.service_id, time=MONDAY)
    for report in reports.values():
        yield CapacityReported.first(report, id=id, source="bench", subject=report.service_id, time=MONDAY)


def dense() -> list[Town]:
    """The largest towns."""
    return sorted(towns(), key=lambda one: -one.population)[:CITIES]


def rural() -> list[Town]:
    """Small towns, far from others."""
    return [one for one in towns() if one.population < VILLAGE]


def searches(
    where: Sequence[Town], count: int, seed: int, organisations: Sequence[str], *, from_second: int | None
) -> list[SearchRequest]:
    """Searches for patients of all ages, with every filter; one second after another, or else all over the week."""
    random = Random(f"{seed}")
    people = [town.population for town in where]
    return [
        _search(
            random.choices(where, people)[0],
            MONDAY + timedelta(days=2, hours=15, seconds=from_second + number)
            if from_second is not None
            else MONDAY + timedelta(seconds=random.randrange(7 * 24 * 3600)),
            organisations,
            random,
        )
        for number in range(count)
    ]


def _search(where: Town, at: datetime, organisations: Sequence[str], random: Random) -> SearchRequest:
    group = random.choice(list(CODES.symptom_groups))
    known = list(CODES.symptom_groups[group].discriminators)
    disposition = random.choice(list(CODES.dispositions))
    years = random.choice((0, random.randint(2, 17), random.randint(18, 64), random.randint(65, 100)))
    age = Age(value=years) if years else Age(value=random.randint(1, 23), unit="months")
    return SearchRequest(
        position=drawn_near(where, random),
        at=at,
        age=AgeSpan.of(age),
        gender=random.choice(GENDERS),
        needs=Needs(group, tuple(random.sample(known, min(len(known), random.randint(0, 1)))), disposition),
        minutes=CODES.dispositions[disposition].minutes,
        surgery=random.choice(organisations) if random.random() < 0.3 else surgery(random),
        referral_role=random.choice((*CODES.referral_roles, "paramedic")),
        area=Area(area(random), area(random)),
        km=random.choice((None, None, 30.0)),
        km_is_forced=False,
    )
