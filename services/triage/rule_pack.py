"""Rule packs: everything that a clinician may change, as versioned data that is checked when it is read.

Every decision ends in an acuity and either a type of service or a clinician: a pack that cannot promise it is refused.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, to_json

from contracts.brief import Acuity, Disposition, Reason
from contracts.directory import SERVICE_TYPES
from contracts.envelope import Data
from contracts.people import Gender
from contracts.submissions import Consciousness, Mark
from services.triage.news2 import Band, Chart

Words = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")]
YesNo = Literal["yes", "no"]
YesNoUnknown = Literal["yes", "no", "unknown"]


class Found(NamedTuple):
    """What rules may look at, each as one of a few words. What was not said is `unknown`."""

    presentation: str
    cardiac_arrest: YesNo
    fast: Literal["positive", "negative", "unknown"]
    """Positive: any sign is present. Negative: all three were tested and none is."""
    suspected_infection: YesNoUnknown
    consciousness: Literal[Consciousness, "unknown"]
    pregnant: YesNoUnknown
    gender: Gender
    news2_band: Literal[Band, "not-scored"]
    news2_complete: YesNo


class _Names(NamedTuple):
    """What the file declares, so that each mention of it can be checked where it stands."""

    dispositions: frozenset[str]
    presentations: frozenset[str]
    repeated: frozenset[str]


def _declared(info: ValidationInfo) -> _Names:
    if not isinstance(info.context, _Names):
        raise TypeError("a rule pack is read with load, which knows the names that it declares")
    return info.context


def _own(id: str, info: ValidationInfo) -> str:
    if id in _declared(info).repeated:
        raise ValueError("another rule has this id too")
    return id


def _declared_presentations(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    unknown = [name for name in names if name not in _declared(info).presentations]
    if unknown:
        raise ValueError(f"unknown presentation {', '.join(unknown)}")
    return names


def _declared_disposition(code: str, info: ValidationInfo) -> str:
    if code not in _declared(info).dispositions:
        raise ValueError(f"unknown disposition {code}")
    return code


def _types_of_the_directory(types: tuple[int, ...]) -> tuple[int, ...]:
    unknown = [str(type) for type in types if type not in SERVICE_TYPES]
    if unknown:
        raise ValueError(f"unknown service type {', '.join(unknown)}")
    if len(set(types)) < len(types):
        raise ValueError("a service type is named twice")
    return types


class When(Data):
    """What must hold: of each fact that is named here, one of the words given. Nothing named always holds."""

    presentation: Annotated[tuple[str, ...], AfterValidator(_declared_presentations)] = ()
    cardiac_arrest: tuple[YesNo, ...] = ()
    fast: tuple[Literal["positive", "negative", "unknown"], ...] = ()
    suspected_infection: tuple[YesNoUnknown, ...] = ()
    consciousness: tuple[Literal[Consciousness, "unknown"], ...] = ()
    pregnant: tuple[YesNoUnknown, ...] = ()
    gender: tuple[Gender, ...] = ()
    news2_band: tuple[Literal[Band, "not-scored"], ...] = ()
    news2_complete: tuple[YesNo, ...] = ()

    @cached_property
    def conditions(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Each fact that is named, with its words."""
        return tuple((fact, frozenset(words)) for fact in Found._fields if (words := getattr(self, fact)))

    def holds(self, found: Found) -> bool:
        """Whether all of it holds."""
        for fact, words in self.conditions:  # noqa: SIM110 - a loop takes half the time of all(), on the hottest path
            if getattr(found, fact) not in words:
                return False
        return True

    def covers(self, other: "When") -> bool:
        """Whether this holds wherever the other does."""
        narrower = dict(other.conditions)
        return all(fact in narrower and narrower[fact] <= words for fact, words in self.conditions)


ALWAYS = When()


class Then(Data):
    """What follows: how urgent, what should happen, and which types of service are fit, best first; or a clinician."""

    acuity: Acuity
    disposition: Annotated[str, AfterValidator(_declared_disposition)]
    service_types: Annotated[tuple[int, ...], AfterValidator(_types_of_the_directory)] = ()
    to_clinician: bool = False

    @model_validator(mode="after")
    def _ends_somewhere(self) -> Self:
        if not self.service_types and not self.to_clinician:
            raise ValueError("neither a service type nor to_clinician: this would end nowhere")
        if self.service_types and self.to_clinician:
            raise ValueError("both service types and to_clinician: a clinician chooses the type")
        return self


