"""Decisions: red flags first, what is unknown to a clinician, every one ends somewhere, oddities marked."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.brief import Acuity
from contracts.people import Age, Patient, Position
from contracts.submissions import FastTest, Findings, Observations, Submission
from services.triage.decision import Decision, decide, fast_result
from services.triage.precedence import Rules
from services.triage.rule_pack import load, more_urgent
from services.triage.settings import SHIPPED

PACK = load(SHIPPED)
RULES = Rules(PACK)
UNMARKED = Rules(load(SHIPPED).model_copy(update={"oddities": (), "plausible": {}}))
NOW = datetime(2026, 3, 2, 16, 40, tzinfo=UTC)
ACUITIES = get_args(Acuity)

WELL: dict[str, Any] = {
    "respiration_per_min": 16,
    "oxygen_saturation_percent": 97,
    "on_oxygen": False,
    "systolic_mmhg": 130,
    "pulse_per_min": 75,
    "consciousness": "alert",
    "temperature_celsius": 36.8,
}
ADULT = Patient(age=Age(value=70))
CHILD = Patient(age=Age(value=9))
PREGNANT = Patient(age=Age(value=30), gender="female", pregnant=True)
AGE_UNKNOWN = Patient()


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, or nothing said."""
    return st.none() | values


SUBMISSIONS = st.builds(
    Submission,
    patient=st.builds(
        Patient,
        age=some(st.builds(Age, value=st.integers(0, 110))),
        gender=st.sampled_from(["female", "male", "indeterminate", "unknown"]),
        pregnant=some(st.booleans()),
    ),
    position=st.just(Position(latitude=54.0, longitude=-1.5)),
    presentation=st.sampled_from([*PACK.presentations, "purple-spots"]),
    findings=st.builds(
        Findings,
        cardiac_arrest=st.booleans(),
        fast=some(st.builds(FastTest, face=some(st.booleans()), arm=some(st.booleans()), speech=some(st.booleans()))),
        suspected_infection=some(st.booleans()),
    ),
    observations=st.builds(
        Observations,
        respiration_per_min=some(st.integers(0, 100)),
        oxygen_saturation_percent=some(st.integers(0, 100)),
        on_oxygen=some(st.booleans()),
        hypercapnic=st.booleans(),
        systolic_mmhg=some(st.integers(0, 300)),
        pulse_per_min=some(st.integers(0, 300)),
        consciousness=some(st.sampled_from(["alert", "confusion", "voice", "pain", "unresponsive"])),
        temperature_celsius=some(st.floats(0, 60)),
    ),
    accept=st.just("any"),
)


ANSWERED: dict[str, dict[str, Any]] = {
    "stroke": {"onset": "2026-03-02T15:40:00Z"},
    "stemi": {"onset": "2026-03-02T15:40:00Z", "transfer_minutes": 35},
}
"""What the presentations that ask for it are told unless a test tells them otherwise."""


def decided(
    presentation: str = "fall",
    patient: Patient = ADULT,
    findings: Findings | None = None,
    observations: dict[str, Any] | None = None,
    **answers: Any,
) -> Decision:
    """The decision on a patient who is well but for what is given."""
    return decide(
        Submission(
            patient=patient,
            position=Position(latitude=54.0, longitude=-1.5),
            presentation=presentation,
            findings=(findings or Findings()).model_copy(update={"answers": ANSWERED.get(presentation, {}) | answers}),
            observations=Observations(**(WELL | (observations or {}))),
            accept="any",
        ),
        RULES,
        NOW,
    )


def rules(decision: Decision) -> list[str]:
    """The rules that held, the deciding one first."""
    return [reason.rule for reason in decision.reasons]


def codes(decision: Decision) -> list[str]:
    """The codes of its marks."""
    return [mark.code for mark in decision.marks]


@given(SUBMISSIONS)
def test_every_decision_ends_in_an_acuity_and_a_type_or_a_clinician(submission: Submission) -> None:
    """Whatever is sent: an acuity, a disposition with minutes, a reason, and service types or else a clinician."""
    decision = decide(submission, RULES, NOW)
    assert decision.acuity in ACUITIES
    assert decision.to_clinician == (not decision.service_types)
    assert RULES.disposition_of[decision.disposition.code] == decision.disposition
    assert decision.reasons
    assert (decision.scores.news2 is None) == (decision.scores.news2_not_scored is not None)


@given(SUBMISSIONS)
def test_a_red_flag_decides_whatever_else_is_found(submission: Submission) -> None:
    """Cardiac arrest goes to the nearest emergency department: any age, pregnancy, presentation, observations."""
    findings = submission.findings.model_copy(update={"cardiac_arrest": True})
    arrest = submission.model_copy(update={"findings": findings})
    decision = decide(arrest, RULES, NOW)
    assert ("immediate", (105,), False) == (decision.acuity, decision.service_types, decision.to_clinician)


