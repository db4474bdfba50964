"""A handover with every member, in words that are found again wherever they go."""

from typing import Any

HANDOVER: dict[str, Any] = {
    "situation": "Situation-words: breathless since the morning.",
    "background": "Background-words: two admissions this year.",
    "assessment": "Assessment-words: tiring, speaks in short sentences.",
    "recommendation": "Recommendation-words: see within the hour.",
    "medicines_given": [{"name": "Givenine", "dose": "5 mg", "route": "nebulised", "given_at": "2026-03-02T11:40:00Z"}],
    "medicines_taken": [{"name": "Takenol", "dose": "one in the morning", "last_taken_at": "2026-03-02T07:00:00Z"}],
    "allergies": [{"substance": "Allergenin", "reaction": "Rash-words"}],
    "consent": {"decision": "best_interests", "note": "Consent-words: does not retain what is said."},
    "safeguarding": [{"about": "self_neglect", "note": "Safeguarding-words: no food in the house."}],
    "scene": [{"kind": "animal", "note": "Scene-words: a large dog in the yard."}],
    "key_safe": "Keysafe-words: left of the door, 4711.",
    "next_of_kin": [{"name": "Kin Madeup", "relationship": "daughter", "telephone": "07700 900321", "knows": True}],
    "resuscitation": "plan_in_place",
}

EARLIER = [
    {"at": "2026-03-02T11:50:00Z", "respiration_per_min": 26, "pulse_per_min": 101, "systolic_mmhg": 130},
    {"at": "2026-03-02T11:30:00Z", "respiration_per_min": 22, "pulse_per_min": 110, "systolic_mmhg": 130},
]
"""Not in the order of their times."""

LATEST = {"respiration_per_min": 28, "pulse_per_min": 96, "systolic_mmhg": 130, "temperature_celsius": 37.0}

WORDS = (
    *(f"{name}-words" for name in ("Situation", "Background", "Assessment", "Recommendation", "Rash", "Consent")),
    *(f"{name}-words" for name in ("Safeguarding", "Scene", "Keysafe")),
    *("Givenine", "Takenol", "Allergenin", "Kin Madeup", "07700 900321", "plan_in_place", "self_neglect"),
)
"""What must appear nowhere but at the receiving service."""
