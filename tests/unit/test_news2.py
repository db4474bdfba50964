"""NEWS2: every boundary of the chart (Royal College of Physicians, 2017), typed in from it, not read from the pack."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.people import Age, Patient
from contracts.submissions import Consciousness, Observations
from services.triage import news2
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED

CHART = load(SHIPPED).news2

NORMAL: dict[str, Any] = {
    "respiration_per_min": 16,
    "oxygen_saturation_percent": 97,
    "on_oxygen": False,
    "systolic_mmhg": 125,
    "pulse_per_min": 70,
    "consciousness": "alert",
    "temperature_celsius": 37.0,
}


def seen(**observations: Any) -> Observations:
    """Observations of a healthy adult, but for those given; None leaves one out."""
    return Observations(**(NORMAL | observations))


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, or nothing measured."""
    return st.none() | values


OBSERVATIONS = st.builds(
    Observations,
    respiration_per_min=some(st.integers(0, 80)),
    oxygen_saturation_percent=some(st.integers(0, 100)),
    on_oxygen=some(st.booleans()),
    hypercapnic=st.booleans(),
    systolic_mmhg=some(st.integers(0, 300)),
    pulse_per_min=some(st.integers(0, 300)),
    consciousness=some(st.sampled_from(["alert", "confusion", "voice", "pain", "unresponsive"])),
    temperature_celsius=some(st.floats(20, 45)),
)


@pytest.mark.parametrize(
    ("points", "respiration"),
    [(3, 0), (3, 8), (1, 9), (1, 11), (0, 12), (0, 20), (2, 21), (2, 24), (3, 25), (3, 60)],
)
def test_respiration(points: int, respiration: int) -> None:
    """Breaths a minute: 8 or less 3, 9 to 11 1, 12 to 20 0, 21 to 24 2, 25 or more 3."""
    assert points == news2.respiration_points(CHART, respiration)


@pytest.mark.parametrize("on_oxygen", [True, False, None])
@pytest.mark.parametrize(
    ("points", "saturation"), [(3, 0), (3, 91), (2, 92), (2, 93), (1, 94), (1, 95), (0, 96), (0, 100)]
)
def test_saturation_on_scale_1(points: int, saturation: int, on_oxygen: bool | None) -> None:
    """Percent, scale 1: 91 or less 3, 92 to 93 2, 94 to 95 1, 96 or more 0, on air and on oxygen alike."""
    assert points == news2.saturation_points(CHART, saturation, on_oxygen=on_oxygen, hypercapnic=False)


@pytest.mark.parametrize(
    ("points", "saturation"),
    [(3, 0), (3, 83), (2, 84), (2, 85), (1, 86), (1, 87), (0, 88), (0, 92), (0, 93), (0, 95), (0, 97), (0, 100)],
)
def test_saturation_on_scale_2_on_air(points: int, saturation: int) -> None:
    """Percent, scale 2 on air: 83 or less 3, 84 to 85 2, 86 to 87 1, 88 or more 0."""
    assert points == news2.saturation_points(CHART, saturation, on_oxygen=False, hypercapnic=True)


@pytest.mark.parametrize(
    ("points", "saturation"),
    [
        (3, 0),
        (3, 83),
        (2, 84),
        (2, 85),
        (1, 86),
        (1, 87),
        (0, 88),
        (0, 92),
        (1, 93),
        (1, 94),
        (2, 95),
        (2, 96),
        (3, 97),
        (3, 100),
    ],
)
def test_saturation_on_scale_2_on_oxygen(points: int, saturation: int) -> None:
    """Percent, scale 2 on oxygen: as on air up to 92; then 93 to 94 1, 95 to 96 2, 97 or more 3."""
    assert points == news2.saturation_points(CHART, saturation, on_oxygen=True, hypercapnic=True)


@pytest.mark.parametrize(("points", "on_oxygen"), [(0, False), (2, True)])
def test_air_or_oxygen(points: int, on_oxygen: bool) -> None:
    """Air 0, oxygen 2."""
    assert points == news2.oxygen_points(CHART, on_oxygen=on_oxygen)


