"""A team at work: it hears of placements from the feed, and takes each through its course."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from services.receiver.course import Step, course_of

PAUSE_SECONDS = 1.0
"""Before an action is asked for again that got no answer."""

DONE = 200
FINAL = frozenset({DONE, 400, 403, 404, 409, 412, 413, 415, 422})
"""An answer that no repeat changes."""

Sleep = Callable[[float], Awaitable[object]]


class Gateway(Protocol):
    """Asks for an action once, under its key."""

    async def act(self, referral: str, body: Mapping[str, Any], key: UUID) -> tuple[int | None, dict[str, Any]]:
        """Status and body; no status where there was no answer."""


class Screen(Protocol):
    """Where the team sees what comes of what it asks for."""

    def expected(self, referral: str, place: Mapping[str, Any]) -> None:
        """A patient is expected."""

    def answered(self, referral: str, step: Step, status: int, answer: Mapping[str, Any]) -> None:
        """What came of an action."""

    def gone(self, referral: str, because: str) -> None:
        """The patient is expected no longer."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a team works."""

    seed: int
    every: float
    """Seconds from one step to the next, about."""
    rejects: float
    """The share of placements that are turned away."""


@dataclass
class Team:
    """The team of one organisation's services."""

    organisation: str
    gateway: Gateway
    screen: Screen
    habits: Habits
    sleep: Sleep = asyncio.sleep
    ended: Callable[[], object] = lambda: None
    """Hears that a course has ended."""
    _at_work: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """The course under way of each referral."""

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in a fact of the feed, as a CloudEvent."""
        referral, data = str(event["subject"]), event["data"]
        if (place := place_in(event)) is not None:
            if place["service"]["organisation"] == self.organisation:
                self._expect(referral, place)
            else:
                self._leave(referral, "the patient has another place")
        elif (standing := data.get("standing")) and not standing.get("place") and not self._is_ours(data):
            self._leave(referral, f"the referral is {standing['state'].replace('_', ' ')}")

    def _is_ours(self, data: Mapping[str, Any]) -> bool:
        """What this organisation asked for is part of its course, or ends it at the next step."""
        by = data.get("by")
        return by is not None and by["organisation"] == self.organisation

    def _expect(self, referral: str, place: Mapping[str, Any]) -> None:
        self._leave(referral, "the patient has another time")
        self.screen.expected(referral, place)
        habits = self.habits
        course = course_of(str(place["placement_id"]), seed=habits.seed, every=habits.every, rejects=habits.rejects)
        self._at_work[referral] = asyncio.create_task(self._take_through(referral, course))

    def _leave(self, referral: str, because: str) -> None:
        course = self._at_work.pop(referral, None)
        if course is not None and course.cancel():
            self.screen.gone(referral, because)
            self.ended()

    async def _take_through(self, referral: str, course: tuple[Step, ...]) -> None:
        for step in course:
            await self.sleep(step.after)
            status, answer = await self._ask(referral, step)
            self.screen.answered(referral, step, status, answer)
            if status != DONE:  # it went on without us, or we were too late
                break
        del self._at_work[referral]
        self.ended()

    async def _ask(self, referral: str, step: Step) -> tuple[int, dict[str, Any]]:
        """Ask until there is an answer: the same key is the same action."""
        while True:
            status, answer = await self.gateway.act(referral, step.body, step.key)
            if status in FINAL:
                return status, answer
            await self.sleep(PAUSE_SECONDS)

    async def stop(self) -> None:
        """Leave everything as it stands."""
        courses = list(self._at_work.values())
        for course in courses:
            course.cancel()
        await asyncio.gather(*courses, return_exceptions=True)


def place_in(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Where the patient is expected from this fact on; none where it gives the patient no other place.

    The booking of a further placement is none yet: `referral.rebooked` says that it counts.
    """
    data = event["data"]
    if event["type"] == "booking.confirmed" and data["brief"]["placement_id"] == event["correlationid"]:
        return {**data, "placement_id": data["brief"]["placement_id"]}
    if event["type"] == "referral.rebooked":
        place: Mapping[str, Any] = data["standing"]["place"]
        return place
    return None
