"""The topic `submissions`, written by the gateway: who refers whom, from where, with what."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, PlainValidator, StringConstraints, WithJsonSchema

from contracts.envelope import FIRST_INSTANT, LAST_INSTANT, Data, Event, Instant, ReferralEvent, Text
from contracts.handover import Handover
from contracts.people import Desk, Patient, Position, Referrer
from contracts.topics import Topic

ServiceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,36}$")]
ServiceType = Annotated[int, Field(ge=1, le=9999)]
"""A Directory of Services type, e.g. 105 emergency department."""

SlotMinutes = Annotated[int, Field(ge=1, le=480)]
"""The length of a slot."""

Consciousness = Literal["alert", "confusion", "voice", "pain", "unresponsive"]
"""ACVPU. Confusion means new confusion."""


class Observations(Data):
    """Vital signs, each absent when it was not measured. A missing one is not a zero."""

    respiration_per_min: int | None = Field(default=None, ge=0, le=1000)
    oxygen_saturation_percent: int | None = Field(default=None, ge=0, le=100)
    on_oxygen: bool | None = None
    hypercapnic: bool = Field(default=False, description="hypercapnic respiratory failure: saturation scale 2")
    systolic_mmhg: int | None = Field(default=None, ge=0, le=1000)
    pulse_per_min: int | None = Field(default=None, ge=0, le=1000)
    consciousness: Consciousness | None = None
    temperature_celsius: float | None = Field(default=None, ge=0, le=60)


class EarlierObservations(Observations):
    """Vital signs as they were before."""

    at: Instant


class FastTest(Data):
    """Face, arm, speech: true where the sign is present. Absent where it was not tested."""

    face: bool | None = None
    arm: bool | None = None
    speech: bool | None = None


WORD = r"^[a-z][a-z0-9-]{0,40}$"
INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
LARGEST = 1_000_000

_WORD = re.compile(WORD, re.ASCII)
_INSTANT = re.compile(INSTANT, re.ASCII)


def _answer(value: Any) -> str | int | float:
    if isinstance(value, str):
        if _WORD.fullmatch(value) or (_INSTANT.fullmatch(value) and _exists(value)):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST:
        return value
    raise ValueError(
        "must be yes, no, unknown or another small word; or a number of at most a million; "
        "or a time with its offset from UTC, such as 2026-03-02T16:40:00Z"
    )


def _exists(instant: str) -> bool:
    try:
        return FIRST_INSTANT <= datetime.fromisoformat(instant) <= LAST_INSTANT
    except ValueError:
        return False


Answer = Annotated[
    str | int | float,
    PlainValidator(_answer),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": WORD},
                {"type": "string", "format": "date-time", "pattern": INSTANT},
                {"type": "number", "minimum": -LARGEST, "maximum": LARGEST},
            ]
        }
    ),
]
"""A word (yes, no, unknown, an option), a number in the question's unit, or a time. The rule pack knows which."""

QuestionId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
"""A question of the rule pack, or one that no pack knows."""


class Findings(Data):
    """What the crew found beyond the vital signs."""

    cardiac_arrest: bool = False
    fast: FastTest | None = None
    suspected_infection: bool | None = None
    answers: dict[QuestionId, Answer] = Field(
        default_factory=dict, max_length=40, description="to what the presentation asks: GET /presentations lists it"
    )


class AcceptedService(Data):
    """One service that crew and patient agree to, by id."""

    service: ServiceId


class AcceptedType(Data):
    """Any service of one type that crew and patient agree to."""

    service_type: ServiceType


Accepted = Literal["any"] | Annotated[tuple[AcceptedService | AcceptedType, ...], Field(min_length=1, max_length=20)]
"""Where the patient may go, in the sender's order; `any` means any type that triage finds fit, in triage's order."""


Presentation = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,60}$")]
"""What the crew selected: a presentation of the rule pack, or one that no pack knows."""


class Submission(Data):
    """The body of `POST /referrals`."""

    patient: Patient
    position: Position
    presentation: Presentation
    findings: Findings = Findings()
    observations: Observations = Field(default=Observations(), description="the latest: what triage scores")
    observed_at: Instant | None = Field(default=None, description="when the latest were taken")
    earlier_observations: tuple[EarlierObservations, ...] = Field(default=(), max_length=24)
    accept: Accepted
    narrative: Annotated[Text, StringConstraints(max_length=2000)] | None = Field(
        default=None, description="history in free text; stops at triage"
    )
    handover: Handover | None = Field(default=None, description="for the receiving service alone")


class Mark(Data):
    """Something unusual that does not block: shown to a clinician."""

    code: str
    pointer: str = Field(description="JSON pointer into the submission")
    text: str


class ReferralSubmittedData(Data):
    """A submission as it was received."""

    submission: Submission
    referrer: Referrer
    desk: Desk
    answer_by: Instant = Field(description="past this nobody is booked on its strength")
    marks: tuple[Mark, ...] = ()


class ReferralSubmitted(ReferralEvent, type="referral.submitted", topic=Topic.SUBMISSIONS, classification="clinical"):
    """Someone refers a patient: from where, with which presentation and observations, to where they agree to go."""

    data: ReferralSubmittedData


def referral_id(event: Event) -> UUID:
    """The referral that the event is about."""
    return UUID(event.subject)
