"""Which rule comes first: a rule pack made ready to decide, each presentation's rules in the order of their trial."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple, get_args

from contracts.brief import Acuity, Reason
from services.triage.combinations import EVERYTHING, Box, meet
from services.triage.rule_pack import NOT_SCORED, OTHER, Conclusion, RedFlag, Rule, RulePack, Then

_STEPS: dict[Acuity, int] = {acuity: step for step, acuity in enumerate(get_args(Acuity))}


def more_urgent(one: Acuity, other: Acuity) -> Acuity:
    """The more urgent of two acuities."""
    return one if _STEPS[one] <= _STEPS[other] else other


def is_more_urgent(one: Acuity, other: Acuity) -> bool:
    """Whether the first of two acuities is the more urgent."""
    return _STEPS[one] < _STEPS[other]


Found = Mapping[str, str]
"""What was found of a patient: a word for each fact. A question that is not in it was not answered: unknown."""


class Step(NamedTuple):
    """One rule on the way of a presentation: in which combinations it holds, and what follows."""

    condition: Box
    then: Then
    acuity: Acuity
    """Of `then`, or a more urgent one of the presentation."""
    reasons: tuple[Reason, ...]
    """The rule, and after it those that led to it."""


class Trial(NamedTuple):
    """One rule as it is tried in a NEWS2 band: what else must hold, and the whole of what follows."""

    conditions: tuple[tuple[str, frozenset[str]], ...]
    acuity: Acuity
    then: Then
    reasons: tuple[Reason, ...]


class Rules:
    """A rule pack ready to decide. What follows in each NEWS2 band is worked out here, once, and not a referral."""

    def __init__(self, pack: RulePack) -> None:
        self.pack = pack
        bands = sorted(pack.facts["news2_band"])
        self.red_flags = {band: self._tried([_own_step(flag) for flag in pack.red_flags], band) for band in bands}
        """By NEWS2 band: the red flags in order."""
        unknown = Step(EVERYTHING, pack.unknown_presentation.then, *_acuity_and_reasons(pack.unknown_presentation))
        self.unknown = {band: self._tried([unknown], band) for band in bands}
        self.tried = {
            name: {band: self._tried(self.steps(name), band) for band in bands} for name in pack.presentations
        }
        """By presentation and NEWS2 band: what is tried in order. One of them always holds."""
        self.oddities = tuple((tuple(oddity.condition.items()), oddity.mark) for oddity in pack.oddities)
        self.ages = tuple((years, word) for word, years in pack.ages.items())

    def steps(self, name: str) -> list[Step]:
        """What decides a presentation after the red flags of the whole pack, in order, in any NEWS2 band.

        Rules that decide as another presentation are replaced by all steps of that one, in the combinations of both.
        """
        presentation = self.pack.presentations[name]
        steps = [_own_step(flag) for flag in presentation.red_flags]
        if not presentation.without_news2:
            last = self._default(name)
            conclusion = self.pack.not_scored
            steps.append(
                Step(
                    {"news2_band": frozenset([NOT_SCORED])},
                    conclusion.then,
                    more_urgent(conclusion.then.acuity, last.acuity),
                    (conclusion.reason,),
                )
            )
        for band in presentation.escalated:
            conclusion = self.pack.band_conclusions[band]
            steps.append(Step({"news2_band": frozenset([band])}, conclusion.then, *_acuity_and_reasons(conclusion)))
        for rule in presentation.rules:
            steps.extend(self._steps_of(rule))
        return steps

    def _steps_of(self, rule: Rule) -> Iterator[Step]:
        if rule.then is not None:
            yield Step(rule.condition, rule.then, rule.then.acuity, (rule.reason,))
        elif rule.decide_as is not None:
            for step in self.steps(rule.decide_as):
                both = meet(rule.condition, step.condition)
                if both is not None:
                    yield step._replace(condition=both, reasons=(*step.reasons, rule.reason))

    def _default(self, name: str) -> Then:
        """What follows where nothing else of a presentation holds."""
        last = self.pack.presentations[name].rules[-1]
        return last.then if last.then is not None else self._default(last.decide_as or name)

    def _tried(self, steps: list[Step], band: str) -> tuple[Trial, ...]:
        """The steps that can hold in this band, up to the first that always does."""
        conclusion = self.pack.band_conclusions.get(band)
        tried = []
        for step in steps:
            if band not in step.condition.get("news2_band", (band,)):
                continue
            acuity, reasons = step.acuity, step.reasons
            if conclusion is not None:
                acuity = more_urgent(acuity, conclusion.then.acuity)
                if conclusion.reason not in reasons:
                    reasons = (*reasons, conclusion.reason)
            conditions = tuple((fact, words) for fact, words in step.condition.items() if fact != "news2_band")
            tried.append(Trial(conditions, acuity, step.then, reasons))
            if not conditions:
                break
        return tuple(tried)

    @cached_property
    def asked(self) -> Mapping[str, tuple[str, ...]]:
        """What each presentation asks, in order: of everyone, its own, and what the presentations ask that it may
        decide as.
        """
        return {name: tuple(dict.fromkeys(self._asked(name))) for name in (*self.pack.presentations, OTHER)}

    def _asked(self, name: str) -> Iterator[str]:
        yield from self.pack.asked_of_everyone
        presentation = self.pack.presentations.get(name)
        if presentation is None:
            return
        yield from presentation.asks
        for rule in presentation.rules:
            if rule.decide_as is not None:
                yield from self._asked(rule.decide_as)


def _own_step(flag: RedFlag) -> Step:
    return Step(flag.condition, flag.then, *_acuity_and_reasons(flag))


def _acuity_and_reasons(conclusion: Conclusion) -> tuple[Acuity, tuple[Reason, ...]]:
    return conclusion.then.acuity, (conclusion.reason,)
