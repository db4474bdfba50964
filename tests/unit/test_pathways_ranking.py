"""Ranking: each criterion alone, the order, what is accepted, near misses, the catch-all."""

from datetime import timedelta
from math import cos, radians
from typing import Any

import pytest

from contracts.directory import DAYS, CapacityReported, OpeningHours, OpeningPeriod, Service
from contracts.people import Age, Position
from contracts.placements import Candidate
from services.chassis.lean import written
from services.pathways.search import Ranked
from tests.pathways_examples import (
    COMMUNITY,
    ED,
    HERE,
    KM,
    NOON,
    STROKE,
    UTC_CENTRE,
    accepted,
    brief,
    candidates,
    directory_of,
    reported,
    service,
)


def ids(ranked: Ranked) -> list[str]:
    """The candidates' ids, in order."""
    return [candidate.service_id for candidate in ranked.candidates]


def near(ranked: Ranked) -> list[tuple[str, str]]:
    """The near misses' ids, with what each failed."""
    return [(miss.service_id, miss.failed) for miss in ranked.near_misses]


def until(closes: str) -> OpeningHours:
    """Open every day from 08:00."""
    return OpeningHours(periods=(OpeningPeriod(days=DAYS, opens="08:00", closes=closes),))


def test_a_service_of_a_fit_type_is_a_candidate() -> None:
    """A candidate carries all that an answer says of it."""
    entry = service("S1", km=12.34, booking="acceptance", accept_within_minutes=90)
    [candidate] = candidates(directory_of(entry, reported("S1", "amber")), brief(ED, STROKE), NOON).candidates
    expected = {
        "service_id": "S1",
        "name": "Service S1",
        "service_type": STROKE,
        "organisation": "ONW01",
        "telephone": "01632 960100",
        "instructions": "Ring ahead.",
        "position": entry.position,
        "distance_km": 12.34,
        "booking": "acceptance",
        "accept_within_minutes": 90,
        "opens_at": None,
        "open_until": None,
        "capacity": "amber",
        "why": "nearest suitable open hyper-acute stroke unit, 12.3 km; type 2 of 2 found fit",
    }
    assert Candidate.model_validate(expected) == Candidate.model_validate_json(written(candidate))


def test_distance_is_along_the_great_circle() -> None:
    """At 60 degrees north, 90 degrees of longitude are acos(3/4) of the Earth's radius: 4604.55 km."""
    directory = directory_of(service("S1", position=Position(latitude=60, longitude=90)))
    asked = brief(STROKE, position=Position(latitude=60, longitude=0))
    [candidate] = candidates(directory, asked, NOON, km=6000.0).candidates
    assert 4604.55 == candidate.distance_km


EXCLUDED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("too young", {"age_from": Age(value=71)}, {}, "it takes patients from 71 years"),
    ("too old", {"age_until": Age(value=69)}, {}, "it takes patients to 69 years"),
    (
        "of unknown age",
        {"age_from": Age(value=18), "age_until": Age(value=120)},
        {"age": None},
        "it takes patients from 18 years to 120 years, and the patient's age is not known",
    ),
    ("closed", {"hours": until("12:00")}, {}, "it is closed now, and until after 13:00"),
    ("closing soon", {"hours": until("12:29")}, {}, "it closes at 12:29, too soon"),
]


@pytest.mark.parametrize(("limits", "patient", "why"), [row[1:] for row in EXCLUDED], ids=[row[0] for row in EXCLUDED])
def test_one_criterion_alone_excludes(limits: dict[str, Any], patient: dict[str, Any], why: str) -> None:
    """A service that fails one criterion is no candidate but a near miss, with the criterion in words."""
    ranked = candidates(directory_of(service("S1", **limits)), brief(STROKE, **patient), NOON)
    assert ([], [why]) == (ids(ranked), [miss.why for miss in ranked.near_misses])


