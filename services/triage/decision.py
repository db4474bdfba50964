"""The decision on one submission: what is found, which rules of the pack hold, and what follows."""

from datetime import datetime
from typing import Literal, NamedTuple

from contracts.brief import Acuity, Disposition, Reason
from contracts.people import Age
from contracts.submissions import FastTest, Mark, Submission
from contracts.triage import News2, Scores
from services.chassis.lean import lean
from services.triage.news2 import PARAMETERS, score, why_not_valid
from services.triage.precedence import Found, Rules, Trial
from services.triage.questions import UNKNOWN
from services.triage.rule_pack import NOT_SCORED, OTHER

LeanMark, LeanScores = lean(Mark), lean(Scores)


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


def decide(submission: Submission, rules: Rules, at: datetime) -> Decision:
    """Decide by the first that holds, for every submission that its contract allows:

    a red flag of the pack, for anyone; an unknown presentation, by a clinician; a red flag of the presentation; a
    patient whom NEWS2 is not valid for, by a clinician, unless the presentation decides without it; a NEWS2 band that
    the presentation escalates from; the presentation's own rules. The NEWS2 band's acuity counts wherever it is the
    more urgent. `at` is when the submission was received: what began before it is so long ago.
    """
    pack = rules.pack
    not_valid = why_not_valid(pack.news2, submission.patient)
    news2 = score(pack.news2, submission.observations) if not_valid is None else None
    found, odd = found_in(submission, news2, rules, at)
    band = found["news2_band"]
    flags = [flag for flag in rules.flags_tried[band] if holds(flag, found)]
    deciding = flags[0] if flags else without_red_flag(found, rules)
    reasons = deciding.reasons
    if len(flags) > 1:
        reasons = (*(flag.reasons[0] for flag in flags), *reasons[1:])
    return Decision(
        acuity=deciding.acuity,
        disposition=rules.disposition_of[deciding.then.disposition],
        service_types=deciding.then.service_types,
        to_clinician=deciding.then.to_clinician,
        scores=LeanScores(news2=news2, news2_not_scored=not_valid),
        reasons=reasons,
        marks=tuple(marks_on(submission, found, odd, news2, rules)),
    )


def without_red_flag(found: Found, rules: Rules) -> Trial:
    """What follows where no red flag of the whole pack holds. In each NEWS2 band one rule of a presentation does."""
    tried = rules.tried.get(found["presentation"], rules.unknown_tried)
    return next(trial for trial in tried[found["news2_band"]] if holds(trial, found))


def holds(trial: Trial, found: Found) -> bool:
    """Whether the rule holds in what was found, in the NEWS2 band that it is tried in."""
    for fact, words in trial.conditions:  # noqa: SIM110 - a loop takes half the time of all(), on the hottest path
        if found.get(fact, UNKNOWN) not in words:
            return False
    return True


def found_in(
    submission: Submission, news2: News2 | None, rules: Rules, at: datetime
) -> tuple[dict[str, str], list[Mark]]:
    """What the rules look at, and what is odd about the answers.

    `news2` is absent where it is not valid: then it is not complete either.
    """
    findings = submission.findings
    patient = submission.patient
    found = {
        "presentation": submission.presentation if submission.presentation in rules.tried else OTHER,
        "cardiac_arrest": "yes" if findings.cardiac_arrest else "no",
        "fast": fast_result(findings.fast),
        "suspected_infection": _said(findings.suspected_infection),
        "consciousness": submission.observations.consciousness or UNKNOWN,
        "pregnant": _said(patient.pregnant),
        "gender": patient.gender,
        "age": UNKNOWN if patient.age is None else age_band(patient.age, rules),
        "news2_band": news2.band if news2 else NOT_SCORED,
        "news2_complete": "yes" if news2 and news2.complete else "no",
    }
    odd: list[Mark] = []
    for id, answer in findings.answers.items():
        question = rules.pack.questions.get(id)
        pointer = f"/findings/answers/{id}"
        if question is None:
            odd.append(LeanMark(code="question-unknown", pointer=pointer, text="The rules do not know this question."))
            continue
        found[id], oddity = question.read(answer, at)
        if oddity is not None:
            odd.append(LeanMark(code=oddity[0], pointer=pointer, text=oddity[1]))
    return found, odd


def age_band(age: Age, rules: Rules) -> str:
    """The pack's word for an age."""
    years = age.in_years
    for youngest, word in reversed(rules.ages):
        if years >= youngest:
            return word
    raise AssertionError("the youngest ages begin with 0")


def _said(answer: bool | None) -> str:
    if answer is None:
        return UNKNOWN
    return "yes" if answer else "no"


def fast_result(fast: FastTest | None) -> Literal["positive", "negative", "unknown"]:
    """Positive with any sign of face, arm or speech; negative only when all three were tested and none is present."""
    if fast is None:
        return "unknown"
    signs = (fast.face, fast.arm, fast.speech)
    if any(signs):
        return "positive"
    return "unknown" if None in signs else "negative"


def marks_on(submission: Submission, found: Found, odd: list[Mark], news2: News2 | None, rules: Rules) -> list[Mark]:
    """What is unusual, for a clinician to see. Nothing here changes the decision; no text repeats a value."""
    marks = []
    for conditions, mark in rules.oddities:
        for fact, words in conditions:
            if found.get(fact, UNKNOWN) not in words:
                break
        else:
            marks.append(mark)
    marks += odd
    if found["presentation"] == OTHER:
        marks.append(
            LeanMark(
                code="presentation-unknown",
                pointer="/presentation",
                text="The rules do not know this presentation: a clinician decides.",
            )
        )
    if submission.patient.age is None:
        marks.append(
            LeanMark(
                code="age-unknown",
                pointer="/patient/age",
                text="The age is unknown: the patient could be a child, so NEWS2 is not scored.",
            )
        )
    if news2 is not None and not news2.complete:
        marks.append(
            LeanMark(
                code="news2-incomplete",
                pointer="/observations",
                text=f"NEWS2 is a lower bound. Not measured: {', '.join(PARAMETERS[name] for name in news2.missing)}.",
            )
        )
    if found["cardiac_arrest"] == "yes":
        return marks  # no pulse and no breath are what is expected then
    for name, least, most in rules.pack.plausible_ranges:
        value = getattr(submission.observations, name)
        if value is not None and not least <= value <= most:
            marks.append(
                LeanMark(
                    code="implausible-observation",
                    pointer=f"/observations/{name}",
                    text=f"Unusual {PARAMETERS[name]}: measure it again. It was scored as it was given.",
                )
            )
    return marks
