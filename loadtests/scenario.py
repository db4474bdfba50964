"""Scenarios: readable files that say what is asked of a system, when, and of which directory.

A scenario that cannot be run is refused when it is read, with the file and each fault.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.people import Position
from loadtests.schedules import HOURS, Arrivals, Schedule
from services.device.incidents import scenarios as kinds_of_incident
from services.pathways.towns import town

SHIPPED = Path(__file__).parent / "scenarios"
ENGLAND = "England"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Rate = Annotated[float, Field(ge=0, le=100_000)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Constant(_Written):
    """The same rate all the time."""

    per_second: Annotated[float, Field(gt=0, le=100_000)]
    seconds: Seconds


class Ramp(_Written):
    """From one rate to another."""

    begins: Rate
    ends: Rate
    seconds: Seconds


class Steps(_Written):
    """One rate after the other, each for as long."""

    per_second: tuple[Rate, ...] = Field(min_length=1, max_length=100)
    seconds: Seconds


class Day(_Written):
    """A day: how many, and how each hour's beginning weighs beside the others."""

    events: int = Field(ge=1, le=10_000_000)
    hours: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=HOURS, max_length=HOURS)

    @model_validator(mode="after")
    def _of_some_weight(self) -> Self:
        if not any(self.hours):
            raise ValueError("an hour must weigh more than nothing")
        return self


class Burst(_Written):
    """All at once."""

    events: int = Field(ge=1, le=10_000_000)


class Timing(_Written):
    """Exactly one schedule, and how arrivals fall on it."""

    arrivals: Arrivals = "even"
    constant: Constant | None = None
    ramp: Ramp | None = None
    steps: Steps | None = None
    day: Day | None = None
    burst: Burst | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in SHAPES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"say exactly one of {', '.join(SHAPES)}, not {', '.join(given) or 'none'}")
        return self

    @property
    def schedule(self) -> Schedule:
        """As a schedule."""
        if self.constant is not None:
            return Schedule.constant(self.constant.per_second, self.constant.seconds, self.arrivals)
        if self.ramp is not None:
            return Schedule.ramp(self.ramp.begins, self.ramp.ends, self.ramp.seconds, self.arrivals)
        if self.steps is not None:
            return Schedule.steps(self.steps.per_second, self.steps.seconds, self.arrivals)
        if self.day is not None:
            return Schedule.day(self.day.events, self.day.hours, self.arrivals)
        assert self.burst is not None
        return Schedule.burst(self.burst.events)


SHAPES = ("constant", "ramp", "steps", "day", "burst")


class Load(_Written):
    """One stream of requests.

    `transaction` is `POST /referrals`, `lookup` is `GET /pathways`, `event` a submission told on its topic in the
    gateway's place, which needs no HTTP and reaches what is behind the gateway at any rate.
    """

    name: Name
    kind: Literal["transaction", "lookup", "event"]
    where: str | Position = Field(description="a town, England (as people live there), or a position")
    incidents: tuple[str, ...] = Field(default=(), description="kinds of incident, in turn; all if not given")
    wait_seconds: int = Field(default=5, ge=0, le=300, description="how long a transaction waits for its outcome")
    of_capacity: bool = Field(default=False, description="rates are multiples of what the system is found to do")
    schedule: Timing

    @model_validator(mode="after")
    def _known(self) -> Self:
        if isinstance(self.where, str) and self.where != ENGLAND and town(self.where) is None:
            raise ValueError(f"where: there is no town {self.where} in the table of towns")
        if unknown := sorted(set(self.incidents) - kinds_of_incident().keys()):
            raise ValueError(f"incidents: there is no kind {', '.join(unknown)}")
        if self.of_capacity and self.kind != "transaction":
            raise ValueError("of_capacity: only what a system does of transactions is found out")
        return self


class Directory(_Written):
    """What the system under load knows of services, where it is one of the scenario's own."""

    services: int | None = Field(
        default=None, ge=200, le=200_000, description="so many invented services all over England; else the small one"
    )
    room: int | None = Field(
        default=None, ge=1, le=100_000, description="patients a slot, where the pipeline is measured and no shortage"
    )
    horizon_days: int = Field(default=2, ge=1, le=60, description="how far ahead diaries have slots")


class Reader(_Written):
    """Those who follow `GET /events` and take their time over each fact."""

    count: int = Field(ge=1, le=1000)
    pause_ms: float = Field(ge=0, le=60_000)


class Scenario(_Written):
    """What is asked of a system."""

    title: str
    shows: str = Field(description="what the run is for, in a few sentences")
    assumes: tuple[str, ...] = Field(default=(), description="what is not known and was assumed")
    seed: int = 1
    faster: float = Field(default=1.0, ge=0.01, le=100_000, description="so many times as fast as the streams say")
    follow: Literal["along", "afterwards"] = Field(
        default="along",
        description="whether outcomes and messages are read as they come, or their times are taken from the log after "
        "the run, which spares the machine the reading",
    )
    directory: Directory = Directory()
    load: tuple[Load, ...]
    reader: tuple[Reader, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [one.name for one in self.load]
        if not names:
            raise ValueError("load: there must be a stream")
        if len(set(names)) < len(names):
            raise ValueError("load: two streams have one name")
        return self


class ScenarioFaulty(Exception):
    """A scenario cannot be run as it is written."""

    def __init__(self, file: Path, faults: Sequence[str]) -> None:
        super().__init__("".join(f"{file}: {fault}\n" for fault in faults).rstrip())


def shipped() -> list[Path]:
    """The scenarios that come with Onward."""
    return sorted(SHIPPED.glob("*.toml"))


def file_of(name: str) -> Path:
    """The file of a shipped scenario by its name, or the file of that path. Raises ScenarioFaulty."""
    file = SHIPPED / f"{name}.toml" if "/" not in name and not name.endswith(".toml") else Path(name)
    if not file.is_file():
        known = ", ".join(one.stem for one in shipped())
        raise ScenarioFaulty(file, [f"there is no such file; the scenarios that come with Onward are {known}"])
    return file


def read(file: Path) -> Scenario:
    """The scenario in a file. Raises ScenarioFaulty, which names every fault."""
    try:
        return Scenario.model_validate(tomllib.loads(file.read_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioFaulty(file, [f"not TOML: {error}"]) from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise ScenarioFaulty(file, [f"{_where(fault['loc'])}: {fault['msg']}" for fault in faults]) from None


def _where(place: tuple[int | str, ...]) -> str:
    """A place in the file, as TOML counts from one: `load 1, schedule, constant`."""
    words: list[str] = []
    for part in place:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            words.append(str(part))
    return ", ".join(words) or "the whole"
