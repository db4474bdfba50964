"""What is doubtful about a rule pack that can be read: a clinician should look, and the command line says where.

What would leave a patient without an answer is no doubt but a fault: `load` refuses it.
"""

from collections.abc import Iterator, Sequence

from contracts.brief import Acuity
from services.triage.combinations import EVERYTHING, Box, all_without, decided, meet
from services.triage.news2 import PARAMETERS
from services.triage.precedence import Rules, Step
from services.triage.questions import UNKNOWN, Number, Time
from services.triage.rule_pack import (
    FINDINGS,
    NOT_SCORED,
    Conditional,
    PackFault,
    RulePack,
    Written,
    more_urgent,
    urgency,
)

NO_SOURCE = ("", "-", "?", "none", "n/a", "tbd", "todo", "unknown")
UNVERIFIED = "unverified default"


def doubts(rules: Rules, file: str) -> list[PackFault]:
    """Contradictions, gaps, missing sources, rules over what is not asked, and what nothing uses."""
    pack = rules.pack
    found = [*_contradictions(rules), *_gaps(rules), *_without_source(pack), *_not_asked(rules), *_unused(rules)]
    return [PackFault(file, where, what) for where, what in found]


def unverified(pack: RulePack) -> list[str]:
    """The rules of which the whole source is that nobody verified them."""
    return [written.id for written in everything_written(pack) if written.source.strip() == UNVERIFIED]


def everything_written(pack: RulePack) -> Iterator[Written]:
    """Every conclusion, rule and oddity of a pack, in the order of the file."""
    yield from (pack.bands.high, pack.bands.medium, pack.bands.low_medium)
    yield from pack.red_flags
    yield from (pack.not_scored, pack.unknown_presentation)
    for presentation in pack.presentations.values():
        yield from presentation.red_flags
        yield from presentation.rules
    yield from pack.oddities


def possible(pack: RulePack) -> list[Box]:
    """Every combination that a patient can have: a score excludes some, a missing score others."""
    facts = pack.facts
    scored = facts["news2_band"] - {NOT_SCORED}
    chart = pack.news2
    years = list(pack.ages.values())
    bounds = dict(zip(pack.ages, zip(years, [*years[1:], None], strict=True), strict=True))
    too_young = {word for word, (_, until) in bounds.items() if until is not None and until <= chart.valid_from_years}
    old_enough = {word for word, (since, _) in bounds.items() if since >= chart.valid_from_years}
    alone: set[str] = {word for word, points in chart.consciousness.items() if points >= chart.low_medium_from_single}
    never: list[dict[str, set[str] | frozenset[str]]] = [
        {"news2_band": {NOT_SCORED}, "news2_complete": {"yes"}},
        {"consciousness": {UNKNOWN}, "news2_complete": {"yes"}},
        {"news2_band": scored, "age": too_young | {UNKNOWN}},
        {"news2_band": scored, "pregnant": {"yes"}},
        {"news2_band": {NOT_SCORED}, "age": old_enough, "pregnant": {"no", UNKNOWN}},
        {"news2_band": {"low"}, "consciousness": alone},
    ]
    left: list[Box] = [EVERYTHING]
    for box in never:
        left = all_without(left, {fact: frozenset(words) for fact, words in box.items()}, facts)
    return left


def decided_by(steps: Sequence[Step], pack: RulePack) -> tuple[list[list[Box]], list[Box]]:
    """The combinations that each step decides, of all that a patient can have, and those that none decides."""
    return decided([step.condition for step in steps], pack.facts, possible(pack))


def _contradictions(rules: Rules) -> Iterator[tuple[str, str]]:
    """Where a rule decides less urgently than a later one that holds in the same combination."""
    yield from _overruled(rules.red_flags, rules)
    for name in rules.pack.presentations:
        yield from _overruled(rules.steps(name), rules)


