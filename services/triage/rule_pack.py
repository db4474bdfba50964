"""Rule packs: everything that a clinician may change, as versioned data that is checked when it is read.

Every decision ends in an acuity and either a type of service or a clinician: a pack that cannot promise it is refused.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, to_json

from contracts.brief import Acuity, Disposition, Reason
from contracts.directory import SERVICE_TYPES
from contracts.envelope import Data
from contracts.people import Gender
from contracts.submissions import Consciousness, Mark
from services.triage.combinations import EVERYTHING, Box, all_without, meet
from services.triage.news2 import Band, Chart
from services.triage.questions import UNKNOWN, Question, Word

Words = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")]
QuestionId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]

NOT_SCORED = "not-scored"
RAISED: tuple[Band, ...] = ("low-medium", "medium", "high")

FACTS: dict[str, tuple[str, ...]] = {
    "cardiac_arrest": ("yes", "no"),
    "fast": ("positive", "negative", UNKNOWN),
    "suspected_infection": ("yes", "no", UNKNOWN),
    "consciousness": (*get_args(Consciousness), UNKNOWN),
    "pregnant": ("yes", "no", UNKNOWN),
    "gender": get_args(Gender),
    "news2_band": (*get_args(Band), NOT_SCORED),
    "news2_complete": ("yes", "no"),
}
"""What rules of every pack may look at, each with its words. A pack adds `presentation`, `age` and its questions.

fast is positive where any sign is present, and negative where all three were tested and none is.
"""

OTHER = "not-in-the-pack"
"""The word of a presentation that the pack does not have."""

FINDINGS = ("cardiac_arrest", "fast", "suspected_infection", "pregnant")
"""Facts that a submission has a place of its own for, and that can be asked like questions."""


_URGENCY: dict[Acuity, int] = {acuity: step for step, acuity in enumerate(get_args(Acuity))}


def urgency(acuity: Acuity) -> int:
    """The rank of an acuity: the most urgent has the lowest."""
    return _URGENCY[acuity]


def more_urgent(one: Acuity, other: Acuity) -> Acuity:
    """The more urgent of two acuities."""
    return min(one, other, key=urgency)


class _Names(NamedTuple):
    """What the file declares, so that each mention of it can be checked where it stands."""

    dispositions: frozenset[str]
    presentations: frozenset[str]
    questions: frozenset[str]
    facts: dict[str, frozenset[str]]
    repeated: frozenset[str]


def _declared(info: ValidationInfo) -> _Names:
    if not isinstance(info.context, _Names):
        raise TypeError("a rule pack is read with load, which knows the names that it declares")
    return info.context


def _own(id: str, info: ValidationInfo) -> str:
    if id in _declared(info).repeated:
        raise ValueError("another rule has this id too")
    return id


def _of_the_facts(when: dict[str, tuple[str, ...]], info: ValidationInfo) -> dict[str, tuple[str, ...]]:
    facts = _declared(info).facts
    faults: list[_At] = []
    for fact, words in when.items():
        known = facts.get(fact)
        if known is None:
            faults.append(((fact,), "there is no such fact or question"))
        elif not words:
            faults.append(((fact,), "without a word it never holds"))
        else:
            unknown = [word for word in words if word not in known]
            if unknown:
                there = ", ".join(sorted(known))
                faults.append(((fact,), f"{', '.join(unknown)} is not one of its words, which are {there}"))
    _refuse(faults)
    return when


def _declared_disposition(code: str, info: ValidationInfo) -> str:
    if code not in _declared(info).dispositions:
        raise ValueError(f"unknown disposition {code}")
    return code


def _declared_presentation(name: str, info: ValidationInfo) -> str:
    if name not in _declared(info).presentations:
        raise ValueError(f"unknown presentation {name}")
    return name


def _declared_questions(ids: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    unknown = [id for id in ids if id not in _declared(info).questions]
    if unknown:
        raise ValueError(f"unknown question {', '.join(unknown)}")
    if len(set(ids)) < len(ids):
        raise ValueError("a question is asked twice")
    return ids


def _types_of_the_directory(types: tuple[int, ...]) -> tuple[int, ...]:
    unknown = [str(type) for type in types if type not in SERVICE_TYPES]
    if unknown:
        raise ValueError(f"unknown service type {', '.join(unknown)}")
    if len(set(types)) < len(types):
        raise ValueError("a service type is named twice")
    return types


When = Annotated[dict[str, tuple[str, ...]], AfterValidator(_of_the_facts)]
"""What must hold: of each fact that is named, one of the words given. Nothing named always holds."""

Asks = Annotated[tuple[str, ...], AfterValidator(_declared_questions)]


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


class Written(Data):
    """What everything that can be a reason has."""

    id: Annotated[Id, AfterValidator(_own)]
    text: Words
    source: Words

    @cached_property
    def reason(self) -> Reason:
        """How an answer names it."""
        return Reason(rule=self.id, text=self.text, source=self.source)


class Conclusion(Written):
    """What follows, why, and where that comes from."""

    then: Then


class Conditional(Written):
    """It holds only when its condition does."""

    when: When = Field(default_factory=dict)

    @cached_property
    def condition(self) -> Box:
        """The combinations of words in which it holds."""
        return {fact: frozenset(words) for fact, words in self.when.items()}


class RedFlag(Conditional, Conclusion):
    """A conclusion that holds for every patient in whom this is found, whatever NEWS2 says. The most urgent decides."""


class Rule(Conditional):
    """A conclusion, and when it holds: its own, or that of another presentation's red flags and rules."""

    then: Then | None = None
    decide_as: Annotated[str, AfterValidator(_declared_presentation)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.then is None) == (self.decide_as is None):
            raise ValueError("either then or decide_as, and not both")
        return self


