"""The simulated shift: incidents by seed, drives, and what triage makes of each."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from contracts.people import Position
from services.cli.demo import SCENARIOS
from services.device.incidents import Spread, scenarios
from services.device.shift import SPREAD_KM, figures, kilometres, shift
from services.gateway.nhs_number import check_digit_holds
from services.triage.decision import decide
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED

MIDDLE = Position(latitude=52.9, longitude=-1.2)
ELSEWHERE = Position(latitude=53.9, longitude=-1.2)
BEGINS = datetime(2031, 3, 4, 7, tzinfo=UTC)
RULES = Rules(load(SHIPPED))


def in_life(at: timedelta) -> datetime:
    """A shift that takes as long as it says."""
    return BEGINS + at


def test_one_seed_makes_one_shift() -> None:
    """The same seed makes the same incidents, keys and times included; another seed makes others."""
    first, again, other = (list(islice(shift(seed, [MIDDLE], in_life), 20)) for seed in (3, 3, 4))

    assert first == again
    assert {one.key for one in first}.isdisjoint(one.key for one in other)


def test_every_scenario_is_triaged_as_its_table_says() -> None:
    """Forty draws of each scenario: acuity and first service type are those of the committed table."""
    for incident in islice(shift(5, [MIDDLE], in_life), 40 * len(scenarios())):
        decision = decide(incident.submission, RULES, BEGINS + incident.at)

        assert (incident.scenario, incident.expect.acuity, incident.expect.service_type) == (
            incident.scenario,
            decision.acuity,
            next(iter(decision.service_types), None),
        )


def test_every_presentation_of_the_pack_is_met_and_every_question_answered() -> None:
    """The shipped incidents cover the shipped rules: each presentation, and an answer to each thing that it asks."""
    pack = load(SHIPPED)
    met = {scenario.presentation for scenario in scenarios().values()}
    unanswered = {
        name: missing
        for name, scenario in scenarios().items()
        if (missing := set(pack.presentations[scenario.presentation].asks) - set(scenario.answers))
    }

    assert (set(pack.presentations), {}) == (met, unanswered)


def test_no_answer_of_an_incident_is_marked_as_odd() -> None:
    """Ten draws of each scenario: every answer is one of those that its question knows."""
    odd = {
        (incident.scenario, mark.code)
        for incident in islice(shift(8, [MIDDLE], in_life), 10 * len(scenarios()))
        for mark in decide(incident.submission, RULES, BEGINS + incident.at).marks
        if mark.pointer.startswith("/findings/answers")
    }

    assert set() == odd


def test_every_figure_of_an_incident_has_its_source() -> None:
    """Each scenario says where its figures are from, or that they are assumed."""
    assert [] == [name for name, scenario in scenarios().items() if len(scenario.source) < 10]


def test_nhs_numbers_are_made_up_and_sound() -> None:
    """Made-up NHS numbers are of the range for tests, and their check digit is right."""
    numbers = [one.submission.patient.nhs_number for one in islice(shift(6, [MIDDLE], in_life), 500)]

    assert all(number is not None and number.startswith("9") and check_digit_holds(number) for number in numbers)


def test_the_demo_shows_what_it_promises() -> None:
    """Stroke, cardiac arrest, fall, sepsis, chest pain, mental-health crisis, palliative and blocked catheter."""
    promised = {
        "stroke",
        "cardiac-arrest",
        "fall",
        "sepsis",
        "low-risk-chest-pain",
        "mental-health-crisis",
        "palliative",
        "blocked-catheter",
    }

    assert promised == set(SCENARIOS) <= set(scenarios())


def test_a_crew_drives_straight_lines_at_the_speed_of_real_roads() -> None:
    """Between two patients lie the drive, the time at the patient and the wait: never less than road and work take."""
    known = figures()
    incidents = list(islice(shift(7, [MIDDLE], in_life), 200))
    least = known.on_scene_minutes.least + known.until_the_next_minutes.least
    most = known.on_scene_minutes.most + known.until_the_next_minutes.most

    for before, after in pairwise(incidents):
        km = kilometres(before.submission.position, after.submission.position)
        drive = timedelta(hours=km / 40.9)
        assert km == pytest.approx(after.driven_km, abs=0.051)
        assert timedelta(minutes=least) <= after.at - before.at - drive <= timedelta(minutes=most)


def test_between_towns_roads_are_faster() -> None:
    """A crew that drives between two towns 111 km apart works in both, and takes 70 minutes from one to the other."""
    incidents = list(islice(shift(7, [MIDDLE, ELSEWHERE], in_life), 50))
    longest = max(incidents, key=lambda one: one.driven_km)

    assert {True, False} == {one.submission.position.latitude > 53.4 for one in incidents}
    assert 111.2 - 2 * SPREAD_KM < longest.driven_km < 111.2 + 4 * SPREAD_KM


def test_a_spread_draws_about_its_mean_within_its_limits() -> None:
    """Ten thousand draws: none outside, whole where nothing else is said, their mean near the one given."""
    import random

    chance = random.Random(1)
    spread = Spread.model_validate({"from": 10, "to": 30, "mean": 18, "deviation": 3})
    drawn = [spread.drawn(chance) for _ in range(10_000)]

    assert (True, {int}) == (10 <= min(drawn) <= max(drawn) <= 30, {type(one) for one in drawn})
    assert sum(drawn) / len(drawn) == pytest.approx(18, abs=0.2)
