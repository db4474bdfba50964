"""The rolling horizon: every diary always has slots some days ahead."""

import asyncio

from services.booking.listing import Listings

LOOK_AGAIN_SECONDS = 600.0


async def roll(listings: Listings) -> None:
    """Extend diaries as time goes by, for ever."""
    while True:
        while await listings.extend():
            pass
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
