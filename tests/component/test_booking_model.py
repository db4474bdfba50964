"""Booking beside a plain model of it, step by step, on a real PostgreSQL: whatever comes in whatever order."""

import asyncio
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from contracts.brief import Acuity
from contracts.placements import BookingRequested
from tests.booking_model import Model, Place
from tests.booking_processes import Booking, Clock, booking, faults
from tests.booking_requests import NOON, requested, service, session, withdrawn
from tests.component.test_booking_waiting import cancelled

pytestmark = pytest.mark.backing

SERVICES = ("S1", "S2", "S3")
BEGINS = {"13:00": "13:30", "13:30": "14:00", "14:00": "14:30"}
EVENING = NOON + timedelta(hours=6)
TEMPLATES = st.none() | st.dictionaries(st.sampled_from(sorted(BEGINS)), st.integers(1, 2), min_size=1)
CANDIDATES = st.lists(st.sampled_from(SERVICES), min_size=1, max_size=3, unique=True).map(tuple)
WHICH = st.integers(0, 30)
EMPTY = "truncate diaries, slots, bookings, placements, waiting, unwanted, outbox, diary_reports"


class Beside(RuleBasedStateMachine):
    """Each step is done by booking and by the model, and what is told is compared."""

    def __init__(self, runner: asyncio.Runner, process: Booking, clock: Clock) -> None:
        super().__init__()
        self.runner, self.process, self.clock, self.model = runner, process, clock, Model()
        self.requests: dict[int, BookingRequested] = {}
        self.told: dict[int, Any] = {}
        self.version = 0
        clock.now = NOON
        self.run(process.database.pool.execute(EMPTY))

    def run(self, work: Any) -> Any:
        """Wait for booking."""
        return self.runner.run(work)

    def passes(self) -> None:
        """No two steps are at one time."""
        self.model.tick += 1
        self.clock.now += timedelta(seconds=1)

    def tells(self) -> dict[int, Any]:
        """What was put into the outbox by this step, by type and placement; forgotten at once."""
        events = self.run(self.process.put_out())
        self.run(self.process.database.pool.execute("delete from outbox"))
        displaced = {one.data.placement_id.int for one in events if one.type == "booking.displaced"}
        ended = {one.data.brief.placement_id.int: one for one in events if one.type != "booking.displaced"}
        assert len(events) == len(displaced) + len(ended)
        self.told |= ended
        return {
            "displaced": displaced,
            "given": {number: place_of(one) for number, one in ended.items() if place_of(one)},
            "ended": {number: one.data.why for number, one in ended.items() if not place_of(one)},
        }

    @initialize(templates=st.tuples(*[TEMPLATES] * 3))
    def listed(self, templates: tuple[dict[str, int] | None, ...]) -> None:
        """Three services."""
        for name, template in zip(SERVICES, templates, strict=True):
            self.lists(name, template)

    @rule(name=st.sampled_from(SERVICES), template=TEMPLATES)
    def lists(self, name: str, template: dict[str, int] | None) -> None:
        """Another template, or none any more."""
        self.passes()
        self.version += 1
        sessions = [
            session(begins, BEGINS[begins], capacity=one) for begins, one in sorted((template or {"13:00": 1}).items())
        ]
        self.run(self.process.lists(service(name, *sessions, active=template is not None), version=self.version))
        displaced, given = self.model.lists(name, template)
        assert {"displaced": displaced, "given": given, "ended": {}} == self.tells()

    @rule(candidates=CANDIDATES, urgency=st.integers(0, 4), waits=st.booleans())
    def settles(self, candidates: tuple[str, ...], urgency: int, waits: bool) -> None:
        """A placement is asked for, and told at once unless it waits."""
        self.passes()
        number = len(self.requests) + 1
        request = self.requests[number] = requested(
            number,
            *candidates,
            minutes=180,
            time=self.clock.now,
            acuity=get_args(Acuity)[urgency],
            wait_until=EVENING if waits else None,
        )
        outcomes = self.run(self.process.settles(request))
        if outcomes:
            [self.told[number]] = outcomes
        place = self.model.settle(number, candidates, urgency=urgency, waits=waits)
        assert ([place] if place or not waits else []) == [place_of(one) for one in outcomes]

    @rule(which=WHICH)
    def repeats(self, which: int) -> None:
        """A request that comes again is told what was told."""
        if self.requests:
            number = 1 + which % len(self.requests)
            again = self.run(self.process.settles(self.requests[number]))
            told = [self.told[number]] if number in self.told else []
            assert [one.to_json() for one in told] == [one.to_json() for one in again]

    @rule(which=WHICH)
    def withdraws(self, which: int) -> None:
        """A place is given back, once, and given on."""
        self.passes()
        if placed := sorted(self.model.places):
            number = placed[which % len(placed)]
            [released] = self.run(self.process.releases_of(withdrawn(self.told[number])))
            assert self.told[number].data.reference == released.data.reference
            given = self.model.release(number)
            assert {"displaced": set(), "given": given, "ended": {}} == self.tells()

    @rule(which=WHICH)
    def rebooks(self, which: int) -> None:
        """Another place is held before the old one is given back."""
        if held := sorted(self.model.held):
            number = held[which % len(held)]
            self.settles(SERVICES, 2, waits=False)
            if len(self.requests) in self.model.held:
                self.passes()
                self.run(self.process.releases_of(withdrawn(self.told[number], "rebooked")))
                given = self.model.release(number)
                assert {"displaced": set(), "given": given, "ended": {}} == self.tells()

    @rule(which=WHICH)
    def forgets(self, which: int) -> None:
        """A referral is cancelled: whatever it waits for is no longer wanted."""
        self.passes()
        if self.requests:
            number = 1 + which % len(self.requests)
            self.run(self.process.waiting.forget([cancelled(self.requests[number], was="placed")]))
            ended = {number: "no longer wanted"} if self.model.forget(number) else {}
            assert {"displaced": set(), "given": {}, "ended": ended} == self.tells()

    @invariant()
    def the_books_are_the_same(self) -> None:
        """Who waits, who holds what, and how much room is left."""
        self.run(self._same_books())

    async def _same_books(self) -> None:
        rows = await self.process.rows(
            "select service_id, starts_at, capacity, held, withdrawn from slots where starts_at < $1", EVENING
        )
        expected = {
            (name, begins, slot.capacity, len(slot.held), slot.withdrawn)
            for name, slots in self.model.slots.items()
            for begins, slot in slots.items()
        }
        assert expected == {(name, f"{starts:%H:%M}", *rest) for name, starts, *rest in rows}
        waits = await self.process.rows("select placement_id from waiting")
        assert {one.placement for one in self.model.waiting} == {number.int for (number,) in waits}
        assert [] == await faults(self.process)


def place_of(outcome: Any) -> Place | None:
    """Service and clock time of what was given."""
    if outcome.type != "booking.confirmed":
        return None
    return outcome.data.service.service_id, f"{outcome.data.starts_at:%H:%M}"


def test_booking_does_what_the_plain_model_does(database: str) -> None:
    """Hold, release, rebook, other templates, withdrawn sessions and the waiting list, in any order."""
    clock = Clock()
    with asyncio.Runner() as runner:
        opened = booking(database, clock, horizon=timedelta(hours=3))
        process = runner.run(opened.__aenter__())
        try:
            run_state_machine_as_test(
                lambda: Beside(runner, process, clock),
                settings=settings(
                    max_examples=20,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(opened.__aexit__(None, None, None))
