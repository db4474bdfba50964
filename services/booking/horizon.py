"""The rolling horizon: every diary always has slots some days ahead."""

import asyncio
from datetime import timedelta

from services.booking.store import Diaries

LOOK_AGAIN_SECONDS = 600.0


class Horizon:
    """Extends diaries: at once when one changes, and as time goes by."""

    def __init__(self, diaries: Diaries, ahead: timedelta) -> None:
        self._diaries = diaries
        self._ahead = ahead

    async def reach(self) -> None:
        """Give every diary that is due its slots."""
        while await self._diaries.extend(self._ahead):
            pass

    async def roll(self) -> None:
        """Keep on reaching, for ever."""
        while True:
            await self.reach()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