class Conclusion(Data):
    """What follows, why, and where that comes from."""

    id: Annotated[Id, AfterValidator(_own)]
    then: Then
    text: Words
    source: Words

    @cached_property
    def reason(self) -> Reason:
        """How an answer names it."""
        return Reason(rule=self.id, text=self.text, source=self.source)


class Rule(Conclusion):
    """A conclusion, and when it holds."""

    when: When = ALWAYS


class Oddity(Data):
    """Something unusual that is marked for a clinician and never blocks."""

    id: Annotated[Id, AfterValidator(_own)]
    when: When
    pointer: Annotated[str, Field(pattern=r"^(/[a-z_]+)+$", description="JSON pointer into the submission")]
    text: Words
    source: Words

    @cached_property
    def mark(self) -> Mark:
        """How the brief carries it."""
        return Mark(code=self.id, pointer=self.pointer, text=self.text)


def _decided_by_a_finding(red_flags: tuple[Rule, ...]) -> tuple[Rule, ...]:
    faults = [
        (index, "a red flag without a condition would decide every referral")
        for index, rule in enumerate(red_flags)
        if not rule.when.conditions
    ]
    _refuse(faults + _never_reached(red_flags))
    return red_flags


class Presentation(Data):
    """What the crew selects, and its rules: the first that holds decides."""

    name: Words
    time_critical: bool = Field(
        default=False, description="its rules decide even where NEWS2 is not valid: waiting would cost more"
    )
    escalates_from: Literal["low-medium", "medium", "high"] | None = Field(
        default=None, description="from this NEWS2 band on, the band decides instead of the rules"
    )
    rules: tuple[Rule, ...]

    @cached_property
    def escalated(self) -> frozenset[Band]:
        """The bands that decide instead of the rules."""
        bands: tuple[Band, ...] = ("low-medium", "medium", "high")
        return frozenset(bands[bands.index(self.escalates_from) :] if self.escalates_from else ())

    @model_validator(mode="after")
    def _ends_somewhere(self) -> Self:
        if not self.rules:
            raise ValueError("a presentation without rules would end nowhere")
        faults = [
            (index, "names presentations, but stands in one")
            for index, rule in enumerate(self.rules)
            if rule.when.presentation
        ]
        last = len(self.rules) - 1
        if self.rules[last].when.conditions:
            faults.append((last, "the last rule of a presentation must have no condition, so that one always holds"))
        before = [When(news2_band=tuple(sorted(self.escalated)))] if self.escalated else []
        _refuse([*faults, *_never_reached(self.rules, before)], "rules")
        return self


def _never_reached(rules: Sequence[Rule], before: Sequence[When] = ()) -> list[tuple[int, str]]:
    """Rules that one before them always forestalls. Several together may forestall one unseen: that is not searched."""
    faults = []
    for index, rule in enumerate(rules):
        first = next((earlier.id for earlier in rules[:index] if earlier.when.covers(rule.when)), None)
        if first is None and any(when.covers(rule.when) for when in before):
            first = "escalates_from"
        if first is not None:
            faults.append((index, f"is never reached: {first} decides before it"))
    return faults


def _refuse(faults: Sequence[tuple[int, str]], *within: str) -> None:
    """Raise all of them at once, each at its place."""
    if faults:
        raise ValidationError.from_exception_data(
            "rules",
            [
                InitErrorDetails(
                    type=PydanticCustomError("rule", "{why}", {"why": why}), loc=(*within, index), input=None
                )
                for index, why in faults
            ],
        )


def _decided_by_a_clinician(conclusion: Conclusion) -> Conclusion:
    if not conclusion.then.to_clinician:
        raise ValueError("what is unknown goes to a clinician: to_clinician must be true")
    return conclusion


class Plausible(Data):
    """Values that an observation can have in a living patient, both ends included. Others are marked, and scored."""

    least: float
    most: float

    @model_validator(mode="after")
    def _least_first(self) -> Self:
        if self.least >= self.most:
            raise ValueError("least must be below most")
        return self


class Bands(Data):
    """What each NEWS2 band means: its acuity always counts, the rest where a presentation escalates from it."""

    low_medium: Conclusion
    medium: Conclusion
    high: Conclusion


