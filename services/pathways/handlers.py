"""What pathways does with what it reads."""

from collections.abc import Callable, Sequence
from datetime import datetime

from contracts.placements import BookingRequested, BookingRequestedData
from contracts.triage import ReferralTriaged
from services.pathways.index import Index
from services.pathways.ranking import candidates

SOURCE = "onward/pathways"


async def rank(
    events: Sequence[ReferralTriaged], *, index: Index, clock: Callable[[], datetime], search_km: float
) -> list[BookingRequested]:
    """Ask for a placement for each referral, with who could take the patient now; nobody is an ordinary answer.

    It remembers nothing: a repeated event is answered anew, under the same id.
    """
    now, directory = clock(), index.snapshot
    told = []
    for event in events:
        brief = event.data.brief
        ranked = candidates(directory, brief, now, search_km)
        data = BookingRequestedData(
            brief=brief,
            candidates=ranked.candidates,
            near_misses=ranked.near_misses,
            catch_all=ranked.catch_all,
        )
        told.append(BookingRequested.effect_of(event, data, source=SOURCE, time=now))
    return told
