"""The decider beside a plain model: whatever comes, in any order, in any batches, repeated, and to two at once."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from contracts import actions
from contracts.actions import Action, ReferralActionRequested
from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event, effect_id
from contracts.referrals import PlacementRequested
from services.chassis.database import Database
from services.chassis.failures import Unfinished
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.settings import Settings
from services.referrals.deciding_store import Decisions
from services.referrals.facts import fact_in
from services.referrals.handlers import decide
from services.referrals.news import News
from services.referrals.service import MIGRATIONS
from services.referrals.store import Referrals
from tests.recording import RecordingPublisher
from tests.referrals_examples import (
    ANOTHER_RECEIVER,
    BEGAN,
    CLOCKS,
    RECEIVER,
    REFERRER,
    STRANGER,
    asks,
    confirmed,
    displaced,
    exhausted,
    requested,
    searched_again,
    submitted,
    triaged,
)
from tests.referrals_model import FINISHED, FLOW, ORDER, Model

pytestmark = pytest.mark.backing

ORGANISATIONS = (REFERRER, RECEIVER, ANOTHER_RECEIVER, STRANGER)
UNTIL = BEGAN + timedelta(days=20)
ASKED: tuple[Action, ...] = (
    actions.Receive(action="receive"),
    actions.Accept(action="accept"),
    actions.Reject(action="reject", reason="no-capacity"),
    actions.WantInformation(action="want_information", words="Which?"),
    actions.GiveInformation(action="give_information", words="That."),
    actions.RecordContact(action="record_contact", reached=True),
    actions.BeginCare(action="begin_care"),
    actions.See(action="see"),
    actions.GiveOutcome(action="give_outcome", kind="admitted"),
    actions.NotAttended(action="not_attended"),
    actions.Withdraw(action="withdraw"),
    actions.Redirect(action="redirect", accept="any", agreed=True),
    actions.Rebook(action="rebook", accept="any"),
    actions.Wait(action="wait", service="ucr-1", until=UNTIL),
    actions.Cancel(action="cancel", reason="other"),
    actions.ArrangeElsewhere(action="arrange_elsewhere", words="By telephone."),
    actions.LeaveMessage(action="leave_message", words="Hello."),
)
CHANCES = st.integers(0, 2**32 - 1).map(Random)
"""What is drawn never depends on what two processes that race have come to: each example can be drawn again."""

OUTCOMES = ("slot_held", "place_held", "delivered", None)

WHERE_THEY_STAND = """
select r.id, r.state, r.version, r.receiver, last.type, last.body,
    (select count(*) from searches s where s.referral_id = r.id and state = 'open') as open
