"""The feed while everything that writes it does so at once, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from contracts.actions import Accept, Action, Cancel, GiveOutcome, LeaveMessage, Rebook, Receive, Reject
from contracts.envelope import Event
from contracts.referrals import PlacementRequested
from services.chassis.database import Database
from services.chassis.outbox import Outbox
from services.referrals.deciding_store import Decisions
from services.referrals.facts import fact_in
from services.referrals.handlers import decide
from services.referrals.news import News
from services.referrals.state import Referral
from services.referrals.store import Referrals, Told, Wanted
from tests.recording import RecordingPublisher
from tests.referrals_examples import (
    CLOCKS,
    RECEIVER,
    REFERRER,
    STRANGER,
    asks,
    confirmed,
    placed,
    searched_again,
    unplaced,
)
from tests.referrals_running import referrals_database

pytestmark = pytest.mark.backing

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
LATE = NOW + timedelta(hours=3)

COURSES: tuple[tuple[tuple[str, Action], ...], ...] = (
    (
        (RECEIVER, Receive(action="receive")),
        (RECEIVER, Accept(action="accept")),
        (RECEIVER, GiveOutcome(action="give_outcome", kind="admitted")),
    ),
    ((RECEIVER, Reject(action="reject", reason="no-capacity")), (REFERRER, Rebook(action="rebook", accept="any"))),
    ((REFERRER, LeaveMessage(action="leave_message", words="Ring first.")), (STRANGER, Accept(action="accept"))),
    ((REFERRER, Cancel(action="cancel", reason="patient-better")),),
)
"""What is asked of a referral, by whom."""


class Process:
    """One process of the service, at a time that a test sets."""

    def __init__(self, own: Database) -> None:
        self.now = NOW
        self.referrals = Referrals(own, lambda: self.now, CLOCKS)
        self.decisions = Decisions(own, lambda: self.now, CLOCKS, Outbox(own, RecordingPublisher()))  # type: ignore[arg-type]

    async def read(self, *events: Event) -> list[Event]:
        """Read events as they come off the log."""
        came = [fact_in(event.to_json(), event.type) for event in events]
        return await decide(came, referrals=self.referrals, decisions=self.decisions, news=News())


@pytest.fixture
async def own(database: str) -> AsyncIterator[Database]:
    """The service's database, empty."""
    async with referrals_database(database) as own:
        yield own


async def follow(
    referrals: Referrals, organisation: str, ended: asyncio.Event
) -> tuple[list[Told], dict[UUID, Referral]]:
    """What one reader was told until the writers had ended, and each referral as it was told last."""
    seen: list[Told] = []
    stands: dict[UUID, Referral] = {}
    while True:
        last = ended.is_set()
        _, end = await referrals.end()
        told = await referrals.told(Wanted(organisation), seen[-1].position if seen else 0, end, 40)
        stands |= {one.id: one for one in (await referrals.standings(organisation, told)).values()}
        seen += told
        if last and not told:
            return seen, stands


async def test_positions_have_no_gap_while_facts_actions_and_due_times_are_stored_at_once(own: Database) -> None:
    """A reader behind its last position sees each position once, in order, and at the end every referral as it stands;
    a receiver sees those that are theirs, and a stranger what they asked for in vain, without a standing."""
    histories = [placed(uuid4()) if n % 6 else unplaced(uuid4()) for n in range(48)]
    reading, lived, ended = Process(own), asyncio.Event(), asyncio.Event()

    async def live(process: Process, some: list[list[Event]]) -> None:
        for number, history in enumerate(some):
            referral = UUID(history[0].subject)
            for event in history:
                await process.read(event)
            for organisation, action in COURSES[number % len(COURSES)]:
                for told in await process.read(asks(referral, action, organisation=organisation)):
                    if isinstance(told, PlacementRequested):
                        await process.read(confirmed(searched_again(told, organisation=RECEIVER)))

    async def pass_due_times(process: Process) -> None:
        process.now = LATE
        while not lived.is_set():
            await process.decisions.escalate(LATE)
            await asyncio.sleep(0)

    async def live_all() -> None:
        try:
            await asyncio.gather(*(live(Process(own), histories[n::4]) for n in range(4)))
        finally:
            lived.set()

    async def write() -> None:
        try:
            await asyncio.gather(live_all(), pass_due_times(Process(own)))
        finally:
            ended.set()

    readers = [follow(reading.referrals, one, ended) for one in (REFERRER, RECEIVER, STRANGER)]
    async with asyncio.timeout(120):
        *followed, _ = await asyncio.gather(*readers, write())
    (_, at_referrer), (_, at_receiver), (by_stranger, at_stranger) = followed

    _, end = await reading.referrals.end()
    seen = [[one.position for one in told] for told, _ in followed]
    assert [sorted(set(one)) for one in seen] == seen
    assert [*range(1, end + 1)] == sorted(set().union(*seen))
    stored = {}
    for history in histories:
        found = await reading.referrals.history(UUID(history[0].subject))
        assert found is not None
        stored[UUID(history[0].subject)] = found.version(found.last), found.concerns(RECEIVER)
    assert {id: now for id, (now, _) in stored.items()} == at_referrer
    assert {id: now for id, (now, theirs) in stored.items() if theirs} == at_receiver
    assert ({}, True) == (at_stranger, len(by_stranger) > 0)
