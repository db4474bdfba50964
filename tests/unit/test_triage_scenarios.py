"""What the shipped rules decide on the cases that a crew meets in a shift: a table that a clinician can read."""

from typing import Any, NamedTuple

import pytest

from contracts.submissions import Submission
from services.triage.decision import decide
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED

PACK = load(SHIPPED)


class Scenario(NamedTuple):
    """A patient, and what is expected: acuity, disposition and the service types in order, none for a clinician."""

    presentation: str
    age: int
    respiration: int
    saturation: int
    on_oxygen: bool
    systolic: int
    pulse: int
    consciousness: str
    temperature: float
    findings: dict[str, Any]
    news2: int
    acuity: str
    disposition: str
    service_types: tuple[int, ...]


NO_SIGN = {"face": False, "arm": False, "speech": False}
FACE_AND_SPEECH = {"face": True, "arm": False, "speech": True}
INFECTION = {"suspected_infection": True}
NO_INFECTION = {"suspected_infection": False}
ARREST = {"cardiac_arrest": True}

# fmt: off
SCENARIOS = {
    "stroke, FAST positive": Scenario(
        "stroke", 74, 16, 96, False, 178, 88, "alert", 36.7, {"fast": FACE_AND_SPEECH},
        0, "very_urgent", "STROKE-NOW", (122, 105)),
    "stroke, FAST negative": Scenario(
        "stroke", 68, 16, 97, False, 150, 80, "alert", 36.8, {"fast": NO_SIGN},
        0, "very_urgent", "STROKE-NOW", (122, 105)),
    "stroke found in a fall": Scenario(
        "fall", 81, 16, 97, False, 165, 84, "alert", 36.6, {"fast": FACE_AND_SPEECH},
        0, "very_urgent", "STROKE-NOW", (122, 105)),
    "cardiac arrest": Scenario(
        "cardiac-arrest", 66, 0, 62, True, 0, 0, "unresponsive", 35.8, ARREST,
        18, "immediate", "RESUS-NOW", (105,)),
    "fall": Scenario(
        "fall", 84, 17, 97, False, 134, 78, "alert", 36.6, {"fast": NO_SIGN},
        0, "standard", "UCR-2H", (146, 135)),
    "fall, new confusion": Scenario(
        "fall", 88, 18, 96, False, 138, 86, "confusion", 36.9, {"fast": NO_SIGN},
        3, "urgent", "ED-SOON", (105,)),
    "fall, very unwell": Scenario(
        "fall", 88, 26, 93, False, 98, 118, "alert", 38.4, {"fast": NO_SIGN},
        10, "very_urgent", "ED-NOW", (105,)),
    "sepsis, high risk": Scenario(
        "sepsis", 71, 26, 92, True, 96, 124, "confusion", 39.2, INFECTION,
        16, "very_urgent", "ED-NOW", (105,)),
    "sepsis, moderate risk": Scenario(
        "sepsis", 59, 22, 95, False, 108, 104, "alert", 37.9, INFECTION,
        5, "urgent", "ED-NOW", (105,)),
    "sepsis, low risk": Scenario(
        "sepsis", 45, 18, 97, False, 122, 96, "alert", 38.3, INFECTION,
        2, "urgent", "SDEC-TODAY", (140, 105)),
    "sepsis without infection": Scenario(
        "sepsis", 59, 22, 95, False, 108, 104, "alert", 37.9, NO_INFECTION,
        5, "urgent", "ED-NOW", (105,)),
    "low-risk chest pain": Scenario(
        "low-risk-chest-pain", 42, 15, 98, False, 128, 76, "alert", 36.8, {},
        0, "standard", "SDEC-TODAY", (140, 105)),
    "low-risk chest pain, unwell": Scenario(
        "low-risk-chest-pain", 58, 22, 94, False, 104, 112, "alert", 36.9, {},
        6, "urgent", "ED-SOON", (105,)),
    "chest pain": Scenario(
        "chest-pain", 61, 18, 96, False, 142, 92, "alert", 36.7, {},
        1, "very_urgent", "ED-NOW", (105,)),
    "ST elevation": Scenario(
        "stemi", 63, 20, 96, False, 118, 88, "alert", 36.5, {},
        0, "very_urgent", "PCI-NOW", (121, 105)),
    "mental-health crisis": Scenario(
        "mental-health-crisis", 29, 18, 99, False, 126, 96, "alert", 36.9, {},
        1, "urgent", "CRISIS-4H", (142, 105)),
    "palliative": Scenario(
        "palliative", 79, 20, 94, False, 104, 92, "alert", 36.4, {},
        3, "urgent", "UCR-2H", (146, 155)),
    "palliative, near death": Scenario(
        "palliative", 79, 28, 85, False, 82, 124, "voice", 35.9, {},
        15, "very_urgent", "CLINICIAN-NOW", ()),
    "blocked catheter": Scenario(
        "blocked-catheter", 77, 17, 97, False, 146, 84, "alert", 36.9, {},
        0, "urgent", "UCR-2H", (146, 135)),
    "blocked catheter, septic": Scenario(
        "blocked-catheter", 77, 24, 95, False, 98, 116, "alert", 39.3, INFECTION,
        9, "very_urgent", "ED-NOW", (105,)),
    "difficulty in breathing": Scenario(
        "breathing-difficulty", 52, 20, 95, False, 132, 94, "alert", 37.2, {},
        2, "urgent", "SDEC-TODAY", (140, 105)),
    "frailty": Scenario(
        "frailty", 91, 18, 96, False, 126, 82, "alert", 36.5, {},
        0, "standard", "UCR-2H", (146, 155)),
    "urinary infection": Scenario(
        "urinary-infection", 34, 16, 98, False, 118, 88, "alert", 37.6, INFECTION,
        0, "standard", "UCR-2H", (146, 135)),
    "low blood sugar": Scenario(
        "hypoglycaemia", 56, 16, 98, False, 130, 82, "alert", 36.6, {},
        0, "standard", "UCR-2H", (146, 135)),
    "minor injury": Scenario(
        "minor-injury", 23, 15, 99, False, 124, 74, "alert", 36.7, {},
        0, "low", "UTC-TODAY", (135,)),
    "unknown presentation": Scenario(
        "purple-spots", 40, 16, 98, False, 120, 70, "alert", 36.8, {},
        0, "urgent", "CLINICIAN-NOW", ()),
    "unknown presentation, cardiac arrest": Scenario(
        "purple-spots", 40, 0, 60, False, 0, 0, "unresponsive", 36.0, ARREST,
        16, "immediate", "RESUS-NOW", (105,)),
}
# fmt: on


