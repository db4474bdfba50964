"""The decision on one submission: what is found, which rules of the pack hold, and what follows."""

from typing import Literal, NamedTuple, get_args

from contracts.brief import Acuity, Disposition, Reason
from contracts.submissions import FastTest, Mark, Submission
from contracts.triage import News2, Scores
from services.triage.news2 import PARAMETERS, score, why_not_valid
from services.triage.rule_pack import Conclusion, Found, RulePack, YesNoUnknown

_STEPS: dict[Acuity, int] = {acuity: step for step, acuity in enumerate(get_args(Acuity))}


class Decision(NamedTuple):
    """How urgent, what should happen, and which types of service are fit, best first; none means a clinician."""

    acuity: Acuity
    disposition: Disposition
    service_types: tuple[int, ...]
    to_clinician: bool
    scores: Scores
    reasons: tuple[Reason, ...]
    """The rules that hold: the one that decides first."""
    marks: tuple[Mark, ...]


def decide(submission: Submission, pack: RulePack) -> Decision:
    """Decide by the first that holds, for every submission that its contract allows:

    a red flag, for anyone; an unknown presentation, by a clinician; a patient whom NEWS2 is not valid for, by a
    clinician, unless the presentation is time-critical; a NEWS2 band that the presentation escalates from; the
    presentation's own rules. The NEWS2 band's acuity counts wherever it is the more urgent.
    """
    not_valid = why_not_valid(pack.news2, submission.patient)
    news2 = score(pack.news2, submission.observations) if not_valid is None else None
    found = found_in(submission, news2)
    flags = [flag for flag in pack.red_flags if flag.when.holds(found)]
    deciding = flags[0] if flags else _without_red_flag(found, pack)
    acuity = deciding.then.acuity
    reasons = [flag.reason for flag in flags] or [deciding.reason]
    if deciding is pack.not_scored:
        acuity = more_urgent(acuity, pack.presentations[found.presentation].rules[-1].then.acuity)
    band = pack.band_conclusions.get(found.news2_band)
    if band is not None:
        acuity = more_urgent(acuity, band.then.acuity)
        if band is not deciding:
            reasons.append(band.reason)
    return Decision(
        acuity=acuity,
        disposition=pack.disposition_of[deciding.then.disposition],
        service_types=deciding.then.service_types,
        to_clinician=deciding.then.to_clinician,
        scores=Scores(news2=news2, news2_not_scored=not_valid),
        reasons=tuple(reasons),
        marks=tuple(marks_on(submission, found, news2, pack)),
    )


def _without_red_flag(found: Found, pack: RulePack) -> Conclusion:
    presentation = pack.presentations.get(found.presentation)
    if presentation is None:
        return pack.unknown_presentation
    if found.news2_band == "not-scored" and not presentation.time_critical:
        return pack.not_scored
    if found.news2_band in presentation.escalated:
        return pack.band_conclusions[found.news2_band]
    return next(rule for rule in presentation.rules if rule.when.holds(found))


def more_urgent(one: Acuity, other: Acuity) -> Acuity:
    """The more urgent of two acuities."""
    return one if _STEPS[one] <= _STEPS[other] else other


def found_in(submission: Submission, news2: News2 | None) -> Found:
    """What the rules look at. `news2` is absent where it is not valid: then it is not complete either."""
    findings = submission.findings
    return Found(
        presentation=submission.presentation,
        cardiac_arrest="yes" if findings.cardiac_arrest else "no",
        fast=fast_result(findings.fast),
        suspected_infection=_said(findings.suspected_infection),
        consciousness=submission.observations.consciousness or "unknown",
        pregnant=_said(submission.patient.pregnant),
        gender=submission.patient.gender,
        news2_band=news2.band if news2 else "not-scored",
        news2_complete="yes" if news2 and news2.complete else "no",
    )


def _said(answer: bool | None) -> YesNoUnknown:
    if answer is None:
        return "unknown"
    return "yes" if answer else "no"


def fast_result(fast: FastTest | None) -> Literal["positive", "negative", "unknown"]:
    """Positive with any sign of face, arm or speech; negative only when all three were tested and none is present."""
    if fast is None:
        return "unknown"
    signs = (fast.face, fast.arm, fast.speech)
    if any(signs):
        return "positive"
    return "unknown" if None in signs else "negative"


def marks_on(submission: Submission, found: Found, news2: News2 | None, pack: RulePack) -> list[Mark]:
    """What is unusual, for a clinician to see. Nothing here changes the decision; no text repeats a value."""
    marks = [oddity.mark for oddity in pack.oddities if oddity.when.holds(found)]
    if found.presentation not in pack.presentations:
        marks.append(
            Mark(
                code="presentation-unknown",
                pointer="/presentation",
                text="The rules do not know this presentation: a clinician decides.",
            )
        )
    if submission.patient.age is None:
        marks.append(
            Mark(
                code="age-unknown",
                pointer="/patient/age",
                text="The age is unknown: the patient could be a child, so NEWS2 is not scored.",
            )
        )
    if news2 is not None and not news2.complete:
        marks.append(
            Mark(
                code="news2-incomplete",
                pointer="/observations",
                text=f"NEWS2 is a lower bound. Not measured: {', '.join(PARAMETERS[name] for name in news2.missing)}.",
            )
        )
    if found.cardiac_arrest == "yes":
        return marks  # no pulse and no breath are what is expected then
    for name, least, most in pack.plausible_ranges:
        value = getattr(submission.observations, name)
        if value is not None and not least <= value <= most:
            marks.append(
                Mark(
                    code="implausible-observation",
                    pointer=f"/observations/{name}",
                    text=f"Unusual {PARAMETERS[name]}: measure it again. It was scored as it was given.",
                )
            )
    return marks
