"""The published search where no referral is behind it: all types, ranks, ties, roads, explanations."""

from collections.abc import Sequence
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from contracts.directory import DAYS, CapacityReported, OpeningHours, OpeningPeriod, Service, SymptomGroup
from contracts.people import Age, Position
from contracts.topics import Topic
from services.chassis.lean import leaned
from services.chassis.reader import Tombstone
from services.pathways.asked import session_minutes
from services.pathways.handlers import rank
from services.pathways.index import Index, Snapshot
from services.pathways.request import AgeInTheWrongUnit, AgeSpan, Area, Needs, SearchRequest
from services.pathways.roads import Journey, Journeys, Trip
from services.pathways.search import Exclusion, Explained, Ranked, Search, explain, search, search_many
from services.pathways.search_rules import SearchRules
from tests.pathways_examples import (
    CODES,
    COMMUNITY,
    ED,
    HERE,
    NOON,
    STROKE,
    UTC_CENTRE,
    brief,
    directory_of,
    index_of,
    listed,
    reported,
    service,
    triaged,
)

GP_PRACTICE = 100
RULES = SearchRules.model_validate(
    {"ranks": {"national": {ED: 8, COMMUNITY: 2}, "local_authorities": {"LA1": {ED: 1}}}}
)


def asked(**changes: Any) -> SearchRequest:
    """A search by a woman of 70, for no code in particular."""
    whole: dict[str, Any] = {"position": HERE, "at": NOON, "age": AgeSpan.of(Age(value=70)), "gender": "female"}
    return SearchRequest(**{**whole, **changes})


def ruled(*entries: Service | CapacityReported) -> Snapshot:
    """A directory with ranks of types."""
    index = Index(RULES)
    index.apply([listed(one) if isinstance(one, Service) else one for one in entries])
    return index.snapshot


def ids(ranked: Ranked) -> list[str]:
    """The candidates' ids, in order."""
    return [one.service_id for one in ranked.candidates]


def test_all_types_are_in_the_order_of_their_ranks() -> None:
    """However far: a type without a rank goes last; where ranks are equal the nearer goes first."""
    snapshot = ruled(service("E", ED, km=1), service("C", COMMUNITY, km=9), service("U", 135, km=2), service("S", km=1))
    assert ["C", "E", "S", "U"] == ids(search(snapshot, asked()))
    assert ["E", "S", "U", "C"] == ids(search(snapshot, asked(area=Area("LA1", "C1"))))


def test_the_reason_says_the_rank_and_whose_it_is() -> None:
    """Where all types are one field."""
    [candidate] = search(ruled(service("C", COMMUNITY, km=9)), asked()).candidates
    assert "nearest suitable open urgent community response, 9.0 km; rank 2 of its type (national)" == candidate.why


def test_of_some_types_the_best_one_is_taken() -> None:
    """Two of a type, of GP practices one."""
    practices = [service(f"G{km}", GP_PRACTICE, km=km) for km in (1, 2)]
    centres = [service(f"U{km}", UTC_CENTRE, km=km) for km in (3, 4, 5)]
    assert ["G1", "U3", "U4"] == ids(search(directory_of(*practices, *centres), asked()))


def test_ties_to_the_surgery_go_before_distance() -> None:
    """Own surgery; commissioned and restricted; commissioned; all others, each nearest first. It is said why."""
    entries = [
        service("OTHER", UTC_CENTRE, km=1),
        service("OPEN", UTC_CENTRE, km=2, commissioned_by=("GP1",)),
        service("CLOSED", UTC_CENTRE, km=3, commissioned_by=("GP1",), restricted=True),
        service("OWN", UTC_CENTRE, km=4, organisation="GP1"),
    ]
    ranked = search(directory_of(*entries), asked(surgery="GP1"))
    assert ["OWN", "CLOSED"] == ids(ranked)
    assert [
        "suitable open urgent treatment centre, 4.0 km, the patient's own surgery",
        "suitable open urgent treatment centre, 3.0 km, commissioned by the patient's surgery",
    ] == [one.why for one in ranked.candidates]
    assert ["OTHER", "OPEN"] == ids(search(directory_of(*entries), asked()))


