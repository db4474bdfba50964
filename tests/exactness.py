"""Compares the index with a plain search: the same services, in the same order, excluded by the same criteria.

Directories and queries are made of bytes, a byte for each attribute, which picks one of its values; zero is the value
that excludes nothing. So there are many, most services pass, and what hypothesis shows of a difference is small.
"""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from contracts.directory import (
    DAYS,
    CapacityReported,
    OpeningHours,
    OpeningPeriod,
    Service,
    SpecifiedDate,
    SymptomGroup,
)
from contracts.people import Age, Position
from services.pathways.capacity import CapacityOrder
from services.pathways.globe import METRES
from services.pathways.index import Index
from services.pathways.request import AgeSpan, Area, Needs, SearchRequest
from services.pathways.search import Places, Search, explain, places_of_many, search, search_many
from services.pathways.search_rules import SearchRules
from tests import plain_search
from tests.pathways_examples import HERE, NOON, as_read, listed, reported, service
from tests.plain_search import MINUTE, Query, Site

LONDON = ZoneInfo("Europe/London")
MAY_DAY = date(2026, 5, 4)
SITE = Site(
    holidays=frozenset({MAY_DAY, date(2026, 12, 25)}),
    distances={"EL1 1AA": 20.0, "EL1 1": 30.0, "EL1": 50.0},
    national_ranks={105: 8, 122: 2, 135: 4},
    local_authority_ranks={"LA1": {105: 1, 135: 1}},
    commissioner_ranks={"C1": {135: 1, 122: 3}},
    unknown_adds_km=0.0,
    amber_adds_km=4.0,
)
RULES = SearchRules.model_validate(
    {
        "distances": SITE.distances,
        "ranks": {
            "national": SITE.national_ranks,
            "local_authorities": SITE.local_authority_ranks,
            "commissioners": SITE.commissioner_ranks,
        },
    }
)
CAPACITY_ORDER = CapacityOrder.model_validate(
    {
        "name": "a site's",
        "source": "a test",
        "never_reported_adds_km": SITE.unknown_adds_km,
        "rows": [
            {"status": "green", "adds_km": 0},
            {"status": "amber", "adds_km": SITE.amber_adds_km},
            {"status": "unknown", "adds_km": SITE.unknown_adds_km},
        ],
    }
)

INSTANTS = [
    NOON,
    datetime(2026, 7, 15, 22, 40, tzinfo=UTC),  # twenty to midnight, in summer
    datetime(2026, 1, 14, 23, 59, 30, tzinfo=UTC),  # some seconds past a minute
    datetime(2026, 3, 29, 0, 30, tzinfo=UTC),  # the clock jumps at 01:00
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
    datetime(2026, 10, 24, 23, 40, tzinfo=UTC),  # the clock goes back at 01:00
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 15, tzinfo=UTC),
    datetime(2026, 5, 4, 9, 0, tzinfo=UTC),  # a public holiday
    datetime(2026, 5, 3, 22, 30, tzinfo=UTC),  # half an hour before it
    datetime(2026, 12, 25, 11, 0, 1, tzinfo=UTC),
]
SIDE_NORTH = 60 / 6371.0088 * 57.29577951308232
SIDE_EAST = SIDE_NORTH / 0.603208
"""Degrees to the sides of the square around HERE, nearly."""

PLACES = [
    *((0.02 * step, 0.0) for step in range(-3, 4)),
    *((0.01 * step, 0.005 * step) for step in range(1, 7)),
    (0.9, 0.9),
    (-0.9, 0.9),
    (1 - 1e-6, 0.0),
    (1 + 1e-6, 0.0),
    (0.5 + 1e-6, 0.0),
    (-1 + 1e-6, 0.1),
    (-1 - 1e-6, 0.1),
    (0.0, 1.4),
    (0.3, -0.4),
]
"""Where services stand, in sides of the square from the patient."""

