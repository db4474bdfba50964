"""Booking's steps."""

from collections.abc import Sequence

from contracts.directory import ServiceListed
from contracts.envelope import Event
from contracts.placements import BookingRequested
from contracts.referrals import BookingWithdrawn, ReferralArrangedElsewhere, ReferralCancelled
from services.booking.listing import Listings
from services.booking.releases import Releases
from services.booking.store import Diaries
from services.booking.waiting import WaitingList


async def place(requests: Sequence[BookingRequested], *, diaries: Diaries) -> list[Event]:
    """Settle each placement once: hold the first free slot among its candidates, or say that there is none."""
    return await diaries.settle(requests)


async def release(
    facts: Sequence[BookingWithdrawn | ReferralCancelled | ReferralArrangedElsewhere],
    *,
    releases: Releases,
    waiting: WaitingList,
) -> Sequence[Event]:
    """Give back, once, what is withdrawn, and end the waits of referrals that are over."""
    over = [fact for fact in facts if not isinstance(fact, BookingWithdrawn)]
    if over:
        await waiting.forget(over)
    withdrawn = [fact for fact in facts if isinstance(fact, BookingWithdrawn)]
    return await releases.release(withdrawn) if withdrawn else []


async def keep_diaries(listed: Sequence[ServiceListed], *, listings: Listings) -> list[Event]:
    """Keep what the directory says of each service, with the slots of its diary."""
    await listings.list_services(listed)
    return []
