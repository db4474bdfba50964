"""Where a referral stands, from the facts known so far.

Each fact of the main flow says by itself where the referral stands, who owns it and what happens next; the furthest
one counts. So facts may come in any order and more than once, and a row that keeps only the furthest state is always
the same as the one derived from all facts anew. What is decided here afterwards carries the whole standing, and the
last one counts: they are decided one after another.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.bookings import HeldHour
from contracts.brief import Acuity
from contracts.envelope import Event
from contracts.people import Desk, OrganisationCode
from contracts.placements import Candidate
from contracts.referrals import Clocks, Moved, Standing, State
from services.referrals.clocks import ClockTable
from services.referrals.facts import Confirmed, Exhausted, Fact, Receipt, Requested, Submitted, Triaged
from services.referrals.lifecycle import IN_FLOW

RANK: dict[State, int] = {"submitted": 1, "triaged": 2, "placement_asked": 3, "placed": 4, "unplaced": 4}
"""How far along a state of the flow is. A fact of the flow moves a referral on to a higher rank only."""

OUTCOME = RANK["placed"]
"""The rank at which booking has answered."""

DECIDED = OUTCOME + 1
"""The rank of whatever was decided here: no fact of the flow goes beyond it."""

_IF_SILENT = "If no outcome is known by the due time, the owner decides where the patient goes."
AWAITING_TRIAGE = f"Triage decides how urgent it is and which kinds of service are fit. {_IF_SILENT}"
AWAITING_CANDIDATES = f"The directory is searched for services that can take the patient. {_IF_SILENT}"
AWAITING_BOOKING = f"The candidates are tried in order. {_IF_SILENT}"


@dataclass(slots=True, kw_only=True)
class ReferralState:
    """Where a referral stands: who owns it, until when, and what happens next. No observations and no history."""

    state: State
    outcome: Annotated[
        Literal["slot_held", "place_held", "delivered", "unplaced"] | None,
        Field(description="what is true of the place; none until booking has answered"),
    ] = None
    owner: Annotated[Desk, Field(description="the desk that looks after the referral now, with a telephone")]
    due: Annotated[AwareDatetime, Field(description="when the owner must look again if nothing is heard")]
    next_step: str
    acuity: Annotated[Acuity | None, Field(description="none until triage has answered")] = None
    service: Annotated[Candidate | None, Field(description="the service that will see the patient")] = None
    starts_at: Annotated[AwareDatetime | None, Field(description="the slot, where one is held")] = None
    acceptance_due: Annotated[AwareDatetime | None, Field(description="where a place is held")] = None
    hour: Annotated[HeldHour | None, Field(description="where the service takes so many patients an hour")] = None
    reference: Annotated[str | None, Field(description="12 digits that the patient is told")] = None
    why_unplaced: str | None = None
    proposal: Annotated[Candidate | None, Field(description="proposed where none is placed; not booked")] = None
    referrer: Annotated[OrganisationCode, Field(description="the organisation that refers")]
    escalations: Annotated[int, Field(description="how often nobody answered in time")] = 0


@dataclass(slots=True, kw_only=True)
class Referral(ReferralState):
    """A version of a referral as it is read. Versions count changes of state only."""

    id: UUID
    version: int
    at: Annotated[AwareDatetime, Field(description="when this version was made")]
    clocks: Annotated[Clocks, Field(description="by when the receiver does its part: both sides see the same")]


def state_said_by(fact: Fact | Event, clocks: ClockTable) -> ReferralState | None:
    """Where the referral stands by this fact alone; None for a fact that is history only, such as a receipt.

    Until booking has answered, the referrer's desk owns the referral until `answer_by`.
    """
    match fact:
        case Receipt():  # most facts are
            return None
        case Submitted(data=said):
            return ReferralState(
                state="submitted",
                owner=said.desk,
                due=said.answer_by,
                next_step=AWAITING_TRIAGE,
                referrer=said.referrer.organisation,
            )
        case Triaged() | Requested():
            brief = fact.data.brief
            asked = isinstance(fact, Requested)
            return ReferralState(
                state="placement_asked" if asked else "triaged",
                owner=brief.desk,
                due=brief.answer_by,
                next_step=AWAITING_BOOKING if asked else AWAITING_CANDIDATES,
                acuity=brief.acuity,
                referrer=brief.referrer.organisation,
            )
        case Confirmed(data=told):
            acknowledge_by = clocks.acknowledge_by(told, fact.time)
            return ReferralState(
                state="placed",
                outcome=told.outcome,
                owner=told.owner,
                due=told.due if acknowledge_by is None else min(told.due, acknowledge_by),
                next_step=told.next_step,
                acuity=told.brief.acuity,
                service=told.service,
                starts_at=told.starts_at,
                acceptance_due=told.acceptance_due,
                hour=told.hour,
                reference=told.reference,
                referrer=told.brief.referrer.organisation,
            )
        case Exhausted(data=ended):
            return ReferralState(
                state="unplaced",
                outcome="unplaced",
                owner=ended.owner,
                due=ended.due,
                next_step=ended.next_step,
                acuity=ended.brief.acuity,
                why_unplaced=ended.why,
                proposal=ended.proposal,
                referrer=ended.brief.referrer.organisation,
            )
        case Event(data=Moved(standing=standing)):
            return _state_in(standing)
    return None


def _state_in(standing: Standing) -> ReferralState:
    state = ReferralState(
        state=standing.state,
        outcome="unplaced" if standing.state == "unplaced" else None,
        owner=standing.owner,
        due=standing.due,
        next_step=standing.next_step,
        acuity=standing.acuity,
        referrer=standing.referrer.organisation,
        escalations=standing.escalations,
    )
    place = standing.place
    if place is None:
        return state
    return replace(
        state,
        outcome=place.outcome,
        service=place.service,
        starts_at=place.starts_at,
        acceptance_due=place.acceptance_due,
        hour=place.hour,
        reference=place.reference,
    )


def derive(facts: Iterable[Fact | Event], clocks: ClockTable) -> ReferralState | None:
    """Where the referral stands by all these facts of it, in any order, repeats included; None when none says.

    Of two copies of one fact the first counts (triage and pathways may tell one id twice, differently); the outcome
    carries the brief that booking settled on, which replaces what any of them said.
    """
    held: ReferralState | None = None
    furthest = 0, 0
    for fact in facts:
        said = state_said_by(fact, clocks)
        if said is None:
            continue
        moved = fact.data if isinstance(fact, Event) else None
        rank = RANK[said.state], 0
        if isinstance(moved, Moved):
            rank = RANK[said.state] if said.state in IN_FLOW else DECIDED, moved.standing.version
        if rank > furthest:
            held, furthest = said, rank
    return held


def clocks_of(fact: Fact | Event, clocks: ClockTable) -> Clocks:
    """By when the receiver does its part, as from this fact on."""
    match fact:
        case Confirmed(data=told):
            return clocks.of(told, fact.time)
        case Event(data=Moved(standing=standing)):
            return standing.clocks
    return Clocks()


def read_version(id: UUID, version: int, at: datetime, fact: Fact | Event, clocks: ClockTable) -> Referral:
    """What is read of a referral from the version on that a fact made. Raises LookupError for one that makes none."""
    said = state_said_by(fact, clocks)
    if said is None:
        raise LookupError(version)
    members = {field.name: getattr(said, field.name) for field in fields(said)}
    return Referral(id=id, version=version, at=at, clocks=clocks_of(fact, clocks), **members)