YEARS = [Age(value=one) for one in (1, 2, 16, 18, 65, 70, 71, 90)]
MONTHS = [Age(value=one, unit="months") for one in (1, 2, 11, 12, 23)]
AT_DAYS = [Age(value=one, unit="days") for one in (0, 28, 30, 31)]
AGES = [*YEARS, *MONTHS, *AT_DAYS]
PATIENT_AGES = [
    *(AgeSpan.of(one) for one in [Age(value=70), Age(value=15), Age(value=16), Age(value=1), *MONTHS, *AT_DAYS]),
    *(AgeSpan.of(Age(value=one, unit="days")) for one in (365, 366, 60, 61, 5843, 5844, 25567, 25568)),
    AgeSpan.of_group("adult"),
    AgeSpan.of_group("child"),
    AgeSpan.of_group("toddler"),
    None,
]
DELTAS = [-120, -61, -60, -30, -15, -1, 0, 1, 14, 15, 16, 29, 30, 31, 45, 59, 60, 61, 90, 119, 120, 121, 300, 720]
"""Minutes from the search at which something opens or closes."""


class Bytes:
    """Picks values, a byte each."""

    def __init__(self, drawn: bytes) -> None:
        self._bytes = iter(drawn)

    def pick(self, *values: Any, rarely: int = 1) -> Any:
        """The first value, or one of the others: each `rarely` times in 256 or so."""
        byte = next(self._bytes)
        others = values[1:]
        number = (255 - byte) // rarely
        return others[number % len(others)] if number < len(others) * max(1, 24 // len(others)) else values[0]

    def any(self, values: Any) -> Any:
        """One of the values."""
        return values[next(self._bytes) % len(values)]


FEW = 0.02
"""Services of a type that are looked at first, about: so few that a part of the square is looked at in any case."""

QUERY_BYTES, SERVICE_BYTES = 24, 40


def query_of(drawn: bytes) -> Query:
    """A query, made of bytes."""
    bytes_ = Bytes(drawn)
    some = bytes_.any([None, None, None, (105, 135), (135,), ("S0", 135), (122, "S1", "S2", 105), ("S3", "NOBODY")])
    local_authority, commissioner = bytes_.any(
        [("LA1", "C2"), ("LA2", "C1"), ("LA2", "C2"), (None, None), ("LA1", None)]
    )
    ages = bytes_.any(PATIENT_AGES) if bytes_.any([False, True]) else PATIENT_AGES[0]
    return Query(
        position=HERE,
        at=bytes_.any(INSTANTS),
        ages=None if ages is None else tuple(ages),
        gender=bytes_.any(["female", "male", "indeterminate", "unknown"]),
        asks_codes=bytes_.any([True, True, True, False]),
        symptom_group=bytes_.pick("SG1", None, rarely=1),
        discriminators=bytes_.any([(), ("SD1",), ("SD1", "SD2")]),
        disposition=bytes_.any([None, "DX1", "DX1", "DX1"]),
        minutes=bytes_.any([None, 0, 1, 30, 31, 60, 61, 120, 240, 1440, 6000]),
        surgery=bytes_.any([None, "GP1", "GP1", "GP2"]),
        role=bytes_.any([None, "crew", "crew"]),
        postcode=bytes_.pick(
            None, ("EL1 1AA", "EL1 1", "EL1"), ("EL1 1AB", "EL1 1", "EL1"), ("EL2 1AB", "EL2 1", "EL2")
        ),
        local_authority=local_authority,
        commissioner=commissioner,
        km=bytes_.pick(None, 30.0, 99.0),
        forced=bytes_.any([False, True]),
        wanted=some,
        in_order=bytes_.any([False, True]) if some else False,
        without=bytes_.pick((), ("S0",), ("S1", "S2"), ("S3", "NOBODY")),
        full_too=bytes_.pick(False, True),
    )


def hours_of(bytes_: Bytes, at: datetime) -> OpeningHours:
    """Opening hours with boundaries near the search."""
    kind = bytes_.any(["always"] * 4 + ["weekly", "weekly", "two", "night", "date", "always-date", "holiday", "closed"])
    clocks = [bytes_.any(DELTAS) for _ in range(4)]
    opens, closes, again, late = (f"{(at + delta * MINUTE).astimezone(LONDON):%H:%M}" for delta in clocks)
    today = at.astimezone(LONDON).date() + bytes_.any([0, 0, 1, -1]) * timedelta(days=1)
    day = DAYS[today.weekday()]
    weekly = OpeningPeriod(days=DAYS, opens=opens, closes=closes)
    match kind:
        case "always":
            return OpeningHours(always=True)
        case "weekly":
            return OpeningHours(periods=(weekly,))
        case "two":
            second = OpeningPeriod(days=(day,), opens=again, closes=late)
            return OpeningHours(periods=(OpeningPeriod(days=(day,), opens=opens, closes=closes), second))
        case "night":
            return OpeningHours(periods=(OpeningPeriod(days=DAYS, opens="22:00", closes=closes),))
        case "date" | "always-date":
            periods = bytes_.any([(), ((opens, closes),), ((opens, closes), (again, late)), (("00:00", "24:00"),)])
            dates = (SpecifiedDate(on=today, periods=periods),)
            return OpeningHours(always=kind != "date", periods=(weekly,), dates=dates)
        case "holiday":
            special = bytes_.any([(), ((opens, closes),), ((again, late),)])
            return OpeningHours(always=late > again, periods=(weekly,), public_holidays=special)
    return OpeningHours()


def service_of(number: int, drawn: bytes, at: datetime) -> tuple[Service, CapacityReported | None]:
    """A service and its report, made of bytes."""
    bytes_ = Bytes(drawn)
    north, east = bytes_.any(PLACES)
    group = SymptomGroup(code="SG1", discriminators=bytes_.any([(), ("SD1", "SD2"), ("SD1", "SD2", "SD3")]))
    poor = SymptomGroup(code="SG1", discriminators=("SD3",))
    other = SymptomGroup(code="SG2")
    one = service(
        f"S{number}",
        bytes_.any([135, 135, 122, 105, 105, 100]),
        position=Position(latitude=HERE.latitude + north * SIDE_NORTH, longitude=HERE.longitude + east * SIDE_EAST),
        organisation=bytes_.any(["ONW01", "ONW01", "GP1", "GP2"]),
        active=bytes_.pick(True, False),
        hours=hours_of(bytes_, at),
        symptom_groups=bytes_.any([(), (group,), (other, group), (group,)]),
        genders=bytes_.pick((), ("female",), ("male", "indeterminate"), ("unknown", "female")),
        age_from=bytes_.pick(None, *AGES),
        age_until=bytes_.pick(None, *AGES),
        dispositions=bytes_.any([(), ("DX1",), ("DX1", "DX2")]),
        referral_roles=bytes_.any([(), ("crew",), ("crew", "gp")]),
        commissioned_by=bytes_.any([(), (), ("GP1",), ("GP1", "GP3")]),
        restricted=bytes_.pick(False, True),
        limited_to=bytes_.any([(), (), ("C1", "C2"), ("LA1", "LA2")]),
        promoted_to=bytes_.any([(), (), ("C1",), ("LA1",), ("C3",)]),
        only_if_open_within_minutes=bytes_.any([None, None, None, 0, 15, 30]),
    )
    # Now and then something that excludes.
    changes = bytes_.pick(
        {},
        {"symptom_groups": (other,)},
        {"symptom_groups": (poor, other)},
        {"dispositions": ("DX2",)},
        {"referral_roles": ("gp",)},
        {"limited_to": ("C3",)},
        {"restricted": True, "commissioned_by": ("GP3",)},
        rarely=2,
    )
    one = one.model_copy(update=changes)
    status = bytes_.any([None, "green", "amber", "amber", "red"])
    resets = bytes_.any([None, at - MINUTE, at, at + timedelta(microseconds=1), at + timedelta(hours=4)])
    return one, reported(one.service_id, status, resets_at=resets) if status else None


def request_of(query: Query) -> SearchRequest:
    """The query, as the index is asked."""
    needs = Needs(query.symptom_group, query.discriminators, query.disposition) if query.asks_codes else None
    return SearchRequest(
        position=query.position,
        at=query.at,
        age=None if query.ages is None else AgeSpan(*query.ages),
        gender=query.gender,  # type: ignore[arg-type]
        needs=needs,
        minutes=query.minutes,
        surgery=query.surgery,
        referral_role=query.role,
        postcode=query.postcode[0] if query.postcode else None,
        area=Area(query.local_authority, query.commissioner),
        km=query.km,
        km_is_forced=query.forced,
        wanted=query.wanted,
        in_order=query.in_order,
        without=query.without,
        full_too=query.full_too,
    )


KEYS = (
    "choice",
    "promoted elsewhere",
    "rank of the type",
    "tie to the surgery",
    "distance alone",
    "id",
    "kilometres for capacity",
)


def deciders(ordered: list[tuple[Any, ...]]) -> list[str]:
    """Which key alone put each of two neighbours before the other: without it, they would stand otherwise."""
    decided = []
    for one, next_ in pairwise(ordered):
        first = next((number for number in range(6) if one[number] != next_[number]), None)
        if first is None:
            continue
        if first == 5 or one[first + 1 : 6] > next_[first + 1 : 6]:
            decided.append(KEYS[first])
        if first == 4 and one[6] > next_[6]:
            decided.append(KEYS[6])
    return decided


def shown(places: Places) -> list[tuple[str, float]]:
    """Places as candidates show them: ids, and km."""
    return [(service_id, round(metres / METRES, 2)) for service_id, metres in zip(*places, strict=True)]


def compare(asked: bytes, drawn: list[bytes]) -> list[str]:
    """One directory, one query: both searches, and what each service fails.

    Returns what alone excluded a service, or alone decided between two, each time that it did.
    """
    query = query_of(asked)
    pairs = [service_of(number, one, query.at) for number, one in enumerate(drawn)]
    services = [one for one, _ in pairs]
    reports = {report.data.service_id: report.data for _, report in pairs if report is not None}
    expected = plain_search.search(services, reports, query, SITE)
    index = Index(RULES, CAPACITY_ORDER, SITE.holidays)
    told = [*map(listed, services), *(report for _, report in pairs if report is not None)]
    index.apply([as_read(event) for event in told])
    request = request_of(query)
    ranked = search(index.snapshot, request)
    assert expected.candidates == [(one.service_id, one.distance_km) for one in ranked.candidates]
    [places] = places_of_many(index.snapshot, [request])
    assert expected.candidates == shown(places)
    # Who looks at the nearest first, however few, finds the same and says the same.
    assert [places] == places_of_many(index.snapshot, [request], about_at_first=FEW)
    assert [ranked] == Search(index.snapshot, [request], about_at_first=FEW).ranked()
    assert expected.near_misses == [(miss.service_id, miss.failed) for miss in ranked.near_misses]
    assert expected.proposed == (ranked.proposed and ranked.proposed.service_id)
    assert expected.catch_all == [one.service_id for one in ranked.catch_all]
    if services:
        about = services[asked[-1] % len(services)].service_id
        explained = explain(index.snapshot, request, about)
        assert explained is not None
        assert expected.failed[about] == {one.criterion for one in explained.excluded} - {"service type"}
        place = next((n for n, (one, _) in enumerate(expected.candidates, 1) if one == about), None)
        assert place == explained.place
        # Among others in one batch it is answered as alone.
        later = request._replace(at=query.at + timedelta(days=1, minutes=7))
        assert ranked == search_many(index.snapshot, [later, request, later])[1]
        assert places == places_of_many(index.snapshot, [later, request, later])[1]
    return [next(iter(wrong)) for wrong in expected.failed.values() if len(wrong) == 1] + deciders(expected.keys)


directories = st.lists(st.binary(min_size=SERVICE_BYTES, max_size=SERVICE_BYTES), max_size=10)
queries = st.binary(min_size=QUERY_BYTES, max_size=QUERY_BYTES)
