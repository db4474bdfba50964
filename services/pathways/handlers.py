"""What pathways does with what it reads."""

from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf

from contracts.placements import BookingRequested
from contracts.referrals import PlacementRequested
from contracts.triage import ReferralTriaged
from services.chassis.lean import lean
from services.pathways.codes import CodeTable
from services.pathways.index import Index
from services.pathways.looking import ABOUT_AT_FIRST
from services.pathways.placing import asked_for, brief_of, request_of
from services.pathways.roads import Roads
from services.pathways.search import Search

SOURCE = "onward/pathways"

LeanBookingRequested = lean(BookingRequested)


async def rank(
    events: Sequence[ReferralTriaged | PlacementRequested],
    *,
    index: Index,
    clock: Callable[[], datetime],
    codes: CodeTable,
    roads: Roads | None = None,
) -> list[BookingRequested]:
    """Ask booking for each placement, with who could take the patient now; nobody is an ordinary answer.

    It remembers nothing: a repeated event is answered anew, under the same id.
    """
    if not events:
        return []
    now, directory = clock(), index.snapshot
    briefs = [brief_of(event.data, directory, codes) for event in events]
    requests = [
        request_of(brief, directory, now, codes, event.data) for brief, event in zip(briefs, events, strict=True)
    ]
    found = Search(directory, requests, about_at_first=ABOUT_AT_FIRST if roads is None else inf)
    journeys = None if roads is None else await roads.journeys(found.trips)
    return [
        LeanBookingRequested.effect_of(event, asked_for(brief, ranked, event.data), source=SOURCE, time=now)
        for event, brief, ranked in zip(events, briefs, found.ranked(journeys), strict=True)
    ]
