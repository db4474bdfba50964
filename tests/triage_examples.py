"""Submissions that triage decides, for tests."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.people import Desk, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData, Submission

NOW = datetime(2026, 3, 2, 16, 40, tzinfo=UTC)
WELL = {
    "respiration_per_min": 16,
    "oxygen_saturation_percent": 97,
    "on_oxygen": False,
    "systolic_mmhg": 130,
    "pulse_per_min": 75,
    "consciousness": "alert",
    "temperature_celsius": 36.8,
}


def submitted(number: int, presentation: str, **answers: Any) -> ReferralSubmitted:
    """A submission as the gateway tells it, of a patient who is well but for what they present with."""
    body = {
        "patient": {"age": {"value": 70}, "name": "Invented Person", "nhs_number": "9000000009"},
        "position": {"latitude": 54.0, "longitude": -1.5},
        "presentation": presentation,
        "findings": {"answers": answers},
        "observations": WELL,
        "accept": "any",
    }
    return ReferralSubmitted.first(
        ReferralSubmittedData(
            submission=Submission.model_validate_json(json.dumps(body)),
            referrer=Referrer(organisation="RX1", practitioner="P123", role="paramedic"),
            desk=Desk(organisation="RX1", name="Clinical hub", telephone="01632 960001"),
            answer_by=NOW + timedelta(minutes=15),
        ),
        id=UUID(int=number),
        source="onward/gateway/RX1",
        subject=str(UUID(int=number)),
        time=NOW,
    )
