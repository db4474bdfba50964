"""Invented directories: sound, of every type, on real geography, and the same from the same seed."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.directory import DAYS, SERVICE_TYPES, Service, SymptomGroup
from contracts.people import Desk
from services.cli.commands import app
from services.pathways.directory_file import read
from services.pathways.invented import REGION_KM, Codes, invented, region
from services.pathways.towns import Town, town, towns

CODES = Codes(
    symptom_groups=(SymptomGroup(code="SG1", discriminators=("SD1", "SD2")), SymptomGroup(code="SG2")),
    dispositions=("DX1", "DX2"),
    referral_roles=("ambulance",),
)


def named(name: str) -> Town:
    """A town of the table."""
    found = town(name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def county() -> list[Desk | Service]:
    """A region of 250 services."""
    return list(invented(region(named("Exeter"), towns()), 250, 3, CODES))


def services_of(directory: list[Desk | Service]) -> list[Service]:
    """The services of a directory."""
    return [one for one in directory if isinstance(one, Service)]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """In another process too, whatever its hash seed; another seed gives others."""
    arguments = ["directory", "generate", "--region", "Exeter", "--services", "40"]
    digests = {}
    for seed in ("3", "4"):
        out = tmp_path / f"{seed}.jsonl"
        assert 0 == CliRunner().invoke(app, [*arguments, "--seed", seed, "--out", str(out)]).exit_code
        digests[seed] = hashlib.sha256(out.read_bytes()).hexdigest()
    other = tmp_path / "other.jsonl"
    subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments, "--seed", "3", "--out", str(other)],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    )
    assert digests["3"] == hashlib.sha256(other.read_bytes()).hexdigest() != digests["4"]


def test_as_many_services_as_asked_for_of_every_type(county: list[Desk | Service]) -> None:
    """Each id and each name once; the commonest type is the GP practice."""
    services = services_of(county)
    types = Counter(one.service_type for one in services)
    assert (250, set(SERVICE_TYPES), 100) == (len(services), set(types), types.most_common(1)[0][0])
    assert 250 == len({one.service_id for one in services}) == len({one.name for one in services})


def test_fewer_services_than_types_are_refused(tmp_path: Path) -> None:
    """The message says how many are needed; so does one that says neither a region nor the country."""
    with pytest.raises(ValueError, match=f"at least {len(SERVICE_TYPES)} services, not 3"):
        list(invented(towns(), 3, 1))
    refused = CliRunner().invoke(app, ["directory", "generate", "--out", str(tmp_path / "one.csv")])
    assert "say either --region TOWN, or --country COUNT" in str(refused.exception)


def test_every_organisation_has_a_desk(county: list[Desk | Service]) -> None:
    """Desks come first, each once."""
    desks = [one.organisation for one in county if isinstance(one, Desk)]
    assert len(desks) == len(set(desks))
    assert {one.organisation for one in services_of(county)} <= set(desks)
    assert all(isinstance(one, Desk) for one in county[: len(desks)])


def test_everything_but_the_places_is_made_up(county: list[Desk | Service]) -> None:
    """Telephones of the range that is kept free for drama, organisations that cannot be ODS codes of the NHS."""
    assert all(one.telephone.startswith("01632 960") and len(one.telephone) == 12 for one in county)
    assert all(one.organisation.startswith("GEN") for one in county)
    names = {one.name.casefold() for one in towns()}
    assert not {one.name.split()[0].casefold() for one in services_of(county)} & names


def test_a_directory_is_sound_and_has_all_that_a_search_asks_for(county: list[Desk | Service], tmp_path: Path) -> None:
    """Files of it are read without a fault, and each limit, way to book and kind of hours is there."""
    file = tmp_path / "one.jsonl"
    file.write_text("".join(one.model_dump_json() + "\n" for one in county))
    assert county == list(read(file))
    services = services_of(county)
    assert {"slots", "acceptance", "delivery"} == {one.booking for one in services}
    assert {"days", "months", "years"} == {age.unit for one in services for age in (one.age_from, one.age_until) if age}
    for name in (
        *("genders", "symptom_groups", "dispositions", "referral_roles", "commissioned_by", "restricted"),
        *("limited_to", "promoted_to", "sessions"),
    ):
        assert any(getattr(one, name) for one in services), name
        assert not all(getattr(one, name) for one in services), name
    assert {None, 0, 15, 30} == {one.only_if_open_within_minutes for one in services}
    assert any(one.hours.dates for one in services)
    assert {None, (), (("10:00", "16:00"),)} == {one.hours.public_holidays for one in services}
    assert any(period.opens > period.closes for one in services for period in one.hours.periods)
    assert any(one.hours.always for one in services)


def test_a_diary_has_slots_whenever_its_service_is_open(county: list[Desk | Service]) -> None:
    """Each period of opening is a session."""
    for one in services_of(county):
        if one.sessions:
            open_when = [(period.days, period.opens, period.closes) for period in one.hours.periods]
            assert (open_when or [(DAYS, "00:00", "24:00")]) == [(s.days, s.begins, s.ends) for s in one.sessions]


def test_services_stand_where_people_live() -> None:
    """Of a region, near one of its towns; more in a larger town; the country's in every part."""
    middle = named("Exeter")
    near = region(middle, towns())
    assert {"Exeter", "Torquay"} <= {one.name for one in near}
    assert REGION_KM == 60
    assert "Bristol" not in {one.name for one in near}
    services = services_of(list(invented(towns(), 1000, 1)))
    nearest = Counter(
        min(
            towns(),
            key=lambda one: (
                (one.position.latitude - service.position.latitude) ** 2
                + (0.6 * (one.position.longitude - service.position.longitude)) ** 2
            ),
        ).name
        for service in services[:300]
    )
    assert "London" == nearest.most_common(1)[0][0]
    assert {True} == {
        any(south <= one.position.latitude < south + 1 for one in services) for south in (50, 51, 52, 53, 54)
    }