@pytest.mark.parametrize(
    ("limits", "patient"),
    [
        ({"age_from": Age(value=70)}, {}),
        ({"age_until": Age(value=70)}, {}),
        ({"age_until": Age(value=1)}, {"age": Age(value=23, unit="months")}),
        ({"age_from": Age(value=12, unit="months")}, {"age": Age(value=1)}),
        ({"age_from": Age(value=2, unit="months")}, {"age": Age(value=61, unit="days")}),
        ({"genders": ("female",)}, {}),
        ({"genders": ("male", "unknown")}, {"gender": "unknown"}),
        ({"hours": until("12:30")}, {}),
        ({}, {"age": None, "gender": "unknown"}),
    ],
)
def test_the_limits_themselves_are_included(limits: dict[str, Any], patient: dict[str, Any]) -> None:
    """Youngest and oldest count to the end of their unit, and half an hour before closing is soon enough."""
    assert ["S1"] == ids(candidates(directory_of(service("S1", **limits)), brief(STROKE, **patient), NOON))


@pytest.mark.parametrize(
    ("limits", "age"),
    [
        ({"age_until": Age(value=1)}, Age(value=24, unit="months")),
        ({"age_from": Age(value=2, unit="months")}, Age(value=60, unit="days")),
        ({"age_from": Age(value=1)}, Age(value=365, unit="days")),
    ],
)
def test_ages_compare_across_units(limits: dict[str, Any], age: Age) -> None:
    """A month is 30.4375 days and a year 365.25."""
    ranked = candidates(directory_of(service("S1", **limits)), brief(STROKE, age=age), NOON)
    assert [("S1", "age")] == near(ranked)


def test_red_is_excluded() -> None:
    """A service that reports that it is full is a near miss, with since when."""
    ranked = candidates(directory_of(service("S1"), reported("S1", "red")), brief(STROKE), NOON)
    [miss] = ranked.near_misses
    assert ([], "it reports that it is full (red), since 11:50 on 14 January") == (ids(ranked), miss.why)


def test_a_report_that_has_run_out_says_nothing() -> None:
    """Red until noon excludes no more at noon, and is not taken for green either."""
    ranked = candidates(directory_of(service("S1"), reported("S1", "red", resets_at=NOON)), brief(STROKE), NOON)
    assert ["unknown"] == [candidate.capacity for candidate in ranked.candidates]


def test_a_delisted_service_is_excluded() -> None:
    """A service that is not active is neither a candidate nor a near miss of its type."""
    ranked = candidates(directory_of(service("S1", active=False)), brief(STROKE), NOON)
    assert ([], []) == (ids(ranked), near(ranked))


def test_the_search_is_a_square() -> None:
    """60 km is half the side: a corner is inside although it is 84 km away, and beyond a side is outside."""
    across = KM / cos(radians(HERE.latitude))
    corner = Position(latitude=HERE.latitude + 59 * KM, longitude=HERE.longitude + 59 * across)
    beside = Position(latitude=HERE.latitude, longitude=HERE.longitude - 61 * across)
    directory = directory_of(
        service("CORNER", position=corner),
        service("EAST", position=Position(latitude=HERE.latitude, longitude=HERE.longitude + 59 * across)),
        service("WEST", position=beside),
        service("NORTH", km=61),
        service("SOUTH", km=-61),
    )
    assert ["EAST", "CORNER"] == ids(candidates(directory, brief(STROKE), NOON))


def test_failing_two_criteria_is_no_near_miss() -> None:
    """A near miss failed exactly one."""
    entry = service("S1", age_from=Age(value=80))
    ranked = candidates(directory_of(entry, reported("S1", "red")), brief(STROKE), NOON)
    assert ([], []) == (ids(ranked), near(ranked))


@pytest.mark.parametrize("gender", ["female", "unknown"])
def test_another_gender_leaves_no_trace(gender: str) -> None:
    """Gender is of the first filters: what fails it is neither a candidate nor a near miss."""
    ranked = candidates(directory_of(service("S1", genders=("male",))), brief(STROKE, gender=gender), NOON)
    assert ([], []) == (ids(ranked), near(ranked))


