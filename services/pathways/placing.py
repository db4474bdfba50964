"""Placing: from a brief to a search, and from what it finds to who is asked for a place.

Only what is accepted and what triage finds fit becomes a candidate: in the sender's order, or in triage's where any
type is accepted; then as the search ranks. A service that the sender names counts where triage finds its type fit,
beside the best of a type. Where a desk asks for a further placement, a clinician there has looked: what it names is
fit as well.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil

from contracts.brief import Brief, Reason
from contracts.placements import BookingRequestedData
from contracts.referrals import PlacementRequestedData
from contracts.submissions import AcceptedService, AcceptedType
from contracts.triage import ReferralTriagedData
from services.chassis.lean import lean
from services.pathways.codes import CodeTable
from services.pathways.index import Snapshot
from services.pathways.request import AgeSpan, Needs, SearchRequest
from services.pathways.search import Ranked

LeanBookingRequestedData = lean(BookingRequestedData)

UNMAPPED = "presentation-unmapped"
"""The reason for which a clinician decides where the code table does not map what triage knows."""

DECIDED = "named-by-a-person"
"""The reason for which a type is fit that triage did not find fit."""

_ASKED_BY_NOBODY = ("service withdrew", "session withdrawn")

Asked = ReferralTriagedData | PlacementRequestedData
"""What asks for a placement: triage for the first, a person or what befell the place for a further one."""


def brief_of(asked: Asked, directory: Snapshot, codes: CodeTable) -> Brief:
    """The brief that is searched for: with what a person has decided since triage, or to a clinician.

    Who names services or types for a further placement has looked at the patient, so those are fit.
    """
    brief = asked.brief
    if not isinstance(asked, PlacementRequestedData) or asked.why in _ASKED_BY_NOBODY or brief.accept == "any":
        return mapped(brief, codes)
    named = [one for one in dict.fromkeys(_type_of(one, directory) for one in brief.accept) if one is not None]
    fit = [one for one in named if one not in brief.service_types]
    if not fit and not (named and brief.to_clinician):
        return brief
    decided = Reason(rule=DECIDED, text="Named for a further placement.", source="a person decided, and no rule")
    return brief.model_copy(
        update={
            "service_types": (*brief.service_types, *fit),
            "to_clinician": False,
            "reasons": (*brief.reasons, decided),
        }
    )


def _type_of(one: AcceptedService | AcceptedType, directory: Snapshot) -> int | None:
    if isinstance(one, AcceptedType):
        return one.service_type
    entry = directory.entry(one.service)
    return None if entry is None else entry.service_type


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


def request_of(
    brief: Brief, directory: Snapshot, now: datetime, codes: CodeTable, asked: Asked | None = None
) -> SearchRequest:
    """The search for a brief, at `now` (UTC). Where a clinician decides nothing is wanted.

    Of what asked for it counts who is left out, and until when the patient may wait: who is full then is wanted too.
    """
    fit = () if brief.to_clinician else brief.service_types
    accepted: Sequence[AcceptedService | AcceptedType]
    accepted = [AcceptedType(service_type=one) for one in fit] if brief.accept == "any" else brief.accept
    wanted: list[int | str] = []
    said_of: list[str] = []
    for choice, one in enumerate(accepted, 1):
        service_type = _type_of(one, directory)
        if service_type in fit:
            place = f"type {fit.index(service_type) + 1} of {len(fit)} found fit"
            if brief.accept != "any":
                place = f"choice {choice} of {len(accepted)} of the sender, {place}"
            wanted.append(one.service if isinstance(one, AcceptedService) else one.service_type)
            said_of.append(place)
    further = asked if isinstance(asked, PlacementRequestedData) else None
    waits_until = further.wait_until if further else None
    minutes = brief.disposition.minutes
    if waits_until is not None:
        minutes = max(minutes, ceil((waits_until - now) / timedelta(minutes=1)))
    return SearchRequest(
        position=brief.position,
        at=now,
        age=None if brief.age is None else AgeSpan.of(brief.age),
        gender=brief.gender,
        needs=_needs(brief, codes),
        minutes=minutes,
        surgery=brief.surgery,
        referral_role=codes.referral_role(brief.referrer.role),
        wanted=tuple(wanted),
        in_order=True,
        said_of=tuple(said_of),
        without=further.without if further else (),
        full_too=waits_until is not None,
    )


def asked_for(brief: Brief, ranked: Ranked, asked: Asked) -> BookingRequestedData:
    """What booking is asked for."""
    return LeanBookingRequestedData(
        brief=brief,
        candidates=ranked.candidates,
        near_misses=ranked.near_misses,
        catch_all=ranked.proposed,
        wait_until=asked.wait_until if isinstance(asked, PlacementRequestedData) else None,
    )
