"""The rolling horizon: every diary always has slots some days ahead."""

import asyncio

from services.booking.store import Diaries

LOOK_AGAIN_SECONDS = 600.0


async def roll(diaries: Diaries) -> None:
    """Extend diaries as time goes by, for ever."""
    while True:
        while await diaries.extend():
            pass
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
