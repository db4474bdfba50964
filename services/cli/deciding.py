"""The dry run of triage on the command line."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from contracts.submissions import Submission
from services.chassis.problems import faults_of
from services.cli.rules import asked_in_words
from services.cli.speaking import Refused
from services.triage.dry_run import DryRun, dry_run
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import TriageSettings


def decide(text: bytes, environ: Mapping[str, str], *, at: datetime) -> DryRun:
    """What the rule pack decides of a submission received at this time. Raises Refused with every fault of it."""
    try:
        submission = Submission.model_validate_json(text, extra="forbid")
    except ValidationError as error:
        faults = "".join(f"\n  {fault.pointer or '/'}: {fault.message}" for fault in faults_of(error))
        raise Refused(f"this is not a submission:{faults}") from None
    return dry_run(submission, Rules(load(TriageSettings.read(environ).rule_pack)), at)


def lines_of(decided: DryRun) -> list[str]:
    """The decision for people."""
    types = ", then ".join(one.name for one in decided.service_types) or "a clinician decides"
    lines = [f"{decided.acuity.replace('_', ' ')}: {decided.disposition.name}", f"  where  {types}"]
    news2 = decided.scores.news2
    if news2 is not None:
        bound = "" if news2.complete else f", at least: {', '.join(news2.missing)} not measured"
        lines.append(f"  NEWS2  {news2.total} ({news2.band}{bound})")
    elif decided.scores.news2_not_scored:
        lines.append(f"  NEWS2  not scored: {decided.scores.news2_not_scored}")
    lines += [f"  why    {reason.text} ({reason.source})" for reason in decided.reasons]
    lines += [f"  mark   {mark.text}" for mark in decided.marks]
    lines += [f"  asks   {asked_in_words(asked)}" for asked in decided.asks]
    return [*lines, f"  by     {decided.rule_pack}"]
