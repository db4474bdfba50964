"""The brief: what every event from triage to the outcome carries, so that no service asks another for anything."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Data, Instant
from contracts.people import Age, Desk, Gender, OrganisationCode, PatientIdentity, Position, Referrer
from contracts.submissions import Accepted, Mark, Presentation, ServiceType

Acuity = Literal["immediate", "very_urgent", "urgent", "standard", "low"]
"""How soon, in five steps (the five levels of the Emergency Care Data Set's acuity)."""


class Disposition(Data):
    """What should happen, and within how many minutes."""

    code: str
    name: str
    minutes: int = Field(ge=0, le=100_000)


class Reason(Data):
    """A rule that fired, with where it comes from."""

    rule: str
    text: str
    source: str


class Brief(Data):
    """One search for somewhere to go, and everything needed to finish it.

    `service_types` are those that triage finds fit, best first, then those that a person named for a further placement;
    none means that a clinician decides.
    """

    placement_id: UUID
    answer_by: Instant
    accept: Accepted
    position: Position
    age: Age | None
    gender: Gender
    surgery: OrganisationCode | None
    presentation: Presentation
    service_types: tuple[ServiceType, ...]
    to_clinician: bool
    disposition: Disposition
    acuity: Acuity
    reasons: tuple[Reason, ...]
    marks: tuple[Mark, ...] = ()
    patient: PatientIdentity
    referrer: Referrer
    desk: Desk
