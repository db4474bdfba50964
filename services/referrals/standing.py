"""The standing of a referral by the fact that made its version: what a decision begins with."""

from uuid import UUID

from contracts.envelope import Event
from contracts.people import PatientIdentity
from contracts.referrals import Moved, Standing
from services.referrals.cases import place_of
from services.referrals.clocks import ClockTable
from services.referrals.facts import Confirmed, Exhausted, Fact, Requested, Submitted, Triaged
from services.referrals.state import clocks_of, state_said_by


def standing_of(fact: Fact | Event, *, version: int, asked: UUID | None, clocks: ClockTable) -> Standing:
    """Where the referral stands from this fact on. `asked` is the open search, which later facts may have begun."""
    if isinstance(fact, Event) and isinstance(fact.data, Moved):
        return fact.data.standing.model_copy(update={"asked": asked})
    said = state_said_by(fact, clocks)
    assert said is not None
    match fact:
        case Submitted(data=data):
            desk, referrer = data.desk, data.referrer
            of = data.submission.patient
            patient = PatientIdentity(nhs_number=of.nhs_number, contact=of.contact)
        case Triaged() | Requested() | Confirmed() | Exhausted():
            brief = fact.data.brief
            desk, referrer, patient = brief.desk, brief.referrer, brief.patient
        case _:
            raise ValueError(f"{fact.type} does not say where a referral stands")
    return Standing(
        version=version,
        state=said.state,
        owner=said.owner,
        due=said.due,
        next_step=said.next_step,
        acuity=said.acuity,
        place=place_of(fact) if isinstance(fact, Confirmed) else None,
        clocks=clocks_of(fact, clocks),
        asked=asked,
        desk=desk,
        referrer=referrer,
        patient=patient,
    )