class Oddity(Conditional):
    """Something unusual that is marked for a clinician and never blocks."""

    pointer: Annotated[str, Field(pattern=r"^(/[a-z_0-9]+)+$", description="JSON pointer into the submission")]

    @cached_property
    def mark(self) -> Mark:
        """How the brief carries it."""
        return Mark(code=self.id, pointer=self.pointer, text=self.text)


class Presentation(Data):
    """What the crew selects, what it asks, and what follows: the first that holds decides.

    Its red flags, for every patient; a clinician where NEWS2 is not valid; a NEWS2 band that it escalates from; its
    rules.
    """

    name: Words
    asks: Asks = ()
    without_news2: bool = Field(
        default=False, description="its rules decide even where NEWS2 is not valid: waiting would cost more"
    )
    escalates_from: Literal["low-medium", "medium", "high"] | None = Field(
        default=None, description="from this NEWS2 band on, the band decides instead of the rules"
    )
    red_flags: tuple[RedFlag, ...] = ()
    rules: tuple[Rule, ...]

    @cached_property
    def escalated(self) -> tuple[Band, ...]:
        """The bands that decide instead of the rules."""
        return RAISED[RAISED.index(self.escalates_from) :] if self.escalates_from else ()

    @model_validator(mode="after")
    def _ends_somewhere(self, info: ValidationInfo) -> Self:
        if not self.rules:
            raise ValueError("a presentation without rules would end nowhere")
        faults: list[_At] = [
            ((part, index), "names presentations, but stands in one")
            for part in ("red_flags", "rules")
            for index, rule in enumerate(getattr(self, part))
            if "presentation" in rule.when
        ]
        unconditional = _unconditional("red_flags", self.red_flags)
        faults += unconditional
        last = len(self.rules) - 1
        if self.rules[last].when:
            faults.append(
                (("rules", last), "the last rule of a presentation must have no condition, so that one always holds")
            )
        facts = _declared(info).facts
        before: list[tuple[str, Box]] = []
        if not self.without_news2:
            before.append((NOT_SCORED, {"news2_band": frozenset([NOT_SCORED])}))
        if self.escalated:
            before.append(("escalates_from", {"news2_band": frozenset(self.escalated)}))
        if not unconditional:
            faults += _flags_never_reached("red_flags", self.red_flags, facts)
            flags = [(flag.id, flag.condition) for flag in self.red_flags]
            faults += _never_reached("rules", self.rules, facts, [*flags, *before])
        _refuse(faults)
        return self


_At = tuple[tuple[str | int, ...], str]
"""Where a fault is, inside what is checked, and what it is."""


def _unconditional(part: str, red_flags: Sequence[RedFlag]) -> list[_At]:
    return [
        ((part, index), "a red flag without a condition would decide every referral")
        for index, flag in enumerate(red_flags)
        if not flag.when
    ]


def _never_reached(
    part: str,
    rules: Sequence[RedFlag | Rule],
    facts: Mapping[str, frozenset[str]],
    before: Sequence[tuple[str, Box]] = (),
) -> list[_At]:
    """Rules that decide in no combination of words, because those before them leave none; each with what decides."""
    faults: list[_At] = []
    earlier = list(before)
    left: list[Box] = [EVERYTHING]
    for _, condition in earlier:
        left = all_without(left, condition, facts)
    for index, rule in enumerate(rules):
        if all(meet(box, rule.condition) is None for box in left):
            faults.append(((part, index), _forestalled(rule.condition, earlier, facts)))
        left = all_without(left, rule.condition, facts)
        earlier.append((rule.id, rule.condition))
    return faults


def by_urgency(red_flags: Sequence[RedFlag]) -> list[RedFlag]:
    """Red flags in the order of their trial: the most urgent first, else as they stand in the file."""
    return sorted(red_flags, key=lambda flag: urgency(flag.then.acuity))


def _flags_never_reached(part: str, red_flags: Sequence[RedFlag], facts: Mapping[str, frozenset[str]]) -> list[_At]:
    tried = by_urgency(red_flags)
    return [((part, red_flags.index(tried[int(where[1])])), why) for where, why in _never_reached(part, tried, facts)]