def test_promoted_to_another_area_goes_below() -> None:
    """Below all others, whatever their types' ranks; not where the area of the search is unknown."""
    snapshot = ruled(service("C", COMMUNITY, km=1, promoted_to=("C9",)), service("E", ED, km=5))
    assert ["E", "C"] == ids(search(snapshot, asked(area=Area("LA2", "C1"))))
    assert ["C", "E"] == ids(search(snapshot, asked()))


def test_no_symptom_group_matches_nothing() -> None:
    """And leads to the catch-all: the nearest two emergency departments, marked, whatever their capacity."""
    departments = [service(f"E{km}", ED, km=km) for km in (1, 2, 3)]
    ranked = search(directory_of(*departments, reported("E1", "red")), asked(needs=Needs(None)))
    assert ([], ["Service E1 (Catch-all)", "Service E2 (Catch-all)"]) == (
        ids(ranked),
        [one.name for one in ranked.catch_all],
    )
    assert [
        "catch-all: nearest emergency department, 1.0 km; it reports that it is full (red), since 11:50 on 14 January",
        "catch-all: second nearest emergency department, 2.0 km",
    ] == [one.why for one in ranked.catch_all]


def test_the_catch_all_is_for_when_nothing_remains() -> None:
    """One candidate is enough for none; the nearest department is named to be proposed all the same."""
    ranked = search(directory_of(service("S1"), service("E1", ED, km=2)), asked(wanted=(STROKE,)))
    assert (["S1"], (), True) == (ids(ranked), ranked.catch_all, ranked.proposed is not None)


@pytest.mark.parametrize("wanted", [None, (ED,), ()])
def test_at_sea_there_is_nothing(wanted: tuple[int, ...] | None) -> None:
    """No candidate, nothing to propose, no error; so it is in an empty directory."""
    at_sea = asked(position=Position(latitude=58.0, longitude=3.0), wanted=wanted)
    for snapshot in (directory_of(service("E1", ED)), Index().snapshot):
        ranked = search(snapshot, at_sea)
        assert ((), (), None, ()) == ranked[:4]


def test_searches_together_are_answered_as_alone() -> None:
    """Each at its own time and place; none is an answer to none."""
    snapshot = directory_of(*(service(f"S{km}", km=km, hours=until("13:00")) for km in (1, 2, 3)), service("E1", ED))
    requests = [asked(at=NOON + timedelta(minutes=20 * n), wanted=(STROKE, ED)[n % 2 :]) for n in range(6)]
    assert [search(snapshot, one) for one in requests] == search_many(snapshot, requests)
    assert [] == search_many(snapshot, [])


def test_searches_of_many_days_are_answered_as_alone() -> None:
    """Of more days together than are kept, with hours that were not asked about before."""
    entries = [service("A", hours=until("20:00")), service("B", hours=until("11:00")), service("E1", ED)]
    requests = [asked(at=NOON + timedelta(days=days, hours=7 * days)) for days in range(21)]
    alone = [search(directory_of(*entries), one) for one in requests]
    assert alone == search_many(directory_of(*entries), requests)
    assert {(), ("A",), ("A", "B")} == {tuple(ids(one)[:-1]) for one in alone}


def test_a_day_that_was_forgotten_is_known_again() -> None:
    """A minute is asked about again for more services, when many other days were asked about meanwhile."""
    snapshot = directory_of(service("S"), service("U", UTC_CENTRE, hours=until("20:00")))
    for days in (0, *range(1, 9)):
        assert ["S"] == ids(search(snapshot, asked(at=NOON + timedelta(days=days), wanted=(STROKE,))))
    assert ["S", "U"] == ids(search(snapshot, asked()))


def test_a_crowd_hides_nobody() -> None:
    """What is far away and goes before thousands nearby is found, though the nearest are looked at first."""
    crowd = [service(f"S{n:04}", UTC_CENTRE, km=0.01 * n) for n in range(2500)]
    own = service("OWN", UTC_CENTRE, km=50, organisation="GP1")
    commissioned = service("OPEN", UTC_CENTRE, km=55, commissioned_by=("GP1",))
    children = [service(f"E{n}", ED, km=0.01 * n, age_until=Age(value=17)) for n in range(200)]
    snapshot = directory_of(*crowd, own, commissioned, *children, service("E", ED, km=58))
    ranked = search(snapshot, asked(surgery="GP1"))
    assert (["OWN", "OPEN", "E"], "E") == (ids(ranked), ranked.proposed and ranked.proposed.service_id)
    assert Search(snapshot, [asked(surgery="GP1")], about_at_first=inf).ranked() == [ranked]