from referrals r left join lateral (
    select f.type, f.body from facts f
    where f.referral_id = r.id and f.version is not null and f.cause is not null
    order by f.position desc limit 1
) last on true
where r.id = any($1)
"""


class Process:
    """One process of the service."""

    def __init__(self, own: Database, clock: Any) -> None:
        self.referrals = Referrals(own, clock, CLOCKS)
        self.decisions = Decisions(own, clock, CLOCKS, Outbox(own, RecordingPublisher()))  # type: ignore[arg-type]

    async def read(self, events: Sequence[Event]) -> list[Event]:
        """Read a batch as the step does, on and on while a part of it must wait."""
        came = [fact_in(event.to_json(), event.type) for event in events]
        while True:
            try:
                return await decide(came, referrals=self.referrals, decisions=self.decisions, news=News())
            except Unfinished:
                self.decisions._clock = _later(self.decisions._clock)


def _later(clock: Any) -> Any:
    return lambda: clock() + timedelta(seconds=5)


class Life(RuleBasedStateMachine):
    """Referrals at the mercy of whoever asks, of booking, and of the log."""

    def __init__(self, own: Database, runner: asyncio.Runner) -> None:
        super().__init__()
        self.own = own
        self.runner = runner
        self.now = BEGAN + timedelta(minutes=5)
        self.models: dict[UUID, Model] = {}
        self.unread: list[Event] = []
        self.read_before: list[Event] = []
        self.searches: list[PlacementRequested] = []
        """Those that booking has not answered."""
        self.displaced: set[str] = set()
        self.by_id: dict[UUID, Event] = {}
        self.position: int = runner.run(own.pool.fetchval("select last from feed"))

    # What comes

    @initialize(outcomes=st.lists(st.sampled_from([*OUTCOMES, "slot_held"]), min_size=1, max_size=3))
    def begin(self, outcomes: list[Any]) -> None:
        """Somebody refers patients, and booking answers: four facts of each that may be read in any order."""
        for outcome in outcomes:
            referral = uuid4()
            self.models[referral] = Model(REFERRER)
            first = submitted(referral)
            second = triaged(first)
            third = requested(second, candidates=1)
            self._comes(first, second, third, confirmed(third, outcome=outcome) if outcome else exhausted(third))

    @rule(chance=CHANCES)
    def act(self, chance: Random) -> None:
        """Somebody asks for something: mostly what may be asked for as it stands, else anything, whoever they are."""
        likely = [(id, *one) for id, model in self.models.items() for one in model.likely]
        if likely and chance.random() < 0.7:
            referral, name, organisation = chance.choice(likely)
            asked, seen = next(one for one in ASKED if one.action == name), None
        else:
            referral = chance.choice(list(self.models))
            asked, organisation = chance.choice(ASKED), chance.choice(ORGANISATIONS)
            seen = chance.choice([None, -1, 0, 1])
        version = None if seen is None else max(1, self.models[referral].version + seen)
        self._comes(asks(referral, asked, organisation=organisation, seen_version=version))
        self._read_some(chance)

    @rule(chance=CHANCES, found=st.booleans(), outcome=st.sampled_from(["slot_held", "place_held"]))
    def answer(self, chance: Random, found: bool, outcome: Any) -> None:
        """Booking ends a further placement."""
        if self.searches:
            search = self.searches.pop(chance.randrange(len(self.searches)))
            asked = searched_again(search, organisation=chance.choice([RECEIVER, ANOTHER_RECEIVER]))
            self._comes(confirmed(asked, outcome=outcome) if found else exhausted(asked))
        self._read_some(chance)

    @rule(chance=CHANCES)
    def withdraw_a_session(self, chance: Random) -> None:
        """Booking says, once, that a held slot is no more; it told of the slot before, on the same topic."""
        held = [event for event in self.read_before if isinstance(event, BookingConfirmed)]
        left = [event for event in held if event.data.starts_at and event.data.reference not in self.displaced]
        standing = [event for event in left if event in [model.place for model in self.models.values()]]
        if left:
            event = chance.choice(left + 3 * standing)
            self.displaced.add(event.data.reference)
            self._comes(displaced(event))

    @rule(minutes=st.sampled_from([1, 60]))
    def wait(self, minutes: int) -> None:
        """Time passes, over the beginning of slots."""
        self.now += timedelta(minutes=minutes)

    def _comes(self, *events: Event) -> None:
        self.unread += events
        self.by_id.update({event.id: event for event in events})

    # What is read

    def _read_some(self, chance: Random) -> None:
        """A batch of any size, in any order, with repeats: by one, by both at once, or by each a part of it."""
        some = chance.choice([0, len(self.unread), chance.randint(0, len(self.unread))])
        again = chance.choice([0, len(self.read_before), chance.randint(0, len(self.read_before))])
        batch = chance.sample(self.unread, some) + chance.sample(self.read_before, again)
        chance.shuffle(batch)
        if batch:
            self._read(batch, chance.choice(["one", "one", "both", "each a part"]))

    def _read(self, batch: Sequence[Event], by: str) -> None:
        if by == "both":
            parts = [list(batch), list(batch)]
        elif by == "each a part":
            half = {event.id: number % 2 for number, event in enumerate(batch)}
            parts = [[event for event in batch if half[event.id] == number] for number in (0, 1)]
        else:
            parts = [list(batch)]
        processes = [Process(self.own, lambda: self.now) for _ in parts]
        told = self.runner.run(_all(processes, parts))
        ids = {event.id for event in batch}
        self.unread = [event for event in self.unread if event.id not in ids]
        self.read_before += [event for event in batch if event not in self.read_before]
        self.runner.run(self._compare(parts, told))

    async def _compare(self, parts: list[list[Event]], told: list[list[Event]]) -> None:
        rows = await self.own.pool.fetch("select * from facts where position > $1 order by position", self.position)
        self.position += len(rows)
        effects: dict[UUID, list[Any]] = {}
        for row in rows:
            if row["cause"] is not None:
                effects.setdefault(row["cause"], []).append(row)
        group: list[Event] = []
        for row in (row for row in rows if row["cause"] is None):
            event, model = self.by_id[row["event_id"]], self.models[row["referral_id"]]
            is_flow = event.type in FLOW or (
                isinstance(event, BookingConfirmed | BookingExhausted) and model.state in ("", *ORDER)
            )
            if is_flow:
                group = self._flow(group, event, parts)
                continue
            self._flow(group, None, parts)
            group = []
            expected = model.decide(event, self.now)
            assert expected == [_said(effect) for effect in effects.get(event.id, [])], event.type
            if "placement.requested" in expected:
                model.searches[-1].id = effect_id(event.id, PlacementRequested.TYPE)
        self._flow(group, None, parts)
        for search in (row for row in rows if row["type"] == PlacementRequested.TYPE):
            self.searches.append(PlacementRequested.read(search["body"].encode()))
        await self._what_was_told(parts, told)
        await self._where_they_stand()

    def _flow(self, group: list[Event], event: Event | None, parts: list[list[Event]]) -> list[Event]:
        """Facts of the flow that one batch stored together make one change; returns the facts of the batch so far."""
        if event is not None and (
            not group or any({group[-1].id, event.id} <= {one.id for one in part} for part in parts)
        ):
            return [*group, event]
        for subject in {one.subject for one in group}:
            self.models[UUID(subject)].flow([one for one in group if one.subject == subject])
        return [] if event is None else [event]

    async def _what_was_told(self, parts: list[list[Event]], told: list[list[Event]]) -> None:
        """To the byte what is stored, of each cause of the batch, whoever decided it and whenever."""
        for part, one in zip(parts, told, strict=True):
            ids = list({event.id for event in part})
            rows = await self.own.pool.fetch("select body from facts where cause = any($1)", ids)
            assert sorted(row["body"] for row in rows) == sorted(event.to_json().decode() for event in one)

    async def _where_they_stand(self) -> None:
        rows = await self.own.pool.fetch(WHERE_THEY_STAND, list(self.models))
        for row in rows:
            model = self.models[row["id"]]
            assert (model.state, model.version, model.receiver) == (row["state"], row["version"], row["receiver"])
            assert (1 if model.open else 0) == row["open"]
            if row["body"] is not None:
                standing = Event.KNOWN[row["type"]].read(row["body"].encode()).data.standing  # type: ignore[attr-defined]
                place = model.place.data.reference if model.place else None
                assert (model.state, model.version, place) == (
                    standing.state,
                    standing.version,
                    standing.place and standing.place.reference,
                )

    def teardown(self) -> None:
        """Everything is read and answered in the end: what is over holds no slot, and each action has one answer."""
        while self.unread or self.searches:
            for search in self.searches:
                self._comes(confirmed(searched_again(search)))
            self.searches = []
            self._read(self.unread, "one")
        self.runner.run(self._in_the_end())

    async def _in_the_end(self) -> None:
        for referral, model in self.models.items():
            held = [
                event.data.reference
                for event in self.read_before
                if isinstance(event, BookingConfirmed) and event.subject == str(referral)
            ]
            kept = [model.place.data.reference] if model.place else []
            assert model.state not in FINISHED - {"outcome_given"} or [] == kept
            given_back = [one for one in model.given_back if one not in kept]
            assert sorted(held) == sorted([*given_back, *kept])
            assert len(set(model.given_back)) == len(model.given_back)
        rows = await self.own.pool.fetch(
            "select body::json ->> 'correlationid' as asked, count(*) as answers from facts"
            " where referral_id = any($1) and cause is not null and type like 'referral.%' group by 1",
            list(self.models),
        )
        answers = {row["asked"]: row["answers"] for row in rows}
        asked = [event for event in self.read_before if isinstance(event, ReferralActionRequested)]
        assert {str(event.id): 1 for event in asked} == {
            str(event.id): answers.get(str(event.id), 0) for event in asked
        }


def _in_one(parts: list[list[Event]], *events: Event) -> bool:
    return any({event.id for event in events} <= {one.id for one in part} for part in parts)


async def _all(processes: list[Process], parts: list[list[Event]]) -> list[list[Event]]:
    return await asyncio.gather(*(process.read(part) for process, part in zip(processes, parts, strict=True)))


def _said(effect: Any) -> str:
    if effect["type"] != "referral.action-refused":
        return str(effect["type"])
    return f"refused {Event.KNOWN[effect['type']].read(effect['body'].encode()).data.refusal}"  # type: ignore[attr-defined]


def test_whatever_comes_it_is_as_in_the_plain_model(database: str) -> None:
    """Rows, versions, searches, facts and what is told agree with the model after every batch, and at the end."""
    with asyncio.Runner() as runner:
        where = Settings(kafka=Kafka(""), database_url=database, keys_file=Path("none"), pool_size=4)
        own = Database(where, "referrals", *MIGRATIONS)
        own.migrate()
        runner.run(own.start())
        try:
            run_state_machine_as_test(
                lambda: Life(own, runner),
                settings=settings(
                    max_examples=30,
                    stateful_step_count=40,
                    deadline=None,
                    phases=[Phase.generate],  # two at once are never twice the same: what fails is shown as it was
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(own.stop())
