"""Scenarios: those that are shipped can be run, and a faulty one is refused with its file and every fault."""

import pytest

from loadtests.run import Asked
from loadtests.scenario import ScenarioFaulty, file_of, read, shipped

GOOD = """
title = "A"
shows = "b"
[[load]]
name = "refer"
kind = "transaction"
where = "Nottingham"
schedule = { constant = { per_second = 10, seconds = 60 } }
"""


def refused(tmp_path, text: str) -> str:
    """What is said of a scenario that cannot be run."""
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(ScenarioFaulty) as refusal:
        read(file)
    return str(refusal.value).replace(str(tmp_path), "")


def test_every_shipped_scenario_can_be_run_and_shortened():
    """Each holds, says what it shows, and asks less when it is shortened."""
    names = {file.stem for file in shipped()}
    assert names == {
        *("single-transaction", "event-burst", "pathways-lookup", "hot-service", "major-incident"),
        *("englands-day", "overload", "slow-consumer", "soak"),
    }
    for file in shipped():
        scenario = read(file)
        assert scenario.shows
        for load in scenario.load:
            whole = Asked().schedule(load, scenario.faster, 100.0)
            short = Asked(shorten=10).schedule(load, scenario.faster, 100.0)
            assert pytest.approx(whole.requests / 10, rel=0.01) == short.requests
            assert pytest.approx(whole.seconds / 10) == short.seconds


def test_englands_day_has_the_published_demand():
    """140,000 events; and the peak of what is urgent (999 and 111) stays under 10 a second, as published."""
    day = read(file_of("englands-day"))
    assert 140_000 == pytest.approx(sum(load.schedule.schedule.requests for load in day.load))
    urgent = [load.schedule.schedule for load in day.load if load.name.startswith("calls")]
    assert 1 < max(sum(one.rate(hour * 3600) for one in urgent) for hour in range(24)) < 10


def test_the_soak_lasts_half_an_hour():
    """As long as it takes to see whether memory grows."""
    assert {1800} == {load.schedule.schedule.seconds for load in read(file_of("soak")).load}


def test_a_sound_scenario_holds(tmp_path):
    """The one that the faulty ones below are made from."""
    (tmp_path / "own.toml").write_text(GOOD)
    assert "A" == read(tmp_path / "own.toml").title


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("per_second = 10", "per_second = 0", "load 1, schedule, constant, per_second: Input should be greater than 0"),
        ("per_second = 10, ", "", "load 1, schedule, constant, per_second: Field required"),
        ("constant", "flat", "load 1, schedule, flat: Extra inputs are not permitted"),
        ("Nottingham", "Nowhere", "there is no town Nowhere"),
        ('"transaction"', '"letter"', "load 1, kind: Input should be 'transaction', 'lookup' or 'event'"),
        ('where = "N', 'incidents = ["cough"]\nwhere = "N', "there is no kind cough"),
        ("schedule = {", "schedule = { burst = { events = 1 },", "say exactly one of"),
        ('title = "A"', "", "title: Field required"),
        ('title = "A"', "title = A", "not TOML"),
        ('where = "N', 'of_capacity = true\nkind2 = 1\nwhere = "N', "load 1, kind2: Extra inputs"),
    ],
)
def test_a_faulty_scenario_is_refused_with_file_and_fault(tmp_path, good, bad, fault):
    """Each thing that can be wrong, named where it stands."""
    said = refused(tmp_path, GOOD.replace(good, bad, 1))
    assert said.startswith("/own.toml: ")
    assert fault in said


def test_every_fault_is_named_at_once(tmp_path):
    """Two faults, two lines."""
    said = refused(tmp_path, GOOD.replace("per_second = 10", "per_second = 0").replace('shows = "b"', ""))
    assert 2 == len(said.splitlines())


def test_an_unknown_scenario_names_those_that_there_are():
    """A name that is mistaken is answered with the names."""
    with pytest.raises(ScenarioFaulty, match="event-burst"):
        file_of("event-brust")