def submission(scenario: Scenario) -> Submission:
    """The submission that a crew would send."""
    return Submission.model_validate(
        {
            "patient": {"age": {"value": scenario.age}},
            "position": {"latitude": 54.0, "longitude": -1.5},
            "presentation": scenario.presentation,
            "findings": scenario.findings,
            "observations": {
                "respiration_per_min": scenario.respiration,
                "oxygen_saturation_percent": scenario.saturation,
                "on_oxygen": scenario.on_oxygen,
                "systolic_mmhg": scenario.systolic,
                "pulse_per_min": scenario.pulse,
                "consciousness": scenario.consciousness,
                "temperature_celsius": scenario.temperature,
            },
            "accept": "any",
        }
    )


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_scenario(scenario: Scenario) -> None:
    """NEWS2, acuity, disposition and service types are as the table says; a clinician where there is no type."""
    decision = decide(submission(scenario), PACK)
    assert decision.scores.news2 is not None
    assert (
        scenario.news2,
        scenario.acuity,
        scenario.disposition,
        scenario.service_types,
        not scenario.service_types,
    ) == (
        decision.scores.news2.total,
        decision.acuity,
        decision.disposition.code,
        decision.service_types,
        decision.to_clinician,
    )


def test_every_presentation_is_in_the_table() -> None:
    """A presentation that is added to the pack is added here."""
    assert set(PACK.presentations) <= {scenario.presentation for scenario in SCENARIOS.values()}
