"""The shipped pack in every combination of its bands: each listed, and each decided as the boxes say."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest

from contracts.brief import Acuity
from contracts.people import Age, Patient, Position
from contracts.submissions import FastTest, Findings, Observations, Submission
from services.triage.combinations import Box, all_without, decided, meet, size
from services.triage.decision import decide, found_in, without_red_flag
from services.triage.news2 import score, why_not_valid
from services.triage.precedence import Rules, Step, Trial
from services.triage.questions import UNKNOWN, Choice, Number, Time, YesNo
from services.triage.rule_pack import NOT_SCORED, load, more_urgent
from services.triage.settings import SHIPPED
from services.triage.soundness import decided_by, possible

RULES = Rules(load(SHIPPED))
PACK = RULES.pack
NOW = datetime(2026, 3, 2, 16, 40, tzinfo=UTC)
ACUITIES = get_args(Acuity)


def looked_at(steps: list[Step]) -> list[str]:
    """The facts that some step looks at, and the NEWS2 band."""
    return sorted({fact for step in steps for fact in step.condition} | {"news2_band"})


def combinations(facts: list[str]) -> Iterator[dict[str, str]]:
    """Every combination of the words of these facts."""
    for words in product(*(sorted(PACK.facts[fact]) for fact in facts)):
        yield dict(zip(facts, words, strict=True))


def ends(trial: Trial) -> bool:
    """Whether it has an acuity, a disposition with minutes, and a type of service or a clinician, and a reason."""
    return (
        trial.acuity in ACUITIES
        and trial.then.disposition in PACK.disposition_of
        and bool(trial.then.service_types) != trial.then.to_clinician
        and bool(trial.reasons)
    )


@pytest.mark.parametrize("presentation", [*PACK.presentations, "purple-spots"])
def test_every_presentation_ends_in_every_combination(presentation: str) -> None:
    """Each combination of all that its rules look at, one by one: an acuity, and a type of service or a clinician."""
    facts = looked_at(RULES.steps(presentation)) if presentation in RULES.tried else ["news2_band"]
    assert all(ends(without_red_flag(found | {"presentation": presentation}, RULES)) for found in combinations(facts))


def test_every_red_flag_ends() -> None:
    """A red flag of the whole pack decides before any presentation; in every NEWS2 band it ends as well."""
    assert all(ends(trial) for trials in RULES.flags_tried.values() for trial in trials)


@pytest.mark.parametrize("presentation", PACK.presentations)
def test_the_boxes_hold_each_combination_once(presentation: str) -> None:
    """What the steps decide adds up to all combinations: none is missing, none is counted twice."""
    steps = RULES.steps(presentation)
    facts = {fact: PACK.facts[fact] for fact in looked_at(steps)}
    each, left = decided([step.condition for step in steps], facts, [{}])
    assert [] == left
    assert size({}, facts) == sum(size(box, facts) for boxes in each for box in boxes)


def test_what_is_never_together_is_left_out_exactly() -> None:
    """Possible and impossible combinations add up to all of them."""
    facts = {fact: PACK.facts[fact] for fact in ("news2_band", "news2_complete", "consciousness", "age", "pregnant")}
    impossible: list[Box] = [{}]
    for box in possible(PACK):
        impossible = all_without(impossible, box, facts)
    assert size({}, facts) == sum(size(box, facts) for box in [*possible(PACK), *impossible])
    assert any(
        meet(box, {"news2_band": frozenset([NOT_SCORED]), "news2_complete": frozenset(["yes"])}) for box in impossible
    )


# From words back to a patient.

WELL: dict[str, Any] = {
    "respiration_per_min": 16,
    "oxygen_saturation_percent": 97,
    "on_oxygen": False,
    "systolic_mmhg": 130,
    "pulse_per_min": 75,
    "temperature_celsius": 36.8,
}
LESS_WELL: tuple[dict[str, Any], ...] = (
    {},
    {"respiration_per_min": 25},
    {"pulse_per_min": 115, "respiration_per_min": 22},
    {"pulse_per_min": 115, "respiration_per_min": 22, "temperature_celsius": 38.5},
    {"pulse_per_min": 135, "respiration_per_min": 30, "systolic_mmhg": 85},
)
"""From well to very unwell: some of them reach each band, with whatever consciousness."""


def observations(box: Box) -> Observations:
    """Observations with the words that a box asks for."""
    for consciousness in sorted(box.get("consciousness", PACK.facts["consciousness"])):
        for change in LESS_WELL:
            for missing in ({}, {"temperature_celsius": None}, {"on_oxygen": None}):
                seen = Observations(
                    **(WELL | change | missing), consciousness=None if consciousness == UNKNOWN else consciousness
                )
                news2 = score(PACK.news2, seen)
                complete = "yes" if news2.complete else "no"
                not_scored = box.get("news2_band") == {NOT_SCORED}
                if not_scored or (
                    news2.band in box.get("news2_band", PACK.facts["news2_band"])
                    and complete in box.get("news2_complete", ("yes", "no"))
                ):
                    return seen
    raise AssertionError(f"no observations for {box}")


def answer(id: str, word: str) -> str | int | float:
    """An answer that has this word."""
    question = PACK.questions[id]
    if word == UNKNOWN or isinstance(question, YesNo | Choice):
        return word
    assert isinstance(question, Number | Time)
    limits = {of: limit for limit, of in question.limits}
    most = question.most if isinstance(question, Number) else 24 * 365.0
    value = min(limits[word], most)
    return value if isinstance(question, Number) else (NOW - timedelta(hours=value)).isoformat()


SAID = {"yes": True, "no": False, UNKNOWN: None}


def submission(presentation: str, box: Box) -> Submission:
    """A patient with the words of one combination of a possible box."""
    youngest = {**PACK.ages, UNKNOWN: None}
    age = youngest[min(box.get("age", {"adult"}), key=str)]
    return Submission(
        patient=Patient(
            age=None if age is None else Age(value=age),
            pregnant=SAID[max(box.get("pregnant", {UNKNOWN}))],
            gender=min(box.get("gender", {"unknown"})),  # type: ignore[arg-type]
        ),
        position=Position(latitude=54.0, longitude=-1.5),
        presentation=presentation,
        findings=Findings(
            cardiac_arrest=False,
            fast=FastTest(),
            suspected_infection={"yes": True, "no": False, UNKNOWN: None}[
                min(box.get("suspected_infection", {UNKNOWN}))
            ],
            answers={id: answer(id, min(words)) for id, words in box.items() if id in PACK.questions},
        ),
        observations=observations(box),
        accept="any",
    )


def possible_within(box: Box) -> list[Box]:
    """The part of a box that a patient can have."""
    return [both for one in possible(PACK) if (both := meet(one, box)) is not None]


def boxes(presentation: str) -> Iterator[tuple[Step, Box]]:
    """Each box of a presentation in each band, with what decides it, where no red flag of the whole pack does."""
    steps = RULES.steps(presentation)
    flags = [flag.condition for flag in RULES.red_flags]
    for step, decided_boxes in zip(steps, decided_by(steps, PACK)[0], strict=True):
        left = decided_boxes
        for flag in flags:
            left = all_without(left, flag, PACK.facts)
        for box in left:
            for band in sorted(box.get("news2_band", PACK.facts["news2_band"])):
                for one in possible_within({**box, "news2_band": frozenset([band])}):
                    yield step, one


@pytest.mark.parametrize("presentation", PACK.presentations)
def test_a_patient_of_each_box_is_decided_as_the_box_says(presentation: str) -> None:
    """Whole submissions, one from each box of combinations: the rule, the acuity and the destination of that box."""
    seen = 0
    for step, box in boxes(presentation):
        sent = submission(presentation, box)
        not_valid = why_not_valid(PACK.news2, sent.patient)
        found, _ = found_in(sent, None if not_valid else score(PACK.news2, sent.observations), RULES, NOW)
        assert all(found.get(fact, UNKNOWN) in words for fact, words in box.items()), "the patient is not of the box"
        decision = decide(sent, RULES, NOW)
        band = PACK.band_conclusions.get(found["news2_band"])
        acuity = step.acuity if band is None else more_urgent(step.acuity, band.then.acuity)
        assert (step.reasons[0].rule, acuity, step.then.service_types, step.then.to_clinician) == (
            decision.reasons[0].rule,
            decision.acuity,
            decision.service_types,
            decision.to_clinician,
        )
        seen += 1
    assert seen >= 5