@given(SUBMISSIONS)
def test_not_valid_means_not_scored(submission: Submission) -> None:
    """Under 16, pregnant or of unknown age: no score, the reason said; everyone else is scored."""
    patient = submission.patient
    valid = patient.age is not None and patient.age.value >= 16 and not patient.pregnant
    assert valid == (decide(submission, RULES, NOW).scores.news2 is not None)


@given(SUBMISSIONS)
def test_the_decision_is_no_less_urgent_than_its_band(submission: Submission) -> None:
    """A high NEWS2 is at least very urgent, a medium one and a single 3 at least urgent, whatever the presentation."""
    decision = decide(submission, RULES, NOW)
    least = {"high": "very_urgent", "medium": "urgent", "low-medium": "urgent"}
    if decision.scores.news2 is not None and decision.scores.news2.band in least:
        assert ACUITIES.index(decision.acuity) <= ACUITIES.index(least[decision.scores.news2.band])


@given(SUBMISSIONS)
def test_marks_never_change_the_decision(submission: Submission) -> None:
    """Without oddities and plausible ranges the same is decided."""
    assert decide(submission, UNMARKED, NOW)[:-1] == decide(submission, RULES, NOW)[:-1]


@pytest.mark.parametrize("patient", [CHILD, PREGNANT, AGE_UNKNOWN], ids=["child", "pregnant", "age unknown"])
@pytest.mark.parametrize(
    ("presentation", "findings", "first_type"),
    [
        ("fall", Findings(cardiac_arrest=True), 105),
        ("fall", Findings(fast=FastTest(arm=True)), 122),
        ("purple-spots", Findings(fast=FastTest(speech=True)), 122),
        ("cardiac-arrest", Findings(), 105),
        ("stroke", Findings(), 122),
        ("stemi", Findings(), 121),
    ],
)
def test_nothing_time_critical_waits_for_a_clinician(
    patient: Patient, presentation: str, findings: Findings, first_type: int
) -> None:
    """Children, pregnancy, unknown age: red flags and time-critical presentations go where they must at once."""
    decision = decided(presentation, patient, findings)
    assert (first_type, False) == (decision.service_types[0], decision.to_clinician)


@pytest.mark.parametrize(
    ("why", "patient"), [("under 16", CHILD), ("pregnant", PREGNANT), ("age is unknown", AGE_UNKNOWN)]
)
@pytest.mark.parametrize("presentation", ["fall", "sepsis", "minor-injury", "blocked-catheter"])
def test_who_cannot_be_scored_goes_to_a_clinician(why: str, patient: Patient, presentation: str) -> None:
    """Not scored, the reason said, at least urgent, to a clinician."""
    decision = decided(presentation, patient)
    assert ("news2-not-valid", True, ()) == (rules(decision)[0], decision.to_clinician, decision.service_types)
    assert "urgent" == decision.acuity
    assert why in (decision.scores.news2_not_scored or "")


def test_who_cannot_be_scored_keeps_the_urgency_of_the_presentation() -> None:
    """A child with chest pain goes to a clinician as urgently as the presentation is."""
    decision = decided("chest-pain", CHILD)
    assert ("very_urgent", True) == (decision.acuity, decision.to_clinician)


def test_an_unknown_presentation_is_accepted_marked_and_goes_to_a_clinician() -> None:
    """It has an owner and a mark; nothing is guessed."""
    decision = decided("purple-spots")
    assert (["unknown-presentation"], True, ()) == (rules(decision), decision.to_clinician, decision.service_types)
    assert ["presentation-unknown"] == codes(decision)


def test_an_unknown_presentation_is_as_urgent_as_its_score() -> None:
    """The clinician sees a high NEWS2 first."""
    decision = decided(
        "purple-spots", observations={"respiration_per_min": 30, "pulse_per_min": 135, "systolic_mmhg": 85}
    )
    assert ("very_urgent", ["unknown-presentation", "news2-high"]) == (decision.acuity, rules(decision))


def test_all_red_flags_that_hold_are_among_the_reasons() -> None:
    """Cardiac arrest decides, and the stroke is not lost."""
    decision = decided(findings=Findings(cardiac_arrest=True, fast=FastTest(face=True)))
    assert (["cardiac-arrest", "fast-positive"], (105,)) == (rules(decision), decision.service_types)


def test_a_score_that_decides_is_named_once() -> None:
    """A fall with a NEWS2 of 7 goes to an emergency department because of the score alone."""
    assert ["news2-high"] == rules(
        decided("fall", observations={"respiration_per_min": 30, "pulse_per_min": 135, "temperature_celsius": 38.5})
    )


