"""What each presentation asks, so that any device can build its form and say where each answer goes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from contracts.brief import Reason
from contracts.directory import SERVICE_TYPES
from contracts.envelope import Data
from contracts.submissions import ServiceType
from services.triage.precedence import Rules
from services.triage.questions import UNKNOWN, Choice, Number, Question
from services.triage.rule_pack import OTHER


class NamedType(Data):
    """A type of service and its name."""

    service_type: ServiceType
    name: str


class Option(Data):
    """A word that answers a question, and what it means."""

    word: str
    means: str


class Asked(Data):
    """One thing to ask, and where its answer goes in a submission."""

    question: str
    asks: str
    kind: Literal["true-false", "yes-no", "number", "time", "choice"]
    pointer: str = Field(description="JSON pointer into the submission")
    unit: str | None = None
    least: float | None = None
    most: float | None = None
    options: tuple[Option, ...] = ()
    source: str


class ListedPresentation(Data):
    """What a crew can select, what it asks, and where it can lead."""

    presentation: str
    name: str
    asks: tuple[Asked, ...]
    decides_without_news2: bool = Field(description="else whom NEWS2 is not valid for goes to a clinician")
    service_types: tuple[NamedType, ...] = Field(description="the types that its rules name, best first")
    excluded_by: tuple[Reason, ...] = Field(description="what decides before its rules do, by which source")


class ListedPresentations(Data):
    """Every presentation of a rule pack."""

    rule_pack: str
    presentations: tuple[ListedPresentation, ...]


def listed(rules: Rules) -> ListedPresentations:
    """Every presentation with its questions, in the pack's order."""
    return ListedPresentations(
        rule_pack=rules.pack.full_name,
        presentations=tuple(
            ListedPresentation(
                presentation=name,
                name=presentation.name,
                asks=asked_of(name, rules),
                decides_without_news2=presentation.without_news2,
                service_types=named(
                    tuple(dict.fromkeys(type for step in rules.steps(name)[::-1] for type in step.then.service_types))
                ),
                excluded_by=tuple(_excluding(name, rules)),
            )
            for name, presentation in rules.pack.presentations.items()
        ),
    )


def _excluding(name: str, rules: Rules) -> Iterator[Reason]:
    """Its red flags, and the scores that it leaves to others."""
    own = {rule.id for rule in rules.pack.presentations[name].rules}
    for step in rules.steps(name):
        if step.reasons[-1].rule not in own:
            yield step.reasons[0]


def named(types: tuple[int, ...]) -> tuple[NamedType, ...]:
    """Types of service with their names."""
    return tuple(NamedType(service_type=type, name=SERVICE_TYPES[type]) for type in types)


def asked_of(presentation: str, rules: Rules) -> tuple[Asked, ...]:
    """What a presentation asks, in order; of one that the pack does not have, what is asked of everyone."""
    known = presentation if presentation in rules.tried else OTHER
    return tuple(asked for id in rules.asked[known] for asked in _asked(id, rules))


def _asked(id: str, rules: Rules) -> Iterator[Asked]:
    question = rules.pack.questions.get(id)
    if question is not None:
        yield _of_the_pack(id, question)
        return
    for pointer, asks, source in _OF_EVERY_PACK[id]:
        yield Asked(question=id, asks=asks, kind="true-false", pointer=pointer, source=source)


def _of_the_pack(id: str, question: Question) -> Asked:
    number = question if isinstance(question, Number) else None
    options = question.options if isinstance(question, Choice) else {}
    return Asked(
        question=id,
        asks=question.asks,
        kind=question.kind,
        pointer=f"/findings/answers/{id}",
        unit=number.unit if number else None,
        least=number.least if number else None,
        most=number.most if number else None,
        options=(
            *(Option(word=word, means=means) for word, means in options.items()),
            *([Option(word=UNKNOWN, means="not known")] if options else []),
        ),
        source=question.source,
    )


_FAST = "NICE NG128: FAST outside hospital"
_OF_EVERY_PACK: dict[str, tuple[tuple[str, str, str], ...]] = {
    "cardiac_arrest": (("/findings/cardiac_arrest", "Is the patient in cardiac arrest?", "unverified default"),),
    "fast": (
        ("/findings/fast/face", "FAST: does the face droop on one side?", _FAST),
        ("/findings/fast/arm", "FAST: does one arm drift down?", _FAST),
        ("/findings/fast/speech", "FAST: is the speech slurred or strange?", _FAST),
    ),
    "suspected_infection": (
        ("/findings/suspected_infection", "Is an infection suspected?", "NICE NG253 (formerly NG51)"),
    ),
    "pregnant": (("/patient/pregnant", "Is the patient pregnant?", "Royal College of Physicians, NEWS2, 2017"),),
}
"""What the contract has a place of its own for: pointer, question, source. Left out where it was not asked."""
