"""Booking's steps."""

from collections.abc import Sequence

from contracts.directory import ServiceListed
from contracts.envelope import Event
from contracts.placements import BookingRequested
from contracts.referrals import BookingWithdrawn
from services.booking.listing import Listings
from services.booking.releases import Releases
from services.booking.store import Diaries


async def place(requests: Sequence[BookingRequested], *, diaries: Diaries) -> list[Event]:
    """Settle each placement once: hold the first free slot among its candidates, or say that there is none."""
    return await diaries.settle(requests)


async def release(withdrawn: Sequence[BookingWithdrawn], *, releases: Releases) -> Sequence[Event]:
    """Give back, once, what each of these placements held."""
    return await releases.release(withdrawn)


async def keep_diaries(listed: Sequence[ServiceListed], *, listings: Listings) -> list[Event]:
    """Keep what the directory says of each service, with the slots of its diary."""
    await listings.list_services(listed)
    return []
