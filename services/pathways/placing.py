"""Placing: from a brief to a search, and from what it finds to who is asked for a place.

Only what is accepted and what triage finds fit becomes a candidate: in the sender's order, or in triage's where any
type is accepted; then as the search ranks. A service that the sender names counts where triage finds its type fit,
beside the best of a type.
"""

from collections.abc import Sequence
from datetime import datetime

from contracts.brief import Brief, Reason
from contracts.placements import BookingRequestedData
from contracts.submissions import AcceptedService, AcceptedType
from services.pathways.codes import CodeTable
from services.pathways.index import Snapshot
from services.pathways.request import AgeSpan, Needs, SearchRequest
from services.pathways.search import Ranked

UNMAPPED = "presentation-unmapped"
"""The reason for which a clinician decides where the code table does not map what triage knows."""


def mapped(brief: Brief, codes: CodeTable) -> Brief:
    """The brief as it is; to a clinician where no codes stand for it."""
    if brief.to_clinician or not brief.service_types or _needs(brief, codes) is not None:
        return brief
    unmapped = Reason(
        rule=UNMAPPED,
        text="No codes stand for this presentation, so no service can be searched for: a clinician decides.",
        source=codes.title,
    )
    return brief.model_copy(update={"to_clinician": True, "reasons": (*brief.reasons, unmapped)})


def _needs(brief: Brief, codes: CodeTable) -> Needs | None:
    # The first reason is the rule that decided: a red flag may decide whatever the presentation is.
    decided_by = brief.reasons[0].rule if brief.reasons else None
    return codes.needs(brief.presentation, decided_by=decided_by, disposition=brief.disposition.code)


def request_of(brief: Brief, directory: Snapshot, now: datetime, codes: CodeTable) -> SearchRequest:
    """The search for a brief, at `now` (UTC). Where a clinician decides nothing is wanted."""
    fit = () if brief.to_clinician else brief.service_types
    accepted: Sequence[AcceptedService | AcceptedType]
    accepted = [AcceptedType(service_type=one) for one in fit] if brief.accept == "any" else brief.accept
    wanted: list[int | str] = []
    said_of: list[str] = []
    for choice, one in enumerate(accepted, 1):
        asked: int | str
        service_type: int | None
        if isinstance(one, AcceptedService):
            entry = directory.entry(one.service)
            service_type, asked = None if entry is None else entry.service_type, one.service
        else:
            service_type = asked = one.service_type
        if service_type in fit:
            place = f"type {fit.index(service_type) + 1} of {len(fit)} that triage finds fit"
            if brief.accept != "any":
                place = f"choice {choice} of {len(accepted)} of the sender, {place}"
            wanted.append(asked)
            said_of.append(place)
    return SearchRequest(
        position=brief.position,
        at=now,
        age=None if brief.age is None else AgeSpan.of(brief.age),
        gender=brief.gender,
        needs=_needs(brief, codes),
        minutes=brief.disposition.minutes,
        surgery=brief.surgery,
        referral_role=codes.referral_role(brief.referrer.role),
        wanted=tuple(wanted),
        in_order=True,
        said_of=tuple(said_of),
    )


def asked_for(brief: Brief, ranked: Ranked) -> BookingRequestedData:
    """What booking is asked for."""
    return BookingRequestedData(
        brief=brief,
        candidates=ranked.candidates,
        near_misses=ranked.near_misses,
        catch_all=ranked.proposed,
    )
