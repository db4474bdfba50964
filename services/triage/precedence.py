"""Which rule comes first: a rule pack made ready to decide, each presentation's rules in the order of their trial."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from contracts.brief import Acuity, Reason
from services.chassis.lean import leaned
from services.triage.combinations import EVERYTHING, Box, meet
from services.triage.rule_pack import (
    NOT_SCORED,
    OTHER,
    Conclusion,
    Presentation,
    Rule,
    RulePack,
    Then,
    by_urgency,
    more_urgent,
    urgency,
)

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
        self.red_flags = [_step(flag, flag.condition) for flag in by_urgency(pack.red_flags)]
        self.flags_tried = {band: self._tried(self.red_flags, band) for band in bands}
        """By NEWS2 band: the red flags of the whole pack, in order."""
        unknown = _step(pack.unknown_presentation, EVERYTHING)
        self.unknown_tried = {band: self._tried([unknown], band) for band in bands}
        self.tried = {
            name: {band: self._tried(self.steps(name), band) for band in bands} for name in pack.presentations
        }
        """By presentation and NEWS2 band: what is tried in order. One of them always holds."""
        self.oddities = tuple((tuple(oddity.condition.items()), leaned(oddity.mark)) for oddity in pack.oddities)
        self.disposition_of = {code: leaned(disposition) for code, disposition in pack.disposition_of.items()}
        self.ages = tuple((years, word) for word, years in pack.ages.items())

    def steps(self, name: str) -> list[Step]:
        """What decides a presentation after the red flags of the whole pack, in order, in any NEWS2 band.

        A rule that decides as another presentation is replaced by all steps of that one, where both hold. That one's
        red flags are tried with the presentation's own.
        """
        presentation = self.pack.presentations[name]
        flags = sorted(self._red_flags_of(presentation), key=lambda step: urgency(step.acuity))
        return [*flags, *self._after_red_flags(name)]

    def _after_red_flags(self, name: str) -> Iterator[Step]:
        presentation = self.pack.presentations[name]
        if not presentation.without_news2:
            not_scored = _step(self.pack.not_scored, {"news2_band": frozenset([NOT_SCORED])})
            yield not_scored._replace(acuity=more_urgent(not_scored.acuity, self._default(name).acuity))
        for band in presentation.escalated:
            yield _step(self.pack.band_conclusions[band], {"news2_band": frozenset([band])})
        for rule in presentation.rules:
            if rule.then is not None:
                yield Step(rule.condition, rule.then, rule.then.acuity, (rule.reason,))
            elif rule.decide_as is not None:
                yield from _led_by(rule, self._after_red_flags(rule.decide_as))

    def _red_flags_of(self, presentation: Presentation) -> Iterator[Step]:
        """Its own, and those of the presentations that it may decide as: they wait for no score."""
        for flag in presentation.red_flags:
            yield _step(flag, flag.condition)
        for rule in presentation.rules:
            if rule.decide_as is not None:
                yield from _led_by(rule, self._red_flags_of(self.pack.presentations[rule.decide_as]))

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
            tried.append(Trial(conditions, acuity, step.then, tuple(map(leaned, reasons))))
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


def _step(conclusion: Conclusion, condition: Box) -> Step:
    return Step(condition, conclusion.then, conclusion.then.acuity, (conclusion.reason,))


def _led_by(rule: Rule, steps: Iterable[Step]) -> Iterator[Step]:
    """The steps of another presentation, where a rule leads to them."""
    for step in steps:
        both = meet(rule.condition, step.condition)
        if both is not None:
            yield step._replace(condition=both, reasons=(*step.reasons, rule.reason))