def until(closes: str, opens: str = "08:00") -> OpeningHours:
    """Open every day."""
    return OpeningHours(periods=(OpeningPeriod(days=DAYS, opens=opens, closes=closes),))


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(None, 60), (0, 60), (1, 30), (30, 30), (31, 31), (60, 60), (61, 1), (240, 180)],
)
def test_the_session(minutes: int | None, expected: int) -> None:
    """No minutes: 60; up to 30: 30; up to 60: as they are; more: an hour less."""
    assert expected == session_minutes(minutes)


def test_opening_in_the_session_is_soon_enough() -> None:
    """It is a candidate that says from when and until when; it is not called open."""
    snapshot = directory_of(service("S1", hours=until("20:00", opens="13:00")))
    [candidate] = search(snapshot, asked(minutes=120)).candidates
    assert (NOON + timedelta(hours=1), NOON + timedelta(hours=8)) == (candidate.opens_at, candidate.open_until)
    assert "nearest suitable hyper-acute stroke unit, 1.0 km" == candidate.why
    assert [] == ids(search(snapshot, asked(minutes=119)))


def test_only_if_open() -> None:
    """Offered only while it is open or opening so soon, although the session is longer."""
    entry = service("S1", hours=until("20:00", opens="12:16"), only_if_open_within_minutes=15)
    ranked = search(directory_of(entry), asked())
    assert [("only if open", "it is offered only while it is open, and is not open now, nor within 15 minutes")] == [
        (miss.failed, miss.why) for miss in ranked.near_misses
    ]
    assert ["S1"] == ids(search(directory_of(entry), asked(at=NOON + timedelta(minutes=1))))


def test_an_estimated_age_fits_where_any_of_it_does() -> None:
    """A toddler is 1 to 4: a service from 2 years on may be right."""
    snapshot = directory_of(service("S1", age_from=Age(value=2)), service("S2", age_from=Age(value=5)))
    assert ["S1"] == ids(search(snapshot, asked(age=AgeSpan.of_group("toddler"))))


@pytest.mark.parametrize(
    ("age", "message"),
    [
        (Age(value=32, unit="days"), "32 days: an age in days is 0 to 31: give it in months"),
        (Age(value=30, unit="months"), "30 months: an age in months is 1 to 23: give it in years"),
        (Age(value=0, unit="months"), "0 months: an age in months is 1 to 23: give it in days"),
        (Age(value=1), "1 years: an age in years is 2 to 129: give it in months"),
        (Age(value=130), "130 years: an age in years is 2 to 129"),
    ],
)
def test_an_age_in_the_wrong_unit(age: Age, message: str) -> None:
    """It is refused, and said in which unit it is given."""
    with pytest.raises(AgeInTheWrongUnit) as caught:
        AgeSpan.given(age)
    assert message == str(caught.value)


# Roads


def by_road(snapshot: Snapshot, request: SearchRequest, *journeys: Journeys | None) -> Ranked:
    """One search with the answer of a road service."""
    [ranked] = Search(snapshot, [request]).ranked(journeys)
    return ranked


def test_road_distances_count_where_they_are_known() -> None:
    """Farther by road is farther; what has no road, or takes more than four hours, is dropped."""
    snapshot = directory_of(*(service(f"S{km}", km=km) for km in (1, 2, 3, 4)))
    answer = [Journey(30.0, 40), Journey(2.5, 240), Journey(3.0, 241), None]
    ranked = by_road(snapshot, asked(wanted=(STROKE,)), answer)
    assert [("S2", 2.5), ("S1", 30.0)] == [(one.service_id, one.distance_km) for one in ranked.candidates]


def test_without_an_answer_distances_stay_crow_flies() -> None:
    """The road service is away: the search goes on."""
    snapshot = directory_of(service("S1", km=1), service("S2", km=2))
    assert ["S1", "S2"] == ids(by_road(snapshot, asked(wanted=(STROKE,)), None))


def test_the_nearest_hundred_of_a_type_are_asked_for() -> None:
    """With the patient's own surgery among them, however far."""
    many = [service(f"S{number:03}", km=number / 10) for number in range(1, 121)]
    own = service("OWN", km=40, organisation="GP1")
    found = Search(directory_of(*many, own), [asked(surgery="GP1"), asked(wanted=())])
    [trip, nothing] = found.trips
    assert (100, True, HERE) == (len(trip.destinations), leaned(own.position) in trip.destinations, trip.origin)
    assert () == nothing.destinations