def _overruled(steps: Sequence[Step], rules: Rules) -> Iterator[tuple[str, str]]:
    said = set()
    for index, boxes in enumerate(decided_by(steps, rules.pack)[0]):
        step = steps[index]
        for later in steps[index + 1 :]:
            if not later.condition or (step.reasons[0].rule, later.reasons[0].rule) in said:
                continue
            both = _overruling(step, later, boxes, rules)
            if both is not None:
                said.add((step.reasons[0].rule, later.reasons[0].rule))
                yield (
                    f"rule {step.reasons[0].rule}",
                    f"contradiction: it decides {_plain(step.acuity)} where {later.reasons[0].rule} holds too and says "
                    f"{_plain(later.acuity)}: {in_words(both)}",
                )


def _overruling(step: Step, later: Step, boxes: Sequence[Box], rules: Rules) -> Box | None:
    for box in boxes:
        both = meet(box, later.condition)
        if both is None:
            continue
        for band in sorted(both.get("news2_band", rules.pack.facts["news2_band"])):
            conclusion = rules.pack.band_conclusions.get(band)
            acuity = step.acuity if conclusion is None else more_urgent(step.acuity, conclusion.then.acuity)
            if urgency(later.acuity) < urgency(acuity):
                return {**both, "news2_band": frozenset([band])}
    return None


def in_words(box: Box) -> str:
    """Some combinations for people."""
    return ", ".join(f"{fact} {' or '.join(sorted(words))}" for fact, words in box.items()) or "always"


def _plain(acuity: Acuity) -> str:
    return acuity.replace("_", " ")


def _gaps(rules: Rules) -> Iterator[tuple[str, str]]:
    pack = rules.pack
    for name in pack.presentations:
        for box in decided_by(rules.steps(name), pack)[1]:
            yield f"presentations.{name}", f"gap: nothing decides {in_words(box)}"
    for id, question in pack.questions.items():
        if isinstance(question, Number | Time):
            least, most = (question.least, question.most) if isinstance(question, Number) else (0.0, float("inf"))
            below = least - 1
            for limit, word in question.limits:
                if limit < least or below >= most:
                    yield f"questions.{id}", f"gap: no answer is in the band {word}"
                below = limit
    for parameter in PARAMETERS:
        if parameter not in ("on_oxygen", "consciousness") and parameter not in pack.plausible:
            yield "plausible", f"gap: {parameter} has no plausible range, so no value of it is ever marked"


def _without_source(pack: RulePack) -> Iterator[tuple[str, str]]:
    sources: dict[str, str] = {f"rule {written.id}": written.source for written in everything_written(pack)}
    sources |= {f"questions.{id}": question.source for id, question in pack.questions.items()}
    sources["news2"] = pack.news2.source
    for where, source in sources.items():
        if source.strip().lower() in NO_SOURCE:
            yield where, f'missing source: name a publication, or say "{UNVERIFIED}"'


def _not_asked(rules: Rules) -> Iterator[tuple[str, str]]:
    pack = rules.pack
    anywhere = {id for asks in rules.asked.values() for id in asks}
    for flag in pack.red_flags:
        yield from _over_what_is_not_asked(flag, anywhere, rules)
    for name, presentation in pack.presentations.items():
        for rule in (*presentation.red_flags, *presentation.rules):
            yield from _over_what_is_not_asked(rule, set(rules.asked[name]), rules)


def _over_what_is_not_asked(rule: Conditional, asked: set[str], rules: Rules) -> Iterator[tuple[str, str]]:
    for fact in rule.condition:
        if (fact in rules.pack.questions or fact in FINDINGS) and fact not in asked and fact != "pregnant":
            yield f"rule {rule.id}", f"looks at {fact}, which is not asked there"


def _unused(rules: Rules) -> Iterator[tuple[str, str]]:
    pack = rules.pack
    asked = {id for asks in rules.asked.values() for id in asks}
    for id in pack.questions:
        if id not in asked:
            yield f"questions.{id}", "nothing asks it"
    concluded = {step.then.disposition for name in pack.presentations for step in rules.steps(name)}
    concluded |= {step.then.disposition for step in rules.red_flags}
    concluded |= {conclusion.then.disposition for conclusion in pack.band_conclusions.values()}
    concluded.add(pack.unknown_presentation.then.disposition)
    for code in pack.dispositions:
        if code not in concluded:
            yield f"dispositions.{code}", "nothing leads to it"