def test_a_score_that_only_raises_the_acuity_stands_second() -> None:
    """Palliative care with a medium score stays at home, more urgently."""
    decision = decided("palliative", observations={"respiration_per_min": 22, "pulse_per_min": 95, "systolic_mmhg": 98})
    assert (["palliative", "news2-medium"], 146) == (rules(decision), decision.service_types[0])


@pytest.mark.parametrize("missing", list(WELL))
@pytest.mark.parametrize("presentation", ["fall", "frailty", "urinary-infection", "hypoglycaemia"])
def test_care_at_home_on_the_strength_of_a_low_score_needs_a_complete_one(presentation: str, missing: str) -> None:
    """A lower bound of 0 is not a low NEWS2: a clinician decides, and sees that it is incomplete."""
    decision = decided(presentation, observations={missing: None})
    assert ([f"{presentation}-incomplete"], True) == (rules(decision), decision.to_clinician)
    assert ["news2-incomplete"] == codes(decision)


@pytest.mark.parametrize("missing", list(WELL))
@pytest.mark.parametrize("presentation", ["low-risk-chest-pain", "sepsis", "breathing-difficulty"])
def test_same_day_care_on_the_strength_of_a_low_score_needs_a_complete_one(presentation: str, missing: str) -> None:
    """Where a missing observation could hide an emergency, an emergency department it is."""
    decision = decided(presentation, observations={missing: None})
    assert ([f"{presentation}-incomplete"], (105,)) == (rules(decision), decision.service_types)


def test_a_lower_bound_that_is_high_already_decides() -> None:
    """What is missing can only raise it further: an emergency department at once."""
    decision = decided(
        "fall",
        observations={
            "respiration_per_min": 30,
            "pulse_per_min": 135,
            "systolic_mmhg": 85,
            "temperature_celsius": None,
        },
    )
    assert ("very_urgent", 105) == (decision.acuity, decision.service_types[0])


def test_what_is_not_measured_is_said_in_words() -> None:
    """A receiving service sees the mark, not the observations."""
    [mark] = decided("blocked-catheter", observations={"temperature_celsius": None, "on_oxygen": None}).marks
    assert "NEWS2 is a lower bound. Not measured: air or oxygen, temperature." == mark.text


@pytest.mark.parametrize(
    ("expected", "fast"),
    [
        ("unknown", None),
        ("unknown", FastTest()),
        ("unknown", FastTest(face=False, arm=False)),
        ("negative", FastTest(face=False, arm=False, speech=False)),
        ("positive", FastTest(face=True)),
        ("positive", FastTest(face=False, arm=True, speech=False)),
        ("positive", FastTest(arm=False, speech=True)),
    ],
)
def test_fast(expected: str, fast: FastTest | None) -> None:
    """Any sign is positive; negative only when all three were tested."""
    assert expected == fast_result(fast)


