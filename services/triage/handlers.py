"""Events in, events out: each submission gets its acuity, its disposition and the types of service that are fit."""

from collections.abc import Callable, Sequence
from datetime import datetime

from contracts.brief import Brief
from contracts.people import PatientIdentity
from contracts.submissions import ReferralSubmitted
from contracts.triage import ReferralTriaged, ReferralTriagedData
from services.chassis.lean import lean
from services.triage.decision import Decision, decide
from services.triage.precedence import Rules
from services.triage.shadow import Shadow

SOURCE = "onward/triage"

LeanTriaged, LeanTriagedData = lean(ReferralTriaged), lean(ReferralTriagedData)
LeanBrief, LeanPatientIdentity = lean(Brief), lean(PatientIdentity)


async def triage(
    submissions: Sequence[ReferralSubmitted],
    *,
    rules: Rules,
    clock: Callable[[], datetime],
    shadow: Shadow | None = None,
) -> list[ReferralTriaged]:
    """Decide on each submission by the rules; a shadow looks on. `clock` gives the time in UTC."""
    time = clock()
    told = [
        LeanTriaged.effect_of(submitted, triaged(submitted, rules), source=SOURCE, time=time)
        for submitted in submissions
    ]
    if shadow is not None:
        shadow.see([(submitted, event.data.brief) for submitted, event in zip(submissions, told, strict=True)])
    return told


def triaged(submitted: ReferralSubmitted, rules: Rules) -> ReferralTriagedData:
    """The decision on one submission, with the brief that travels from here to the outcome."""
    decision = decide(submitted.data.submission, rules, submitted.time)
    return LeanTriagedData(brief=brief_of(submitted, decision), scores=decision.scores, rule_pack=rules.pack.full_name)


def brief_of(submitted: ReferralSubmitted, decision: Decision) -> Brief:
    """What every later step needs. The patient's name, the observations and the narrative stop here.

    The first placement has the id of the submission's event.
    """
    received = submitted.data
    submission = received.submission
    patient = submission.patient
    return LeanBrief(
        placement_id=submitted.id,
        answer_by=received.answer_by,
        accept=submission.accept,
        position=submission.position,
        age=patient.age,
        gender=patient.gender,
        surgery=patient.surgery,
        presentation=submission.presentation,
        service_types=decision.service_types,
        to_clinician=decision.to_clinician,
        disposition=decision.disposition,
        acuity=decision.acuity,
        reasons=decision.reasons,
        marks=received.marks + decision.marks,
        patient=LeanPatientIdentity(nhs_number=patient.nhs_number, contact=patient.contact),
        referrer=received.referrer,
        desk=received.desk,
    )