def _forestalled(condition: Box, earlier: Sequence[tuple[str, Box]], facts: Mapping[str, frozenset[str]]) -> str:
    alone = next((name for name, box in earlier if not all_without([condition], box, facts)), None)
    if alone is not None:
        return f"is never reached: {alone} decides before it"
    shares = [name for name, box in earlier if meet(condition, box) is not None]
    return f"is never reached: {', '.join(shares)} decide before it, between them"


def _refuse(faults: Sequence[_At]) -> None:
    """Raise all of them at once, each at its place."""
    if faults:
        raise ValidationError.from_exception_data(
            "rules",
            [
                InitErrorDetails(type=PydanticCustomError("rule", "{why}", {"why": why}), loc=where, input=None)
                for where, why in faults
            ],
        )


def _decided_by_a_finding(red_flags: tuple[RedFlag, ...], info: ValidationInfo) -> tuple[RedFlag, ...]:
    faults = _unconditional("", red_flags) or _flags_never_reached("", red_flags, _declared(info).facts)
    _refuse([(where[1:], why) for where, why in faults])
    return red_flags


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


def _from_birth_on(ages: dict[str, int]) -> dict[str, int]:
    years = list(ages.values())
    if not years or years[0] != 0 or any(one >= other for one, other in pairwise(years)):
        raise ValueError("the youngest ages, in years, must begin with 0 and rise")
    if UNKNOWN in ages:
        raise ValueError(f"{UNKNOWN} is the word for an age that was not said")
    return ages


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
    ages: Annotated[dict[Word, int], AfterValidator(_from_birth_on)]
    dispositions: dict[Code, Time]
    questions: dict[QuestionId, Question] = Field(default_factory=dict)
    asked_of_everyone: Asks = ()
    red_flags: Annotated[tuple[RedFlag, ...], AfterValidator(_decided_by_a_finding)]
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

    @cached_property
    def facts(self) -> dict[str, frozenset[str]]:
        """Everything that rules may look at, each with its words."""
        return _facts(self.presentations, self.ages, {id: question.words for id, question in self.questions.items()})

    @model_validator(mode="after")
    def _decides_in_the_end(self) -> Self:
        for cycle in cycles(self):
            way = " -> ".join((*cycle, cycle[0]))
            name, after = cycle[0], (*cycle[1:], cycle[0])[0]
            index = next(i for i, rule in enumerate(self.presentations[name].rules) if rule.decide_as == after)
            _refuse([(("presentations", name, "rules", index, "decide_as"), f"a cycle that never decides: {way}")])
        return self


def cycles(pack: RulePack) -> list[tuple[str, ...]]:
    """Presentations that decide as each other in a circle: each circle once, from its first presentation on."""
    follows = {
        name: tuple(dict.fromkeys(rule.decide_as for rule in presentation.rules if rule.decide_as is not None))
        for name, presentation in pack.presentations.items()
    }
    found: list[tuple[str, ...]] = []
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            found.append(way[way.index(name) :])
        elif name not in done:
            for after in follows[name]:
                walk(after, (*way, name))
            done.add(name)

    for name in follows:
        walk(name, ())
    return found


def _facts(presentations: Any, ages: Any, questions: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    return {
        **{fact: frozenset(words) for fact, words in FACTS.items()},
        "presentation": frozenset([*_keys(presentations), OTHER]),
        "age": frozenset([*_keys(ages), UNKNOWN]),
        **{id: frozenset(words) for id, words in questions.items()},
    }


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


_QUESTIONS: TypeAdapter[dict[str, Question]] = TypeAdapter(dict[QuestionId, Question])


def _names(written: dict[str, Any]) -> _Names:
    """What the file declares. Raises pydantic's ValidationError for a question at fault: rules look at their words."""
    try:
        questions = _QUESTIONS.validate_json(to_json(written.get("questions", {})), extra="forbid")
    except ValidationError as error:
        raise ValidationError.from_exception_data(
            "questions",
            [
                InitErrorDetails(
                    type=PydanticCustomError("question", "{why}", {"why": one["msg"]}),
                    loc=("questions", *one["loc"]),
                    input=None,
                )
                for one in error.errors(include_input=False)
            ],
        ) from None
    ids = Counter(id for id in _ids(written) if isinstance(id, str))
    words = {id: question.words for id, question in questions.items()}
    return _Names(
        dispositions=frozenset(_keys(written.get("dispositions"))),
        presentations=frozenset(_keys(written.get("presentations"))),
        questions=frozenset([*words, *FINDINGS]),
        facts=_facts(written.get("presentations"), written.get("ages"), words),
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
    way = [step for step in place if step not in _KINDS]
    for depth, step in enumerate(way, start=1):
        try:
            part = part[step]
        except (KeyError, IndexError, TypeError):
            break
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("id"), str):
            name, within = f"rule {part['id']}", depth
        elif not name.startswith("rule "):
            name, within = ".".join(map(str, way[:depth])), depth
    field = ".".join(map(str, way[within:]))
    said = message.removeprefix("Value error, ")
    return PackFault(file, name, f"{field}: {said}" if field else said)


_KINDS = ("yes-no", "choice", "number", "time")
"""Pydantic names the kind of question that it tried, which is no part of the file."""