@pytest.mark.parametrize(
    ("points", "systolic"),
    [(3, 0), (3, 90), (2, 91), (2, 100), (1, 101), (1, 110), (0, 111), (0, 219), (3, 220), (3, 300)],
)
def test_systolic(points: int, systolic: int) -> None:
    """MmHg: 90 or less 3, 91 to 100 2, 101 to 110 1, 111 to 219 0, 220 or more 3."""
    assert points == news2.systolic_points(CHART, systolic)


@pytest.mark.parametrize(
    ("points", "pulse"),
    [(3, 0), (3, 40), (1, 41), (1, 50), (0, 51), (0, 90), (1, 91), (1, 110), (2, 111), (2, 130), (3, 131), (3, 250)],
)
def test_pulse(points: int, pulse: int) -> None:
    """Beats a minute: 40 or less 3, 41 to 50 1, 51 to 90 0, 91 to 110 1, 111 to 130 2, 131 or more 3."""
    assert points == news2.pulse_points(CHART, pulse)


@pytest.mark.parametrize(
    ("points", "consciousness"), [(0, "alert"), (3, "confusion"), (3, "voice"), (3, "pain"), (3, "unresponsive")]
)
def test_consciousness(points: int, consciousness: str) -> None:
    """Alert 0; new confusion, voice, pain, unresponsive 3."""
    assert points == news2.consciousness_points(CHART, cast("Consciousness", consciousness))


@pytest.mark.parametrize(
    ("points", "temperature"),
    [
        (3, 0.0),
        (3, 35.0),
        (1, 35.1),
        (1, 36.0),
        (0, 36.1),
        (0, 38.0),
        (1, 38.1),
        (1, 39.0),
        (2, 39.1),
        (2, 43.0),
    ],
)
def test_temperature(points: int, temperature: float) -> None:
    """Degrees Celsius: 35.0 or less 3, 35.1 to 36.0 1, 36.1 to 38.0 0, 38.1 to 39.0 1, 39.1 or more 2."""
    assert points == news2.temperature_points(CHART, temperature)


@pytest.mark.parametrize(("points", "temperature"), [(3, 35.05), (1, 36.05), (1, 38.05), (2, 39.05), (2, 39.001)])
def test_temperature_between_two_steps(points: int, temperature: float) -> None:
    """A second decimal between two steps of the chart has the points of the worse one."""
    assert points == news2.temperature_points(CHART, temperature)


@pytest.mark.parametrize(
    ("band", "total", "highest_single"),
    [
        ("low", 0, 0),
        ("low", 4, 2),
        ("low-medium", 3, 3),
        ("low-medium", 4, 3),
        ("medium", 5, 2),
        ("medium", 5, 3),
        ("medium", 6, 3),
        ("high", 7, 2),
        ("high", 20, 3),
    ],
)
def test_bands(band: str, total: int, highest_single: int) -> None:
    """0 to 4 low, or low-medium with a single 3; 5 to 6 medium; 7 or more high."""
    assert band == news2.band_of(CHART, total, highest_single)


def test_a_healthy_adult_has_no_points() -> None:
    """Seven normal observations make a complete score of 0."""
    score = news2.score(CHART, seen())
    assert (0, True, (), "low") == (score.total, score.complete, score.missing, score.band)


def test_the_highest_score_is_20() -> None:
    """The worst of each of the seven parameters."""
    score = news2.score(
        CHART,
        seen(
            respiration_per_min=40,
            oxygen_saturation_percent=70,
            on_oxygen=True,
            systolic_mmhg=60,
            pulse_per_min=160,
            consciousness="unresponsive",
            temperature_celsius=34.0,
        ),
    )
    assert (20, 3, "high") == (score.total, score.highest_single, score.band)


def test_oxygen_on_scale_2_counts_twice() -> None:
    """Too much oxygen in hypercapnic failure: 2 points for the oxygen and 3 for a saturation of 97."""
    score = news2.score(CHART, seen(hypercapnic=True, on_oxygen=True, oxygen_saturation_percent=97))
    assert {"on_oxygen": 2, "oxygen_saturation_percent": 3} == {
        name: points for name, points in score.points.items() if points
    }


@pytest.mark.parametrize("name", list(NORMAL))
def test_each_missing_observation_is_named(name: str) -> None:
    """A missing observation makes the score incomplete, under its name, and has no points."""
    score = news2.score(CHART, seen(**{name: None}))
    assert (False, (name,), False) == (score.complete, score.missing, name in score.points)


