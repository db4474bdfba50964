"""The directory that is shipped: whole, invented, and the same in its county town at every hour."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.directory import DAYS, SERVICE_TYPES
from contracts.people import Age, Position
from services.pathways.directory_file import read_file
from tests.pathways_examples import brief, candidates, directory_of

DIRECTORY = read_file(Path(__file__).parents[2] / "deploy" / "directory" / "elvershire.toml")
SNAPSHOT = directory_of(*DIRECTORY.services)
TOWN = Position(latitude=52.9, longitude=-1.2)


def test_about_forty_services_of_every_type() -> None:
    """Small enough to read by hand, and every type is there."""
    assert 35 <= len(DIRECTORY.services) <= 45
    assert set(SERVICE_TYPES) == {service.service_type for service in DIRECTORY.services}


def test_every_organisation_has_a_desk() -> None:
    """Every organisation that has a service can own a referral, and the ambulance trust too."""
    desks = {desk.organisation: desk.name for desk in DIRECTORY.desks}
    assert {service.organisation for service in DIRECTORY.services} <= set(desks)
    assert "Ambulance" in desks["ONW01"]


def test_telephones_are_invented() -> None:
    """Every number is of the range that Ofcom keeps free for drama, and stays unused."""
    telephones = [entry.telephone for entry in (*DIRECTORY.services, *DIRECTORY.desks)]
    assert all(telephone.startswith("01632 960") for telephone in telephones)


def test_every_way_to_book_is_there() -> None:
    """Slots, acceptance and delivery."""
    assert {"slots", "acceptance", "delivery"} == {service.booking for service in DIRECTORY.services}


def test_diaries_that_never_close_have_slots_at_all_hours() -> None:
    """A service by slots that is always open has a session from midnight to midnight on every day."""
    for service in DIRECTORY.services:
        if service.booking == "slots" and service.hours.always:
            assert [(DAYS, "00:00", "24:00")] == [(one.days, one.begins, one.ends) for one in service.sessions]


@pytest.mark.parametrize("service_type", SERVICE_TYPES, ids=SERVICE_TYPES.values())
@given(
    north=st.floats(-8, 8),
    east=st.floats(-8, 8),
    minutes=st.integers(0, 366 * 24 * 60),
    years=st.integers(18, 100),
    gender=st.sampled_from(["female", "male", "indeterminate", "unknown"]),
)
def test_the_first_choice_in_town_is_the_same_at_every_hour(
    service_type: int, north: float, east: float, minutes: int, years: int, gender: str
) -> None:
    """An adult within eight km of the middle, each way, is offered first what never closes; nothing is red or shut."""
    place = Position(latitude=TOWN.latitude + north / 111.2, longitude=TOWN.longitude + east / 67.0)
    asked = brief(service_type, position=place, age=Age(value=years), gender=gender)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    first = candidates(SNAPSHOT, asked, now).candidates[0]
    at_noon = candidates(SNAPSHOT, asked, datetime(2026, 6, 3, 11, tzinfo=UTC)).candidates[0]
    assert (at_noon.service_id, None) == (first.service_id, first.open_until)
