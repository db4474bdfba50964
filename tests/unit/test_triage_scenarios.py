"""What the shipped rules decide on the cases that a crew meets in a shift: a table that a clinician can read."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from contracts.submissions import Submission
from services.triage.decision import decide
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED

RULES = Rules(load(SHIPPED))
NOW = datetime(2026, 3, 2, 16, 40, tzinfo=UTC)


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

AT_NOON = "2026-03-02T12:00:00Z"
YESTERDAY = "2026-03-01T21:00:00+01:00"
TWO_DAYS_AGO = "2026-02-28T16:00:00Z"


def answers(**given: Any) -> dict[str, Any]:
    """Findings with these answers."""
    return {"answers": given}


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
        3, "urgent", "UCR-2H", (146, 50, 155)),
    "palliative, near death": Scenario(
        "palliative", 79, 28, 85, False, 82, 124, "voice", 35.9, {},
        15, "very_urgent", "CLINICIAN-NOW", ()),
    "blocked catheter": Scenario(
        "blocked-catheter", 77, 17, 97, False, 146, 84, "alert", 36.9, {},
        0, "urgent", "UCR-2H", (146, 38, 135)),
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
    "low blood sugar, still low": Scenario(
        "hypoglycaemia", 56, 16, 98, False, 130, 82, "alert", 36.6, answers(glucose_mmol_per_l=3.1),
        0, "urgent", "ED-NOW", (105,)),
    "ST elevation, four hours ago, 35 minutes away": Scenario(
        "stemi", 63, 20, 96, False, 118, 88, "alert", 36.5, answers(onset=AT_NOON, transfer_minutes=35),
        0, "very_urgent", "PCI-NOW", (121, 105)),
    "ST elevation, 121 minutes away": Scenario(
        "stemi", 63, 20, 96, False, 118, 88, "alert", 36.5, answers(onset=AT_NOON, transfer_minutes=121),
        0, "very_urgent", "ED-NOW", (105,)),
    "ST elevation, since yesterday": Scenario(
        "stemi", 63, 20, 96, False, 118, 88, "alert", 36.5, answers(onset=YESTERDAY, transfer_minutes=35),
        0, "very_urgent", "ED-NOW", (105,)),
    "chest pain with ST elevation": Scenario(
        "chest-pain", 61, 18, 96, False, 142, 92, "alert", 36.7, answers(ecg="st-elevation", transfer_minutes=20),
        1, "very_urgent", "PCI-NOW", (121, 105)),
    "low-risk chest pain, ECG changed": Scenario(
        "low-risk-chest-pain", 42, 15, 98, False, 128, 76, "alert", 36.8, answers(ecg="other-change"),
        0, "very_urgent", "ED-NOW", (105,)),
    "stroke two days ago": Scenario(
        "stroke", 74, 16, 96, False, 178, 88, "alert", 36.7, {"fast": FACE_AND_SPEECH} | answers(onset=TWO_DAYS_AGO),
        0, "very_urgent", "STROKE-UNIT", (122, 105)),
    "sepsis after chemotherapy": Scenario(
        "sepsis", 45, 18, 97, False, 122, 96, "alert", 38.3, INFECTION | answers(chemotherapy="yes"),
        2, "very_urgent", "ED-NOW", (105,)),
    "choking": Scenario(
        "airway", 70, 24, 93, False, 150, 112, "alert", 36.8, {},
        6, "immediate", "RESUS-NOW", (105,)),
    "choking, cleared": Scenario(
        "airway", 70, 18, 97, False, 140, 88, "alert", 36.8, answers(airway_cleared="yes"),
        0, "very_urgent", "ED-NOW", (105,)),
    "anaphylaxis": Scenario(
        "anaphylaxis", 31, 26, 92, True, 92, 124, "alert", 36.9, answers(adrenaline_doses=2, reaction_settled="no"),
        11, "immediate", "RESUS-NOW", (105,)),
    "anaphylaxis, settled": Scenario(
        "anaphylaxis", 31, 18, 97, False, 122, 88, "alert", 36.9, answers(adrenaline_doses=1, reaction_settled="yes"),
        0, "very_urgent", "ED-NOW", (105,)),
    "major trauma": Scenario(
        "major-trauma", 27, 26, 94, True, 88, 128, "alert", 36.1, answers(trauma_tool="physiology"),
        11, "immediate", "TRAUMA-NOW", (105,)),
    "major trauma, far off": Scenario(
        "major-trauma", 27, 22, 96, False, 112, 104, "alert", 36.3,
        answers(trauma_tool="anatomy", transfer_minutes=75), 3, "immediate", "RESUS-NOW", (105,)),
    "obstetric emergency, bleeding after birth": Scenario(
        "obstetric-emergency", 29, 20, 97, False, 112, 90, "alert", 36.8, answers(heavy_vaginal_bleeding="yes"),
        0, "immediate", "OBSTETRIC-NOW", (153, 105)),
    "early pregnancy, light bleeding": Scenario(
        "obstetric-emergency", 29, 16, 98, False, 118, 80, "alert", 36.8,
        answers(weeks_pregnant=8, heavy_vaginal_bleeding="no", birth_imminent="no", eclampsia_signs="no",
                abdominal_pain="no"), 0, "urgent", "EPAU-TODAY", (154, 105)),
    "unwell child, who is grown up": Scenario(
        "unwell-child", 30, 16, 98, False, 118, 80, "alert", 36.8, {},
        0, "urgent", "CLINICIAN-NOW", ()),
    "behavioural disturbance under restraint": Scenario(
        "acute-behavioural-disturbance", 33, 28, 96, False, 168, 138, "confusion", 39.4, answers(restrained="yes"),
        11, "immediate", "RESUS-NOW", (105,)),
    "suicidal thoughts": Scenario(
        "suicidal-intent", 41, 16, 98, False, 128, 82, "alert", 36.7, answers(self_harm="thoughts"),
        0, "urgent", "CRISIS-4H", (142, 105)),
    "crisis with a plan, alone": Scenario(
        "mental-health-crisis", 41, 16, 98, False, 128, 82, "alert", 36.7,
        answers(self_harm="plan", safe_until_seen="no"), 0, "very_urgent", "ED-NOW", (105,)),
    "overdose": Scenario(
        "overdose", 22, 14, 98, False, 116, 88, "alert", 36.5, answers(taken_on_purpose="yes", toxbase="hospital"),
        0, "very_urgent", "ED-NOW", (105,)),
    "poisoning by accident, harmless": Scenario(
        "overdose", 22, 14, 98, False, 116, 88, "alert", 36.5, answers(taken_on_purpose="no", toxbase="home"),
        0, "standard", "GP-TODAY", (100, 135)),
    "head injury on anticoagulants": Scenario(
        "head-injury", 78, 16, 97, False, 142, 80, "alert", 36.6, answers(anticoagulated="yes", head_injury_signs="no"),
        0, "urgent", "ED-SOON", (105,)),
    "head injury, nothing found": Scenario(
        "head-injury", 34, 16, 97, False, 132, 80, "alert", 36.6, answers(anticoagulated="no", head_injury_signs="no"),
        0, "standard", "UTC-TODAY", (135, 105)),
    "fall on the head, on anticoagulants": Scenario(
        "fall", 84, 17, 97, False, 134, 78, "alert", 36.6, answers(struck_head="yes", anticoagulated="yes"),
        0, "urgent", "ED-SOON", (105,)),
    "fall with a hip that hurts": Scenario(
        "fall-with-injury", 84, 17, 97, False, 134, 78, "alert", 36.6, answers(suspected_fracture="yes"),
        0, "urgent", "ED-SOON", (105,)),
    "fall with a graze": Scenario(
        "fall-with-injury", 64, 17, 97, False, 134, 78, "alert", 36.6, answers(suspected_fracture="no"),
        0, "standard", "UTC-TODAY", (135, 146)),
    "long lie of 14 hours": Scenario(
        "long-lie", 86, 18, 96, False, 128, 88, "alert", 36.2, answers(hours_on_floor=14),
        0, "very_urgent", "ED-NOW", (105,)),
    "long lie of 3 hours": Scenario(
        "long-lie", 86, 18, 96, False, 128, 88, "alert", 36.2, answers(hours_on_floor=3),
        0, "urgent", "SDEC-TODAY", (140, 105)),
    "reduced function": Scenario(
        "reduced-function", 83, 16, 97, False, 138, 76, "alert", 36.5, answers(cauda_equina_signs="no"),
        0, "standard", "UCR-2H", (146, 155)),
    "cellulitis of the leg": Scenario(
        "cellulitis", 58, 16, 98, False, 134, 82, "alert", 37.4, INFECTION,
        0, "standard", "GP-TODAY", (100, 135, 146)),
    "cellulitis that spreads fast": Scenario(
        "cellulitis", 58, 18, 97, False, 118, 88, "alert", 37.9, INFECTION | answers(spreading_fast="yes"),
        0, "very_urgent", "ED-NOW", (105,)),
    "COPD": Scenario(
        "copd-exacerbation", 68, 20, 96, False, 138, 88, "alert", 37.1, answers(copes_at_home="yes"),
        0, "standard", "UCR-2H", (155, 146, 140)),
    "palliative, medicines in the home": Scenario(
        "palliative", 79, 20, 96, False, 112, 88, "alert", 36.4, answers(anticipatory_medicines="yes"),
        0, "urgent", "UCR-2H", (50, 146, 155)),
    "ketones": Scenario(
        "diabetic-urgent-care", 24, 20, 98, False, 112, 90, "alert", 36.8,
        answers(glucose_mmol_per_l=24.0, ketones_mmol_per_l=4.1), 0, "very_urgent", "ED-NOW", (105,)),
    "diabetes, settled enough for home": Scenario(
        "diabetic-urgent-care", 72, 16, 98, False, 132, 80, "alert", 36.8,
        answers(glucose_mmol_per_l=14.2, ketones_mmol_per_l=0.3), 0, "standard", "UCR-2H", (146, 100)),
    "unpaid care broken down": Scenario(
        "carer-breakdown", 81, 16, 97, False, 136, 76, "alert", 36.5, answers(cannot_be_left="yes"),
        0, "urgent", "UCR-2H", (146, 8)),
    "toothache": Scenario(
        "dental", 37, 15, 99, False, 124, 78, "alert", 36.9, {},
        0, "low", "DENTAL-TODAY", (156, 135)),
    "dental swelling": Scenario(
        "dental", 37, 18, 97, False, 128, 90, "alert", 37.8, answers(floor_of_mouth_swelling="yes"),
        0, "very_urgent", "ED-NOW", (105,)),
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
    decision = decide(submission(scenario), RULES, NOW)
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
    assert set(RULES.pack.presentations) <= {scenario.presentation for scenario in SCENARIOS.values()}