def test_near_misses_are_the_five_nearest() -> None:
    """Nearest first over all types, at most five."""
    entries = [
        service(f"S{km}", STROKE if km % 2 else ED, km=km, age_until=Age(value=17)) for km in (7, 2, 5, 3, 6, 4, 1)
    ]
    ranked = candidates(directory_of(*entries), brief(STROKE, ED), NOON)
    assert ["S1", "S2", "S3", "S4", "S5"] == [miss.service_id for miss in ranked.near_misses]


def test_any_is_in_the_order_of_triage() -> None:
    """For `any` the first type goes first however far it is, each type nearest first and two at most."""
    directory = directory_of(
        service("FAR", STROKE, km=30),
        service("FARTHER", STROKE, km=40),
        service("FARTHEST", STROKE, km=50),
        service("CLOSE", ED, km=1),
        service("NOT-FIT", COMMUNITY, km=1),
    )
    assert ["FAR", "FARTHER", "CLOSE"] == ids(candidates(directory, brief(STROKE, ED), NOON))


def test_equal_distances_keep_one_order() -> None:
    """Two services at one place stand by id, whichever was listed first."""
    assert ["A", "B"] == ids(candidates(directory_of(service("B"), service("A")), brief(STROKE), NOON))


def test_a_list_is_in_the_order_of_the_sender() -> None:
    """Types and services that the sender lists go in that order, whatever triage puts first."""
    directory = directory_of(
        service("U1", UTC_CENTRE, km=9),
        service("C1", COMMUNITY, km=5),
        service("C2", COMMUNITY, km=6),
        service("C3", COMMUNITY, km=7),
    )
    asked = brief(COMMUNITY, UTC_CENTRE, accept=accepted("C3", UTC_CENTRE, COMMUNITY))
    assert ["C3", "U1", "C1", "C2"] == ids(candidates(directory, asked, NOON))


def test_the_reason_says_the_choice_of_the_sender() -> None:
    """Why it stands there: named or nearest, how far, which choice, which type."""
    directory = directory_of(service("U1", UTC_CENTRE, km=9), service("C1", COMMUNITY, km=5))
    ranked = candidates(directory, brief(COMMUNITY, UTC_CENTRE, accept=accepted("C1", UTC_CENTRE)), NOON)
    expected = [
        "named by the sender, 5.0 km; choice 1 of 2 of the sender, type 1 of 2 found fit",
        "nearest suitable open urgent treatment centre, 9.0 km; choice 2 of 2 of the sender, type 2 of 2 found fit",
    ]
    assert expected == [candidate.why for candidate in ranked.candidates]


def test_a_named_service_stands_once() -> None:
    """Named, named again and found by its type, it stands at its first place; the type still gives two others."""
    directory = directory_of(*(service(f"C{km}", COMMUNITY, km=km) for km in (1, 2, 3, 4)))
    asked = brief(COMMUNITY, accept=accepted("C1", "C1", COMMUNITY, COMMUNITY))
    ranked = candidates(directory, asked, NOON)
    assert ["C1", "C2", "C3"] == ids(ranked)
    assert ranked.candidates[1].why.startswith("second nearest")


def test_only_what_is_accepted_and_fit() -> None:
    """A type that is not fit, a service of such a type, and one that nobody knows are left out."""
    directory = directory_of(service("S1", STROKE), service("E1", ED), service("U1", UTC_CENTRE))
    asked = brief(STROKE, ED, accept=accepted(UTC_CENTRE, "U1", "NOBODY", ED))
    assert ["E1"] == ids(candidates(directory, asked, NOON))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (service("S1", km=61), "it is outside the search square, 60 km to each side"),
        (service("S1", active=False), "it is no longer listed"),
        (service("S1", hours=OpeningHours()), "it is closed now, and until after 13:00"),
        (service("S1", genders=("male", "unknown")), "it takes patients of gender male or unknown"),
    ],
)
def test_a_named_service_that_fails_says_why(entry: Service, expected: str) -> None:
    """A service that the sender named is looked at wherever it is, listed or not."""
    ranked = candidates(directory_of(entry), brief(STROKE, accept=accepted("S1")), NOON)
    assert ([], [expected]) == (ids(ranked), [miss.why for miss in ranked.near_misses])


