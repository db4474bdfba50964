"""What would be decided, and by which rules: the same decision, told to nobody and stored nowhere."""

from contracts.brief import Acuity, Disposition, Reason
from contracts.directory import SERVICE_TYPES
from contracts.envelope import Data
from contracts.submissions import Mark, ServiceType, Submission
from contracts.triage import Scores
from services.triage.decision import decide
from services.triage.rule_pack import RulePack


class NamedType(Data):
    """A type of service and its name."""

    service_type: ServiceType
    name: str


class DryRun(Data):
    """What triage would decide. No service type means that a clinician decides."""

    acuity: Acuity
    disposition: Disposition
    service_types: tuple[NamedType, ...]
    to_clinician: bool
    scores: Scores
    reasons: tuple[Reason, ...]
    marks: tuple[Mark, ...]
    rule_pack: str


def dry_run(submission: Submission, pack: RulePack) -> DryRun:
    """Decide on a submission without referring anyone."""
    decision = decide(submission, pack)
    return DryRun(
        acuity=decision.acuity,
        disposition=decision.disposition,
        service_types=tuple(NamedType(service_type=type, name=SERVICE_TYPES[type]) for type in decision.service_types),
        to_clinician=decision.to_clinician,
        scores=decision.scores,
        reasons=decision.reasons,
        marks=decision.marks,
        rule_pack=pack.full_name,
    )