class Ferry:
    """A road service that knows one place, and no way back."""

    async def journeys(self, trips: Sequence[Trip]) -> Sequence[Journeys | None]:
        """The last of each trip is near, all others are unreachable."""
        return [[None] * (len(trip.destinations) - 1) + [Journey(1.5, 3)] for trip in trips]


async def test_referrals_are_ranked_by_road_where_there_is_a_road_service() -> None:
    """Through the port, for the whole batch at once."""
    index = index_of(service("S1", km=1), service("S2", km=2))
    [told] = await rank([triaged(brief(STROKE))], index=index, clock=lambda: NOON, codes=CODES, roads=Ferry())
    assert [("S2", 1.5)] == [(one.service_id, one.distance_km) for one in told.data.candidates]


# Explanations


def test_every_criterion_that_excludes_is_named() -> None:
    """All of them, in the order in which they are asked for, each in words."""
    entry = service(
        "S1",
        km=70,
        active=False,
        symptom_groups=(SymptomGroup(code="SG9"),),
        genders=("male",),
        commissioned_by=("GP9",),
        restricted=True,
        dispositions=("DX9",),
        referral_roles=("gp",),
        age_until=Age(value=17),
        hours=OpeningHours(),
        only_if_open_within_minutes=0,
        limited_to=("C9",),
    )
    request = asked(needs=Needs("SG1", ("SD1",), "DX1"), referral_role="crew", area=Area("LA1", "C1"))
    explained = explain(directory_of(entry, reported("S1", "red")), request, "S1")
    assert explained is not None
    assert [
        ("active", "it is no longer listed"),
        ("distance", "it is outside the search square, 60 km to each side"),
        ("symptom group", "it does not take symptom group SG1"),
        ("gender", "it takes patients of gender male"),
        ("surgery", "it takes only patients of the surgeries that commission it, and the patient's is not known"),
        ("capacity", "it reports that it is full (red), since 11:50 on 14 January"),
        ("disposition", "it does not take disposition DX1"),
        ("referral role", "it takes no referrals from the role crew"),
        ("age", "it takes patients to 17 years"),
        ("opening hours", "it is closed now, and until after 13:00"),
        ("only if open", "it is offered only while it is open, and is not open now"),
        ("area", "it serves only C9"),
    ] == list(explained.excluded)


def test_a_missing_discriminator_is_named() -> None:
    """All that are asked for must be met in the group."""
    entry = service("S1", symptom_groups=(SymptomGroup(code="SG1", discriminators=("SD1",)), SymptomGroup(code="SG2")))
    explained = explain(directory_of(entry), asked(needs=Needs("SG1", ("SD1", "SD2"))), "S1")
    expected = Exclusion("symptom discriminator", "it cannot meet SD2")
    assert Explained(None, expected.why, (expected,)) == explained


def test_a_candidate_is_explained_by_its_place() -> None:
    """Its place among all, from 1, and why."""
    snapshot = directory_of(service("S1", km=1), service("S2", km=2), service("S3", km=3))
    assert Explained(2, "second nearest suitable open hyper-acute stroke unit, 2.0 km") == explain(
        snapshot, asked(), "S2"
    )
    assert Explained(None, "it is suitable, no. 3 of 3 of its type: the best 2 are taken") == explain(
        snapshot, asked(), "S3"
    )


def test_a_type_that_is_not_searched_is_said() -> None:
    """It may be as suitable as it likes."""
    why = "its type, hyper-acute stroke unit, is not among those that are searched"
    assert Explained(None, why, (Exclusion("service type", why),)) == explain(
        directory_of(service("S1")), asked(wanted=(ED,)), "S1"
    )


def test_a_service_that_nobody_listed_has_no_explanation() -> None:
    """None, also after a tombstone for it."""
    index = index_of(service("S1"))
    index.apply([Tombstone(Topic.SERVICES, "NOBODY"), Tombstone(Topic.CAPACITY, "NOBODY"), reported("NOBODY", "red")])
    assert explain(index.snapshot, asked(), "NOBODY") is None
    assert ["S1"] == ids(search(index.snapshot, asked()))