def test_never_more_than_fifty() -> None:
    """Thirty fit types with two services each give the contract's fifty candidates."""
    types = range(1000, 1030)
    directory = directory_of(*(service(f"S{number}-{one}", number) for number in types for one in "ab"))
    assert 50 == len(candidates(directory, brief(*types), NOON).candidates)


@pytest.mark.parametrize("asked", [brief(STROKE, to_clinician=True), brief()])
def test_to_a_clinician_has_no_candidate(asked: Any) -> None:
    """Where a clinician decides nobody is booked, and the emergency department stands ready to be proposed."""
    ranked = candidates(directory_of(service("S1"), service("E1", ED)), asked, NOON)
    assert ranked.proposed is not None
    assert ([], [], "E1") == (ids(ranked), near(ranked), ranked.proposed.service_id)


def catch_all(*entries: Service | CapacityReported, **patient: Any) -> tuple[str, str] | None:
    """The catch-all's id and reason, for a patient whom no type fits."""
    found = candidates(directory_of(*entries), brief(**patient), NOON).proposed
    return found and (found.service_id, found.why)


def test_the_catch_all_is_the_nearest_emergency_department() -> None:
    """The nearest active one."""
    found = catch_all(service("E2", ED, km=9), service("E1", ED, km=5), service("GONE", ED, km=1, active=False))
    assert ("E1", "nearest emergency department, 5.0 km") == found


def test_the_catch_all_may_be_red() -> None:
    """Whatever its capacity, the nearest is proposed, and its reason says how full it is."""
    found = catch_all(service("E1", ED, km=5), service("E2", ED, km=9), reported("E1", "red"))
    expected = "nearest emergency department, 5.0 km; it reports that it is full (red), since 11:50 on 14 January"
    assert ("E1", expected) == found


def test_the_catch_all_takes_such_a_patient_where_one_does() -> None:
    """A department that is closed or takes children only is passed over while another is in reach."""
    found = catch_all(
        service("CHILD", ED, km=1, age_until=Age(value=17)),
        service("SHUT", ED, km=2, hours=OpeningHours()),
        service("E1", ED, km=5),
    )
    assert ("E1", "nearest emergency department, 5.0 km") == found


def test_the_catch_all_is_given_even_if_it_does_not_fit() -> None:
    """With none better in reach the nearest is proposed all the same, and says what speaks against it."""
    found = catch_all(service("CHILD", ED, km=1, age_until=Age(value=17)))
    assert ("CHILD", "nearest emergency department, 1.0 km; it takes patients to 17 years") == found


def test_a_closed_catch_all_has_no_closing_time() -> None:
    """What is closed is not said to be open until anything."""
    found = candidates(directory_of(service("E1", ED, hours=until("11:00"))), brief(), NOON).proposed
    assert found is not None
    assert found.open_until is None


def test_the_catch_all_is_within_sixty_kilometres() -> None:
    """Neither beyond the square nor in its corners: a department 61 km away is not proposed."""
    diagonal = 61 / 2**0.5
    corner = Position(
        latitude=HERE.latitude + diagonal * KM,
        longitude=HERE.longitude + diagonal * KM / cos(radians(HERE.latitude + diagonal * KM)),
    )
    assert catch_all(service("E1", ED, position=corner), service("E2", ED, km=61)) is None


def test_open_until_is_said() -> None:
    """A candidate says when it closes."""
    [candidate] = candidates(directory_of(service("S1", hours=until("20:00"))), brief(STROKE), NOON).candidates
    assert NOON + timedelta(hours=8) == candidate.open_until