@pytest.mark.parametrize(
    ("mark", "pointer", "decision"),
    [
        (
            "arrest-yet-responsive",
            "/observations/consciousness",
            decided("cardiac-arrest", findings=Findings(cardiac_arrest=True)),
        ),
        (
            "arrest-not-among-findings",
            "/findings/cardiac_arrest",
            decided("cardiac-arrest", observations={"consciousness": "unresponsive"}),
        ),
        (
            "stroke-without-signs",
            "/findings/fast",
            decided("stroke", findings=Findings(fast=FastTest(face=False, arm=False, speech=False))),
        ),
        ("stroke-not-tested", "/findings/fast", decided("stroke")),
        ("sepsis-without-infection", "/findings/suspected_infection", decided("sepsis")),
        (
            "sepsis-without-infection",
            "/findings/suspected_infection",
            decided("sepsis", findings=Findings(suspected_infection=False)),
        ),
        ("low-risk-yet-unwell", "/presentation", decided("low-risk-chest-pain", observations={"systolic_mmhg": 88})),
        (
            "pregnant-and-male",
            "/patient/pregnant",
            decided(patient=Patient(age=Age(value=40), gender="male", pregnant=True)),
        ),
        ("age-unknown", "/patient/age", decided(patient=AGE_UNKNOWN)),
        (
            "implausible-observation",
            "/observations/respiration_per_min",
            decided(observations={"respiration_per_min": 600}),
        ),
        (
            "implausible-observation",
            "/observations/oxygen_saturation_percent",
            decided(observations={"oxygen_saturation_percent": 9}),
        ),
        ("implausible-observation", "/observations/systolic_mmhg", decided(observations={"systolic_mmhg": 13})),
        ("implausible-observation", "/observations/pulse_per_min", decided(observations={"pulse_per_min": 900})),
        (
            "implausible-observation",
            "/observations/temperature_celsius",
            decided(observations={"temperature_celsius": 3.8}),
        ),
        ("onset-not-said", "/findings/answers/onset", decided("stemi", onset="unknown")),
        ("transfer-not-said", "/findings/answers/transfer_minutes", decided("stemi", transfer_minutes="unknown")),
        ("recovered-yet-low", "/findings/answers/glucose_mmol_per_l", decided("hypoglycaemia", glucose_mmol_per_l=2.9)),
        ("no-injury-yet-fracture", "/findings/answers/suspected_fracture", decided(suspected_fracture="yes")),
        ("stemi-without-st-elevation", "/findings/answers/ecg", decided("stemi", ecg="normal")),
        (
            "airway-clear-yet-at-risk",
            "/findings/answers/airway_cleared",
            decided("airway", airway_at_risk="yes", airway_cleared="yes"),
        ),
        ("child-yet-grown", "/patient/age", decided("unwell-child")),
        ("question-unknown", "/findings/answers/favourite_colour", decided(favourite_colour="blue")),
        ("answer-unusable", "/findings/answers/struck_head", decided(struck_head="perhaps")),
        ("answer-unusable", "/findings/answers/hours_on_floor", decided(hours_on_floor="yes")),
        ("answer-unusable", "/findings/answers/ecg", decided("chest-pain", ecg="purple")),
        ("implausible-answer", "/findings/answers/hours_on_floor", decided(hours_on_floor=-3)),
    ],
)
def test_an_oddity_is_marked_where_it_is(mark: str, pointer: str, decision: Decision) -> None:
    """One mark, with a pointer into the submission; the decision is made all the same."""
    assert [(mark, pointer)] == [(one.code, one.pointer) for one in decision.marks]
    assert decision.reasons


def test_an_onset_in_the_future_is_marked_and_not_believed() -> None:
    """It counts as not given: ST elevation from tomorrow is ST elevation now, whatever the clock said."""
    decision = decided("stemi", onset=(NOW + timedelta(hours=1)).isoformat())
    assert ["onset-not-said", "time-in-the-future"] == codes(decision)
    assert ("very_urgent", (121, 105)) == (decision.acuity, decision.service_types)


def test_clocks_may_differ_by_five_minutes() -> None:
    """An onset a little ahead of the server's clock is now."""
    assert [] == codes(decided("stemi", onset=(NOW + timedelta(minutes=4)).isoformat()))


def test_contradictory_answers_are_decided_for_the_worse_and_marked() -> None:
    """An airway both at risk and clear is at risk: immediate, and a clinician sees the contradiction."""
    decision = decided("airway", airway_at_risk="yes", airway_cleared="yes")
    assert ("immediate", ["airway-clear-yet-at-risk"]) == (decision.acuity, codes(decision))


def test_an_answer_that_cannot_be_used_counts_as_not_given() -> None:
    """The decision is that of the question left open."""
    assert decided("head-injury")[:-1] == decided("head-injury", anticoagulated="perhaps")[:-1]


@pytest.mark.parametrize(
    ("patient", "acuity", "to_clinician"), [(CHILD, "very_urgent", False), (PREGNANT, "very_urgent", False)]
)
def test_a_red_flag_of_another_presentation_waits_for_no_score(
    patient: Patient, acuity: str, to_clinician: bool
) -> None:
    """A child who fell on the head and vomits is decided by the head injury's red flag, not sent to a clinician."""
    decision = decided("fall", patient, struck_head="yes", head_injury_signs="yes")
    assert (acuity, to_clinician) == (decision.acuity, decision.to_clinician)
    assert ["head-injury-signs", "fall-head"] == rules(decision)


def test_an_ordinary_submission_has_no_marks() -> None:
    """A mark that is always there is never read."""
    assert [] == codes(decided("fall"))


def test_no_pulse_is_expected_in_cardiac_arrest() -> None:
    """Neither a pulse nor a respiration of 0 is marked then."""
    stopped = {"pulse_per_min": 0, "respiration_per_min": 0, "consciousness": "unresponsive"}
    assert [] == codes(decided("cardiac-arrest", findings=Findings(cardiac_arrest=True), observations=stopped))


@pytest.mark.parametrize("one", ACUITIES)
@pytest.mark.parametrize("other", ACUITIES)
def test_the_more_urgent_acuity(one: Acuity, other: Acuity) -> None:
    """Immediate before very urgent, urgent, standard and low, in either order."""
    order = ["immediate", "very_urgent", "urgent", "standard", "low"]
    assert min(one, other, key=order.index) == more_urgent(one, other)
