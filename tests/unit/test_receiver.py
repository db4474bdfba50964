"""The simulated receiving service: its course by a seed, and what it does when others are faster."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.receiver.course import Step, course_of
from services.receiver.team import Habits, Team

REFERRAL = "11111111-2222-4333-8444-555555555555"
PLACEMENT = "22222222-2222-4333-8444-555555555555"
WHOLE = ["receive", "accept", "record_contact", "begin_care", "see", "give_outcome"]

Answers = Callable[[str], tuple[int | None, dict[str, Any]]]


class Gateway:
    """Answers every action in turn as it is told to; keeps what was asked."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: list[tuple[str, UUID]] = []

    async def act(self, referral: str, body: Mapping[str, Any], key: UUID) -> tuple[int | None, dict[str, Any]]:
        """Keep what is asked."""
        self.asked.append((body["action"], key))
        return self._answers(body["action"])


class Screen:
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def expected(self, referral: str, place: Mapping[str, Any]) -> None:
        """A patient is expected."""
        self.shown.append("expected")

    def answered(self, referral: str, step: Step, status: int, answer: Mapping[str, Any]) -> None:
        """What came of an action."""
        self.shown.append(f"{step.body['action']} {status}")

    def gone(self, referral: str, because: str) -> None:
        """Expected no longer."""
        self.shown.append(because)


class Work:
    """A team whose time passes when the test says so."""

    def __init__(self, answers: Answers = lambda _action: (200, {}), *, rejects: float = 0.0) -> None:
        self.gateway, self.screen = Gateway(answers), Screen()
        self.ended = 0
        self._passes = asyncio.Semaphore(0)

        def end() -> None:
            self.ended += 1

        async def sleep(_seconds: float) -> None:
            await self._passes.acquire()

        habits = Habits(seed=1, every=3, rejects=rejects)
        self.team = Team("RX8", self.gateway, self.screen, habits, sleep=sleep, ended=end)

    async def pass_time(self, times: int) -> None:
        """Let so many sleeps end, each with what follows."""
        for _ in range(times):
            self._passes.release()
            for _ in range(20):
                await asyncio.sleep(0)


def place(organisation: str = "RX8", placement: str = PLACEMENT) -> dict[str, Any]:
    """Where the patient is expected."""
    return {"service": {"organisation": organisation}, "placement_id": placement}


def confirmed(organisation: str = "RX8", *, further: bool = False) -> dict[str, Any]:
    """The outcome of a placement: the first one's, unless it is a further one."""
    data = {"service": {"organisation": organisation}, "brief": {"placement_id": PLACEMENT}}
    correlation = str(uuid4()) if further else PLACEMENT
    return {"subject": REFERRAL, "type": "booking.confirmed", "correlationid": correlation, "data": data}


def decided(type: str, standing: Mapping[str, Any], by: str = "RX9") -> dict[str, Any]:
    """What referrals decided."""
    data = {"standing": {"state": type} | standing, "by": {"organisation": by}}
    return {"subject": REFERRAL, "type": f"referral.{type}", "correlationid": str(uuid4()), "data": data}


def test_the_seed_and_the_placement_decide_the_course() -> None:
    """The same again under the same keys; another seed or placement draws anew."""

    def course(seed: int, placement: str = PLACEMENT) -> tuple[Step, ...]:
        return course_of(placement, seed=seed, every=3, rejects=0.5)

    assert course(1) == course(1)
    assert 3 == len({course(1)[0].key, course(2)[0].key, course(1, REFERRAL)[0].key})
    assert len(course(1)) == len({step.key for step in course(1)})


@pytest.mark.parametrize(("rejects", "expected"), [(0.0, WHOLE), (1.0, ["receive", "reject"])])
def test_a_patient_is_seen_to_or_turned_away(rejects: float, expected: list[str]) -> None:
    """Each step about as long after the one before as was said."""
    steps = course_of(PLACEMENT, seed=1, every=4, rejects=rejects)
    assert expected == [step.body["action"] for step in steps]
    assert all(2 <= step.after <= 6 for step in steps)


