"""Incidents: what a crew meets. A seed decides all of it."""

import random
import tomllib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.brief import Acuity
from contracts.people import Age, Contact, Patient, Position
from contracts.submissions import AcceptedType, Findings, Observations, ServiceType, Submission

FIRST_TEST_NUMBER = 900_000_000
"""NHS numbers from 9,000,000,000 up are for tests: these are their first nine digits."""

SPREAD_KM = 8.0
"""How far from the middle of its area a crew works, north, south, east and west."""


class Expected(BaseModel):
    """What the answer must say."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    acuity: Acuity
    service_type: ServiceType


class Scenario(BaseModel):
    """A kind of incident: what is given, from which ranges the rest is drawn, and what must be answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    presentation: str
    age: tuple[int, int]
    findings: Findings
    accept: Literal["any"] | tuple[ServiceType, ...] = Field(union_mode="left_to_right")
    expect: Expected
    observations: dict[str, tuple[float, float] | str]


class Incident(BaseModel):
    """One patient to refer: under which key, and what must be answered."""

    model_config = ConfigDict(frozen=True)
    key: UUID
    scenario: str
    submission: Submission
    expect: Expected


def scenarios() -> dict[str, Scenario]:
    """The scenarios that are shipped."""
    text = files("services.device").joinpath("scenarios.toml").read_text()
    return {name: Scenario.model_validate(body) for name, body in tomllib.loads(text).items()}


def shift(seed: int, middle: Position, kinds: Sequence[str] = ()) -> Iterator[Incident]:
    """Incidents without end: the scenarios in turn, so that each comes up, everything else drawn at random."""
    chance = random.Random(seed)  # noqa: S311 a simulation
    known = scenarios()
    names = list(kinds or known)
    while True:
        for name in names:
            yield _incident(name, known[name], chance, middle)


def _incident(name: str, scenario: Scenario, chance: random.Random, middle: Position) -> Incident:
    age = chance.randint(*scenario.age)
    accept = scenario.accept
    submission = Submission(
        patient=Patient(
            nhs_number=nhs_number(chance),
            age=Age(value=age),
            gender=chance.choice(("female", "male")),
            pregnant=False,
            contact=Contact(mobile=f"07700 900{chance.randrange(1000):03}") if chance.random() < 0.7 else Contact(),
        ),
        position=Position(
            latitude=round(middle.latitude + chance.uniform(-SPREAD_KM, SPREAD_KM) / 111.2, 5),
            longitude=round(middle.longitude + chance.uniform(-SPREAD_KM, SPREAD_KM) / 67.0, 5),
        ),
        presentation=scenario.presentation,
        findings=scenario.findings,
        observations=Observations(**_drawn(scenario, chance)),
        accept=accept if accept == "any" else tuple(AcceptedType(service_type=type) for type in accept),
    )
    return Incident(
        key=UUID(int=chance.getrandbits(128), version=4), scenario=name, submission=submission, expect=scenario.expect
    )


def _drawn(scenario: Scenario, chance: random.Random) -> dict[str, Any]:
    values: dict[str, Any] = {"on_oxygen": False}
    for name, given in scenario.observations.items():
        if isinstance(given, str):
            values[name] = given
        elif name == "temperature_celsius":
            values[name] = round(chance.uniform(*given), 1)
        else:
            values[name] = chance.randint(int(given[0]), int(given[1]))
    return values


def nhs_number(chance: random.Random) -> str:
    """A made-up NHS number of the range for tests, with its check digit (Modulus 11)."""
    while True:
        nine = str(FIRST_TEST_NUMBER + chance.randrange(99_999_999))
        check = 11 - sum(int(digit) * weight for digit, weight in zip(nine, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            return f"{nine}{check % 11}"