def test_nothing_measured_is_no_reassurance() -> None:
    """Without any observation the total is 0, incomplete, with all seven missing."""
    score = news2.score(CHART, Observations())
    assert (0, False, tuple(NORMAL)) == (score.total, score.complete, score.missing)


@pytest.mark.parametrize("hypercapnic", [True, False])
def test_unknown_oxygen_is_a_missing_observation(hypercapnic: bool) -> None:
    """A saturation of 98 without air or oxygen has the fewer points of both, on either scale, and is incomplete."""
    score = news2.score(CHART, seen(oxygen_saturation_percent=98, on_oxygen=None, hypercapnic=hypercapnic))
    assert (0, ("on_oxygen",)) == (score.points["oxygen_saturation_percent"], score.missing)


@given(OBSERVATIONS)
def test_the_total_is_the_sum_of_its_parts(observations: Observations) -> None:
    """Total, highest single and band follow from the points; every parameter has points or is missing."""
    score = news2.score(CHART, observations)
    assert sum(score.points.values()) == score.total
    assert max(score.points.values(), default=0) == score.highest_single
    assert set(NORMAL) == set(score.points) | set(score.missing)
    assert set() == set(score.points) & set(score.missing)
    assert score.complete == (not score.missing)


@given(OBSERVATIONS, st.sampled_from(list(NORMAL)))
def test_a_missing_observation_never_raises_the_total(observations: Observations, name: str) -> None:
    """Leaving any one out gives a total and a highest single that are no higher: a lower bound."""
    whole = news2.score(CHART, observations)
    less = news2.score(CHART, observations.model_copy(update={name: None}))
    assert less.total <= whole.total
    assert less.highest_single <= whole.highest_single


@given(st.floats(0, 60), st.floats(0, 60))
def test_further_from_normal_is_never_fewer_points(one: float, other: float) -> None:
    """Temperature, at any number of decimals: colder below 36.1 and hotter above 38.0 never have fewer points."""
    near, far = sorted((one, other), key=lambda celsius: abs(celsius - 37.05))
    if (near < 37.05) == (far < 37.05):
        assert news2.temperature_points(CHART, far) >= news2.temperature_points(CHART, near)


@given(st.integers(0, 100), st.integers(0, 100))
def test_less_saturation_is_never_fewer_points_on_scale_1(one: int, other: int) -> None:
    """Scale 1 has no upper limit: less oxygen in the blood is never better."""
    less, more = sorted((one, other))
    assert news2.saturation_points(CHART, less, on_oxygen=None, hypercapnic=False) >= news2.saturation_points(
        CHART, more, on_oxygen=None, hypercapnic=False
    )


@given(OBSERVATIONS)
def test_oxygen_never_lowers_the_total(observations: Observations) -> None:
    """The same observations on oxygen have at least the points that they have on air."""
    on_air = news2.score(CHART, observations.model_copy(update={"on_oxygen": False}))
    on_oxygen = news2.score(CHART, observations.model_copy(update={"on_oxygen": True}))
    assert on_oxygen.total >= on_air.total + 2


@pytest.mark.parametrize(
    "patient",
    [
        Patient(age=Age(value=16)),
        Patient(age=Age(value=192, unit="months")),
        Patient(age=Age(value=5844, unit="days")),
        Patient(age=Age(value=99), pregnant=False),
        Patient(age=Age(value=30), gender="female", pregnant=None),
    ],
)
def test_valid_from_16_years(patient: Patient) -> None:
    """16 years and older in any unit, not known to be pregnant: scored."""
    assert news2.why_not_valid(CHART, patient) is None


@pytest.mark.parametrize(
    ("why", "patient"),
    [
        ("under 16", Patient(age=Age(value=15))),
        ("under 16", Patient(age=Age(value=0))),
        ("under 16", Patient(age=Age(value=191, unit="months"))),
        ("under 16", Patient(age=Age(value=5843, unit="days"))),
        ("under 16", Patient(age=Age(value=15), pregnant=True)),
        ("pregnant", Patient(age=Age(value=16), pregnant=True)),
        ("age is unknown", Patient(age=None)),
    ],
)
def test_not_valid(why: str, patient: Patient) -> None:
    """Under 16, in pregnancy, and at an unknown age, which could be a child's: the reason is said."""
    assert why in (news2.why_not_valid(CHART, patient) or "")