class Time(Data):
    """A disposition's name and minutes; its code stands before it."""

    name: Words
    minutes: int = Field(ge=0, le=100_000, description="within how many minutes it should happen")


Code = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]{1,30}$")]
Measured = Literal[
    "respiration_per_min",
    "oxygen_saturation_percent",
    "systolic_mmhg",
    "pulse_per_min",
    "temperature_celsius",
]


class RulePack(Data):
    """A named, versioned set of rules. Read one with `load`."""

    name: Id
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")]
    news2: Chart
    bands: Bands
    dispositions: dict[Code, Time]
    red_flags: Annotated[tuple[Rule, ...], AfterValidator(_decided_by_a_finding)]
    not_scored: Annotated[Conclusion, AfterValidator(_decided_by_a_clinician)]
    unknown_presentation: Annotated[Conclusion, AfterValidator(_decided_by_a_clinician)]
    presentations: dict[Id, Presentation]
    oddities: tuple[Oddity, ...] = ()
    plausible: dict[Measured, Plausible] = Field(default_factory=dict)

    @cached_property
    def full_name(self) -> str:
        """Name and version, as decisions carry them."""
        return f"{self.name} {self.version}"

    @cached_property
    def disposition_of(self) -> dict[str, Disposition]:
        """Each disposition by its code."""
        return {
            code: Disposition(code=code, name=time.name, minutes=time.minutes)
            for code, time in self.dispositions.items()
        }

    @cached_property
    def band_conclusions(self) -> dict[str, Conclusion]:
        """What each band above low means."""
        return {"low-medium": self.bands.low_medium, "medium": self.bands.medium, "high": self.bands.high}

    @cached_property
    def plausible_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """Each observation that has them, with its least and most."""
        return tuple((name, range.least, range.most) for name, range in self.plausible.items())


@dataclass(frozen=True)
class PackFault:
    """One fault of a rule pack: in which file, at which rule or section, and what."""

    file: str
    rule: str
    fault: str

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}: {self.fault}"


class UnsoundRulePack(Exception):
    """A rule pack has faults and decides nothing."""

    def __init__(self, faults: Sequence[PackFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


def load(path: Path) -> RulePack:
    """Read a rule pack in TOML. Raises UnsoundRulePack with every fault that can be seen.

    The rules of a presentation are compared with each other only once each of them is sound in itself.
    """
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnsoundRulePack([PackFault(str(path), "the whole file", f"cannot be read: {error.strerror}")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnsoundRulePack([PackFault(path.name, "the whole file", f"not TOML: {error}")]) from None
    try:
        # By way of JSON, whose arrays are tuples in strict mode: a number in quotes stays a fault.
        return RulePack.model_validate_json(to_json(written), extra="forbid", context=_names(written))
    except ValidationError as error:
        faults = [_fault(path.name, written, one["loc"], one["msg"]) for one in error.errors(include_input=False)]
        raise UnsoundRulePack(faults) from None


def _names(written: dict[str, Any]) -> _Names:
    ids = Counter(id for id in _ids(written) if isinstance(id, str))
    return _Names(
        dispositions=frozenset(_keys(written.get("dispositions"))),
        presentations=frozenset(_keys(written.get("presentations"))),
        repeated=frozenset(id for id, times in ids.items() if times > 1),
    )


def _keys(table: Any) -> Iterator[str]:
    return iter(table if isinstance(table, dict) else ())


def _ids(written: Any) -> Iterator[Any]:
    if isinstance(written, dict):
        if "id" in written:
            yield written["id"]
        for value in written.values():
            yield from _ids(value)
    elif isinstance(written, list):
        for value in written:
            yield from _ids(value)


def _fault(file: str, written: Any, place: tuple[int | str, ...], message: str) -> PackFault:
    """Name the rule that the fault is in, or else the section."""
    name, within = "the whole file", 0
    part = written
    for depth, step in enumerate(place, start=1):
        try:
            part = part[step]
        except (KeyError, IndexError, TypeError):
            break
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("id"), str):
            name, within = f"rule {part['id']}", depth
        elif not name.startswith("rule "):
            name, within = ".".join(map(str, place[:depth])), depth
    field = ".".join(map(str, place[within:]))
    said = message.removeprefix("Value error, ")
    return PackFault(file, name, f"{field}: {said}" if field else said)