def test_the_share_is_turned_away() -> None:
    """Over many placements."""
    turned = sum(len(course_of(str(n), seed=1, every=1, rejects=0.2)) == 2 for n in range(2000))
    assert 350 < turned < 450


async def test_a_patient_is_taken_through_to_the_outcome() -> None:
    """Step by step, each under its own key; then it is over."""
    work = Work()
    work.team.hear(confirmed())
    await work.pass_time(len(WHOLE))
    assert (WHOLE, 1, len(WHOLE)) == (
        [action for action, _ in work.gateway.asked],
        work.ended,
        len({key for _, key in work.gateway.asked}),
    )


@pytest.mark.parametrize("fact", [confirmed("RX7"), confirmed(further=True), decided("received", {"place": place()})])
async def test_what_gives_us_no_patient_is_left_alone(fact: dict[str, Any]) -> None:
    """Another organisation's; a booking that may not count yet; what we did ourselves."""
    work = Work()
    work.team.hear(fact)
    await work.pass_time(3)
    assert ([], []) == (work.gateway.asked, work.screen.shown)


async def test_the_same_key_is_asked_until_there_is_an_answer() -> None:
    """No connection, 202, 429 and 503 are asked again."""
    statuses = iter([None, 202, 429, 503, 200])
    work = Work(lambda _action: (next(statuses, 200), {}))
    work.team.hear(confirmed())
    await work.pass_time(5)
    assert (["receive"] * 5, 1) == (
        [action for action, _ in work.gateway.asked],
        len({key for _, key in work.gateway.asked}),
    )


async def test_a_refusal_ends_the_course() -> None:
    """Somebody was faster: nothing more is asked."""
    work = Work(lambda action: (409 if action == "accept" else 200, {}))
    work.team.hear(confirmed())
    await work.pass_time(5)
    assert (["expected", "receive 200", "accept 409"], 1) == (work.screen.shown, work.ended)


@pytest.mark.parametrize(
    ("fact", "because"),
    [
        (decided("cancelled", {"place": None}), "the referral is cancelled"),
        (decided("rebooked", {"place": place("RX7")}), "the patient has another place"),
    ],
)
async def test_a_patient_who_is_expected_no_longer_is_left(fact: dict[str, Any], because: str) -> None:
    """At once, and nothing more is asked."""
    work = Work()
    work.team.hear(confirmed())
    await work.pass_time(1)
    work.team.hear(fact)
    await work.pass_time(3)
    assert (["expected", "receive 200", because], ["receive"], 1) == (
        work.screen.shown,
        [action for action, _ in work.gateway.asked],
        work.ended,
    )


async def test_what_we_asked_for_ourselves_does_not_break_the_course_off() -> None:
    """The feed may tell of a rejection before its answer comes."""
    work = Work(rejects=1.0)
    work.team.hear(confirmed())
    await work.pass_time(1)
    work.team.hear(decided("rejected", {"place": None}, by="RX8"))
    await work.pass_time(1)
    assert (["expected", "receive 200", "reject 200"], 1) == (work.screen.shown, work.ended)


async def test_another_time_with_us_begins_another_course() -> None:
    """The old one is left."""
    work = Work()
    work.team.hear(confirmed())
    await work.pass_time(1)
    work.team.hear(decided("rebooked", {"place": place(placement=REFERRAL)}))
    await work.pass_time(1)
    assert (["expected", "receive 200", "the patient has another time", "expected", "receive 200"], 2) == (
        work.screen.shown,
        len({key for _, key in work.gateway.asked}),
    )


async def test_a_team_that_stops_leaves_everything_as_it_stands() -> None:
    """And asks for nothing more."""
    work = Work()
    work.team.hear(confirmed())
    await work.pass_time(1)
    await work.team.stop()
    await work.pass_time(3)
    assert ["receive"] == [action for action, _ in work.gateway.asked]
