"""The handover as the receiving service reads it: what was submitted, and how the observations moved."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.handover import Handover
from contracts.people import Desk, Patient, Position, Referrer
from contracts.submissions import (
    EarlierObservations,
    Findings,
    Mark,
    Observations,
    Presentation,
    ReferralSubmitted,
    Submission,
    referral_id,
)

Direction = Literal["rising", "falling", "steady"]

MEASURED = (
    "respiration_per_min",
    "oxygen_saturation_percent",
    "systolic_mmhg",
    "pulse_per_min",
    "temperature_celsius",
)
"""The vital signs that are numbers, by their names in the contract."""


class Observed(BaseModel):
    """One set of observations."""

    at: AwareDatetime | None = Field(description="none where the crew did not say")
    observations: Observations


class HandedOver(BaseModel):
    """What the crew hands over with the patient."""

    referral_id: UUID
    submitted_at: AwareDatetime
    referrer: Referrer
    desk: Desk
    patient: Patient
    position: Position
    presentation: Presentation
    findings: Findings
    observed: list[Observed] = Field(description="the earliest first; the last is what triage scored")
    trend: dict[str, Direction] = Field(
        description="of each vital sign that was measured more than once: from its first measure to its last"
    )
    narrative: str | None
    handover: Handover | None
    marks: tuple[Mark, ...]


def handed_over(event: ReferralSubmitted) -> HandedOver:
    """What the receiving service reads of a submission."""
    submission = event.data.submission
    observed = observed_in(submission)
    return HandedOver(
        referral_id=referral_id(event),
        submitted_at=event.time,
        referrer=event.data.referrer,
        desk=event.data.desk,
        patient=submission.patient,
        position=submission.position,
        presentation=submission.presentation,
        findings=submission.findings,
        observed=observed,
        trend=trend_of([one.observations for one in observed]),
        narrative=submission.narrative,
        handover=submission.handover,
        marks=event.data.marks,
    )


def observed_in(submission: Submission) -> list[Observed]:
    """Every set of observations, the earliest first, the latest last whatever its time says."""
    earlier = sorted(submission.earlier_observations, key=lambda one: one.at)
    return [
        *(Observed(at=one.at, observations=_without_time(one)) for one in earlier),
        Observed(at=submission.observed_at, observations=submission.observations),
    ]


def _without_time(earlier: EarlierObservations) -> Observations:
    return Observations.model_construct(**{name: getattr(earlier, name) for name in Observations.model_fields})


def trend_of(observed: Sequence[Observations]) -> dict[str, Direction]:
    """Where each vital sign that was measured at least twice went, from its first measure to its last."""
    trend: dict[str, Direction] = {}
    for name in MEASURED:
        measures = [value for one in observed if (value := getattr(one, name)) is not None]
        if len(measures) > 1:
            first, last = measures[0], measures[-1]
            trend[name] = "steady" if first == last else "rising" if last > first else "falling"
    return trend
