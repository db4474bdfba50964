"""What would be decided, and by which rules: the same decision, told to nobody and stored nowhere."""

from datetime import datetime

from contracts.brief import Acuity, Disposition, Reason
from contracts.envelope import Data
from contracts.submissions import Mark, Submission
from contracts.triage import Scores
from services.chassis.lean import written
from services.triage.asking import Asked, NamedType, asked_of, named
from services.triage.decision import decide
from services.triage.precedence import Rules


class DryRun(Data):
    """What triage would decide, and what it asks. No service type means that a clinician decides."""

    acuity: Acuity
    disposition: Disposition
    service_types: tuple[NamedType, ...]
    to_clinician: bool
    scores: Scores
    reasons: tuple[Reason, ...]
    marks: tuple[Mark, ...]
    asks: tuple[Asked, ...]
    rule_pack: str


def dry_run(submission: Submission, rules: Rules, at: datetime) -> DryRun:
    """Decide on a submission without referring anyone, as if it had been received at this time."""
    decision = decide(submission, rules, at)
    said = decision._asdict() | {
        "service_types": named(decision.service_types),
        "asks": asked_of(submission.presentation, rules),
        "rule_pack": rules.pack.full_name,
    }
    return DryRun.model_validate_json(written(said))
