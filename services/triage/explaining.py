"""A rule pack in words: what decides a presentation, in which order, and what would make each rule decide."""

from collections.abc import Iterator

from contracts.brief import Acuity, Reason
from contracts.envelope import Data
from services.triage.asking import Asked, NamedType, asked_of, named
from services.triage.combinations import Box
from services.triage.precedence import Rules, Step
from services.triage.rule_pack import Conditional, Written
from services.triage.soundness import decided_by, everything_written


class ExplainedStep(Data):
    """One rule on the way of a presentation."""

    rule: str
    text: str
    source: str
    when: dict[str, tuple[str, ...]]
    acuity: Acuity
    disposition: str
    service_types: tuple[NamedType, ...]
    to_clinician: bool
    led_by: tuple[Reason, ...]
    """The rules that lead here from another presentation."""
    fires_with: dict[str, str] | None
    """A combination in which it decides; none where what comes before it always does."""


class ExplainedPresentation(Data):
    """A presentation: what it asks, and all that can decide it after the red flags of the whole pack."""

    presentation: str
    name: str
    asks: tuple[Asked, ...]
    steps: tuple[ExplainedStep, ...]
    rule_pack: str


class ExplainedRule(Data):
    """A rule, red flag or oddity, and where it stands."""

    rule: str
    text: str
    source: str
    when: dict[str, tuple[str, ...]]
    stands: tuple[ExplainedPresentation, ...]
    """Each presentation that it can decide, with its own step alone."""
    marks: str | None
    """Where an oddity's mark points."""
    rule_pack: str


class NothingOfThatName(Exception):
    """The pack has no rule and no presentation of that name."""

    def __init__(self, name: str, rules: Rules) -> None:
        names = ", ".join(rules.pack.presentations)
        super().__init__(
            f"{rules.pack.full_name} has no rule and no presentation named {name}. Its presentations are {names}. "
            "The rules of one are shown with it."
        )


RED_FLAGS = "red-flags"
"""Names the red flags of the whole pack, where a presentation is asked for."""


def explain(name: str, rules: Rules) -> ExplainedPresentation | ExplainedRule:
    """A presentation or a rule. Raises NothingOfThatName.

    A rule can have the name of its presentation, which is then explained: the rule is shown with it.
    """
    if name in rules.pack.presentations:
        return _presentation(name, rules)
    if name == RED_FLAGS:
        return _explained(RED_FLAGS, "Red flags, for every patient", rules.red_flags, rules)
    written = next((one for one in everything_written(rules.pack) if one.id == name), None)
    if written is None:
        raise NothingOfThatName(name, rules)
    return _rule(written, rules)


def _presentation(name: str, rules: Rules) -> ExplainedPresentation:
    return _explained(name, rules.pack.presentations[name].name, rules.steps(name), rules)


def _explained(name: str, title: str, steps: list[Step], rules: Rules) -> ExplainedPresentation:
    each = zip(steps, decided_by(steps, rules.pack)[0], strict=True)
    decides = [(step, boxes) for step, boxes in each if boxes or len(step.reasons) == 1]
    looked_at = {fact for step in steps for fact in step.condition}
    return ExplainedPresentation(
        presentation=name,
        name=title,
        asks=asked_of(name, rules),
        steps=tuple(_step(step, _example(boxes, looked_at), rules) for step, boxes in decides),
        rule_pack=rules.pack.full_name,
    )


def _example(boxes: list[Box], looked_at: set[str]) -> dict[str, str] | None:
    """The plainest combination: it names the fewest of the facts that are looked at."""
    told = [{fact: min(words) for fact, words in box.items() if fact in looked_at} for box in boxes]
    return min(told, key=len, default=None)


def _step(step: Step, example: dict[str, str] | None, rules: Rules) -> ExplainedStep:
    first, *led_by = step.reasons
    return ExplainedStep(
        rule=first.rule,
        text=first.text,
        source=first.source,
        when=_words(step.condition),
        acuity=step.acuity,
        disposition=rules.pack.disposition_of[step.then.disposition].name,
        service_types=named(step.then.service_types),
        to_clinician=step.then.to_clinician,
        led_by=tuple(led_by),
        fires_with=example,
    )


def _words(box: Box) -> dict[str, tuple[str, ...]]:
    return {fact: tuple(sorted(words)) for fact, words in box.items()}


def _rule(written: Written, rules: Rules) -> ExplainedRule:
    return ExplainedRule(
        rule=written.id,
        text=written.text,
        source=written.source,
        when=_words(written.condition) if isinstance(written, Conditional) else {},
        stands=tuple(_standing(written.id, rules)),
        marks=getattr(written, "pointer", None),
        rule_pack=rules.pack.full_name,
    )


def _standing(id: str, rules: Rules) -> Iterator[ExplainedPresentation]:
    everywhere = [explain(RED_FLAGS, rules), *(_presentation(name, rules) for name in rules.pack.presentations)]
    for presentation in everywhere:
        assert isinstance(presentation, ExplainedPresentation)
        own = tuple(
            step for step in presentation.steps if id == step.rule or id in (reason.rule for reason in step.led_by)
        )
        if own:
            yield presentation.model_copy(update={"steps": own, "asks": ()})
