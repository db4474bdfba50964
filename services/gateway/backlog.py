"""How far the services down the line are behind, as their groups' offsets say."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from contracts.topics import Topic
from services.gateway.overload import Pace

Hop = tuple[str, Topic]
"""A reader, and the topic that it reads."""

TO_AN_OUTCOME: tuple[Hop, ...] = (
    ("triage", Topic.SUBMISSIONS),
    ("pathways", Topic.TRIAGE),
    ("booking", Topic.PLACEMENTS),
)
"""Who reads what on the way from a submission to its outcome."""

TO_A_DECISION: tuple[Hop, ...] = (("referrals", Topic.SUBMISSIONS),)
"""Who reads what on the way from an action to its answer. One that looks for another place goes further, and waits."""

STALE_SECONDS = 5.0
"""What was seen so long ago says nothing of now."""

Progress = Callable[[str, Topic], Awaitable[tuple[int, int]]]
"""Of a reader and its topic: the topic's end, and what the reader's group has committed."""


class Backlog:
    """The seconds that an attempt would wait behind those before it, over all hops."""

    def __init__(self, progress: Progress, hops: Iterable[Hop], clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._paces = {hop: Pace() for hop in hops}
        self._seconds = 0.0
        self._seen_at = 0.0

    async def look(self) -> None:
        """Look once. Raises KafkaError."""
        looks = await asyncio.gather(*(self._progress(*hop) for hop in self._paces))
        self._seen_at = self._clock()
        paces = zip(self._paces.values(), looks, strict=True)
        self._seconds = sum(pace.seconds_behind(self._seen_at, *look) for pace, look in paces)

    def seconds(self) -> float:
        """As it was at the last look; 0 where that is too long ago to count."""
        return self._seconds if self._clock() - self._seen_at < STALE_SECONDS else 0.0
