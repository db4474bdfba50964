"""What pathways does with what it reads."""

from collections.abc import Callable, Sequence
from datetime import datetime

from contracts.placements import BookingRequested
from contracts.triage import ReferralTriaged
from services.pathways.codes import CodeTable
from services.pathways.index import Index
from services.pathways.placing import asked_for, mapped, request_of
from services.pathways.roads import Roads
from services.pathways.search import Search

SOURCE = "onward/pathways"


async def rank(
    events: Sequence[ReferralTriaged],
    *,
    index: Index,
    clock: Callable[[], datetime],
    codes: CodeTable,
    roads: Roads | None = None,
) -> list[BookingRequested]:
    """Ask for a placement for each referral, with who could take the patient now; nobody is an ordinary answer.

    It remembers nothing: a repeated event is answered anew, under the same id.
    """
    if not events:
        return []
    now, directory = clock(), index.snapshot
    briefs = [mapped(event.data.brief, codes) for event in events]
    found = Search(directory, [request_of(brief, directory, now, codes) for brief in briefs])
    journeys = None if roads is None else await roads.journeys(found.trips)
    return [
        BookingRequested.effect_of(event, asked_for(brief, ranked), source=SOURCE, time=now)
        for event, brief, ranked in zip(events, briefs, found.ranked(journeys), strict=True)
    ]
