"""Incidents: what a crew meets at the patient's side. A seed decides all of it."""

import random
import tomllib
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.brief import Acuity
from contracts.people import Age, Contact, Patient, Position
from contracts.submissions import AcceptedType, Observations, ServiceType, Submission

FIRST_TEST_NUMBER = 900_000_000
"""NHS numbers from 9,000,000,000 up are for tests: these are their first nine digits."""


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Spread(_Written):
    """A number between two limits, included: about a mean where there is one, else evenly."""

    least: float = Field(alias="from")
    most: float = Field(alias="to")
    mean: float | None = None
    deviation: Annotated[float, Field(gt=0)] | None = None
    decimals: int = Field(default=0, ge=0, le=3)

    def drawn(self, chance: random.Random) -> float:
        """One value, a whole number where there are no decimals. What falls outside the limits is drawn again."""
        while True:
            if self.mean is None or self.deviation is None:
                value = chance.uniform(self.least, self.most)
            else:
                value = chance.gauss(self.mean, self.deviation)
            value = round(value, self.decimals or None)
            if self.least <= value <= self.most:
                return value


class Ago(_Written):
    """A time so many minutes before the incident is written down."""

    minutes_ago: Spread


class OneOf(_Written):
    """One of these, as likely as its weight says."""

    one_of: dict[str, float]

    def drawn(self, chance: random.Random) -> str:
        """One of them."""
        return chance.choices(list(self.one_of), list(self.one_of.values()))[0]


Drawn = str | bool | int | float | OneOf | Ago | Spread


class Expected(_Written):
    """What the answer must say, whatever is drawn. Without a service type: a clinician decides."""

    acuity: Acuity
    service_type: ServiceType | None = None


class Scenario(_Written):
    """A kind of incident: what is given, what the rest is drawn from and by which source, what must be answered."""

    presentation: str
    source: str
    age: tuple[int, int]
    gender: dict[Literal["female", "male"], float] = {"female": 1.0, "male": 1.0}
    pregnant: bool = False
    findings: dict[str, Any] = {}
    answers: dict[str, Drawn] = {}
    accept: Literal["any"] | tuple[ServiceType, ...] = Field(default="any", union_mode="left_to_right")
    expect: Expected
    observations: dict[str, Drawn]


class Incident(BaseModel):
    """One patient to refer: when in the shift and after which drive, under which key, and what must be answered."""

    model_config = ConfigDict(frozen=True)
    at: timedelta
    driven_km: float
    key: UUID
    scenario: str
    submission: Submission
    expect: Expected


def scenarios() -> dict[str, Scenario]:
    """The scenarios that are shipped."""
    text = files("services.device").joinpath("incidents.toml").read_text()
    return {name: Scenario.model_validate(body) for name, body in tomllib.loads(text).items()}


def met(scenario: Scenario, position: Position, written_at: datetime, chance: random.Random) -> Submission:
    """What a crew writes down of such an incident, at a place and time."""
    answers = {name: _drawn(given, written_at, chance) for name, given in scenario.answers.items()}
    accept = scenario.accept
    genders = scenario.gender
    return Submission.model_validate(
        {
            "patient": Patient(
                nhs_number=nhs_number(chance),
                age=Age(value=chance.randint(*scenario.age)),
                gender=chance.choices(list(genders), list(genders.values()))[0],
                pregnant=scenario.pregnant,
                contact=Contact(mobile=f"07700 900{chance.randrange(1000):03}") if chance.random() < 0.7 else Contact(),
            ),
            "position": position,
            "presentation": scenario.presentation,
            "findings": scenario.findings | ({"answers": answers} if answers else {}),
            "observations": Observations.model_validate(
                {"on_oxygen": False}
                | {name: _drawn(given, written_at, chance) for name, given in scenario.observations.items()}
            ),
            "accept": accept if accept == "any" else tuple(AcceptedType(service_type=type) for type in accept),
        }
    )


def _drawn(given: Drawn, written_at: datetime, chance: random.Random) -> str | bool | float:
    match given:
        case Spread() | OneOf():
            return given.drawn(chance)
        case Ago():
            then = written_at - timedelta(minutes=given.minutes_ago.drawn(chance))
            return then.replace(microsecond=0).isoformat()
        case _:
            return given


def nhs_number(chance: random.Random) -> str:
    """A made-up NHS number of the range for tests, with its check digit (Modulus 11)."""
    while True:
        nine = str(FIRST_TEST_NUMBER + chance.randrange(99_999_999))
        check = 11 - sum(int(digit) * weight for digit, weight in zip(nine, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            return f"{nine}{check % 11}"
