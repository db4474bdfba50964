"""Deciding about referrals on a real PostgreSQL: the rows, the facts, and what is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts import actions
from contracts.bookings import BookingConfirmed
from contracts.envelope import Event
from contracts.referrals import PlacementRequested
from services.chassis.database import Database
from services.chassis.failures import Poison, Unfinished
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.settings import Settings
from services.referrals.cases import Case
from services.referrals.deciding import Decider
from services.referrals.deciding_store import Decisions
from services.referrals.facts import Fact, fact_in
from services.referrals.handlers import decide
from services.referrals.news import News
from services.referrals.service import MIGRATIONS
from services.referrals.standing import standing_of
from services.referrals.store import Referrals, Told, Wanted
from tests.recording import RecordingPublisher
from tests.referrals_examples import (
    ANOTHER_RECEIVER,
    CLOCKS,
    RECEIVER,
    REFERRER,
    STRANGER,
    asks,
    confirmed,
    displaced,
    exhausted,
    placed,
    requested,
    searched_again,
    submitted,
    triaged,
    unplaced,
)

pytestmark = pytest.mark.backing

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
EVERYTHING = 1_000_000
CANCEL = actions.Cancel(action="cancel", reason="patient-better")
ACCEPT = actions.Accept(action="accept")
REJECT = actions.Reject(action="reject", reason="no-capacity", words="We are full.")
REBOOK = actions.Rebook(action="rebook", accept="any")


class Desk:
    """The service's tables and its handler, at a time that a test sets."""

    def __init__(self, own: Database) -> None:
        self.own = own
        self.now = NOW
        self.referrals = Referrals(own, lambda: self.now, CLOCKS)
        self.decisions = self.another()
        self.news = News()

    def another(self) -> Decisions:
        """Another process that decides."""
        return Decisions(self.own, lambda: self.now, CLOCKS, Outbox(self.own, RecordingPublisher()))  # type: ignore[arg-type]

    async def read(self, *events: Fact | Event) -> list[Event]:
        """Read events as they come off the log; what is told of them."""
        came = [fact_in(event.to_json(), event.type) for event in events]
        return await decide(came, referrals=self.referrals, decisions=self.decisions, news=self.news)

    async def rows(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """What a statement gives."""
        return await self.own.pool.fetch(statement, *arguments)

    async def state(self, referral: UUID) -> tuple[str, int, str, datetime]:
        """Where a row stands: state, version, owner, due."""
        ((state, version, owner, due),) = await self.rows(
            "select state, version, owner, due from referrals where id = $1", referral
        )
        return state, version, owner, due

    async def told(self, organisation: str) -> list[Told]:
        """All that an organisation may see of the feed."""
        return await self.referrals.told(Wanted(organisation), 0, EVERYTHING, EVERYTHING)


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    """The service's database, empty."""
    settings = Settings(kafka=Kafka(""), database_url=database, keys_file=Path("none"), pool_size=12)
    own = Database(settings, "referrals", *MIGRATIONS)
    own.migrate()
    await own.start()
    yield Desk(own)
    await own.stop()


def types(events: Sequence[Event]) -> list[str]:
    """Their types, in order."""
    return [event.type for event in events]


async def begin_search(desk: Desk, referral: UUID, action: actions.Action = REBOOK) -> tuple[Event, PlacementRequested]:
    """A referrer asks for another place: the action, and the search that it began."""
    action_event = asks(referral, action, organisation=REFERRER)
    told = await desk.read(action_event)
    search = next(event for event in told if isinstance(event, PlacementRequested))
    return action_event, search


async def test_an_action_moves_the_row_and_is_told_with_the_standing(desk: Desk) -> None:
    """The receiver accepts: a version more, the receiver's desk owns it, and the fact carries where it stands."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    (fact,) = await desk.read(asks(referral, ACCEPT))
    standing = fact.data.standing  # type: ignore[attr-defined]
    assert ("referral.accepted", "accepted", 2, RECEIVER) == (
        fact.type,
        standing.state,
        standing.version,
        standing.owner.organisation,
    )
    assert (standing.state, 2, RECEIVER, standing.due) == await desk.state(referral)


async def test_a_referral_that_comes_while_it_is_refused_as_unknown_is_decided_about(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had no row that could be locked: what stands before the refusal in the feed is known to who refuses."""
    referral, store = uuid4(), Decisions._store
    comes = iter([[fact_in(event.to_json(), event.type) for event in placed(referral)[:4]]])

    async def meanwhile(self: Decisions, *arguments: Any) -> None:
        for facts in comes:  # the first time
            await desk.referrals.store(facts)
        await store(self, *arguments)

    monkeypatch.setattr(Decisions, "_store", meanwhile)
    (fact,) = await desk.read(asks(referral, ACCEPT))
    assert fact.type == "referral.accepted"


async def test_an_action_that_comes_again_answers_as_it_did(desk: Desk) -> None:
    """Before version or state is looked at: the same facts to the byte, and no row more."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    action = asks(referral, REJECT, seen_version=1)
    first = await desk.read(action)
    again = await desk.read(action, action)
    assert [event.to_json() for event in first] == [event.to_json() for event in again]
    assert ["booking.withdrawn", "referral.rejected"] == types(again)
    assert [(7, 2)] == [tuple(row) for row in await desk.rows("select count(*), max(version) from facts")]


async def test_an_action_on_an_unknown_referral_is_refused_the_same_way_ever_after(desk: Desk) -> None:
    """Unknown here is unknown; what was answered stays, though the referral comes later."""
    referral = uuid4()
    action = asks(referral, CANCEL, organisation=REFERRER)
    (refused,) = await desk.read(action)
    await desk.read(submitted(referral))
    (again,) = await desk.read(action)
    assert ("unknown", refused.to_json()) == (refused.data.refusal, again.to_json())  # type: ignore[attr-defined]


async def test_a_stranger_learns_nothing_and_leaves_nothing_for_those_on_the_referral(desk: Desk) -> None:
    """Somebody else's referral is unknown to them; neither what they asked nor the answer is in others' feeds."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    (refused,) = await desk.read(asks(referral, ACCEPT, organisation=STRANGER))
    data = refused.data
    assert ("unknown", None) == (data.refusal, data.standing)  # type: ignore[attr-defined]
    assert ["referral.action-requested", "referral.action-refused"] == [one.type for one in await desk.told(STRANGER)]
    assert 4 == len(await desk.told(REFERRER))


async def test_a_cancel_while_the_place_is_looked_for_withdraws_the_late_confirmation(desk: Desk) -> None:
    """The confirmation comes to a referral that is over: what was held is given back, and a repeat tells the same."""
    referral = uuid4()
    *flow, outcome = placed(referral)[:4]
    await desk.read(*flow)
    cancelled = await desk.read(asks(referral, CANCEL, organisation=REFERRER))
    late = await desk.read(outcome)
    again = await desk.read(outcome)
    assert (["referral.cancelled"], ["booking.withdrawn"]) == (types(cancelled), types(late))
    assert "placement closed" == late[0].data.why  # type: ignore[attr-defined]
    assert [event.to_json() for event in late] == [event.to_json() for event in again]
    assert ("cancelled", 2, REFERRER, NOW) == await desk.state(referral)
    assert ["booking.confirmed", "booking.withdrawn"] == [one.type for one in await desk.told(RECEIVER)]


async def test_a_cancel_and_its_confirmation_race_and_the_slot_is_given_back_once(desk: Desk) -> None:
    """Whichever is decided first, one withdrawal is told, by either."""
    referrals = [uuid4() for _ in range(30)]
    for referral in referrals:
        await desk.read(*placed(referral)[:3])
    for referral in referrals:
        one, other = await asyncio.gather(
            desk.read(asks(referral, CANCEL, organisation=REFERRER)), desk.read(placed(referral)[3])
        )
        assert ["booking.withdrawn"] == [type_ for type_ in types(one + other) if type_ == "booking.withdrawn"]
        assert "cancelled" == (await desk.state(referral))[0]


async def test_a_rebooking_keeps_the_place_until_there_is_another(desk: Desk) -> None:
    """Asked, not answered; then the new place counts, the old one is given back, and the action is answered."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    action, search = await begin_search(desk, referral)
    assert "placed" == (await desk.state(referral))[0]
    new = confirmed(searched_again(search))
    withdrawn, rebooked = await desk.read(new)
    assert (RECEIVER, "rebooked") == (withdrawn.data.organisation, withdrawn.data.why)  # type: ignore[attr-defined]
    assert ("referral.rebooked", action.id) == (rebooked.type, rebooked.correlationid)
    assert ("placed", 2) == (await desk.state(referral))[:2]
    assert [withdrawn.to_json(), rebooked.to_json()] == [event.to_json() for event in await desk.read(new)]
    assert "referral.rebooked" in [one.type for one in await desk.told(ANOTHER_RECEIVER)]
    assert "referral.rebooked" not in [one.type for one in await desk.told(RECEIVER)]


async def test_a_rebooking_that_finds_nobody_keeps_the_place(desk: Desk) -> None:
    """The action is refused with `no-place`, and the referral stands where it stood."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    before = await desk.state(referral)
    action, search = await begin_search(desk, referral)
    (refused,) = await desk.read(exhausted(searched_again(search)))
    data = refused.data
    assert ("no-place", "rebook", action.id) == (data.refusal, data.action, refused.correlationid)  # type: ignore[attr-defined]
    assert before == await desk.state(referral)


async def test_one_search_at_a_time(desk: Desk) -> None:
    """A second one meanwhile is not possible; after the first has ended it is."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    _, search = await begin_search(desk, referral)
    (refused,) = await desk.read(asks(referral, REBOOK, organisation=REFERRER))
    assert "not-possible" == refused.data.refusal  # type: ignore[attr-defined]
    await desk.read(exhausted(searched_again(search)))
    assert ["placement.requested"] == types(await desk.read(asks(referral, REBOOK, organisation=REFERRER)))


async def test_a_cancel_closes_the_search_and_answers_both(desk: Desk) -> None:
    """The place is given back at once, what the search finds as well; the rebooking is refused when it has ended."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    action, search = await begin_search(desk, referral)
    cancelled = await desk.read(asks(referral, CANCEL, organisation=REFERRER))
    withdrawn, refused = await desk.read(confirmed(searched_again(search)))
    assert ["booking.withdrawn", "referral.cancelled"] == types(cancelled)
    assert ("placement closed", ANOTHER_RECEIVER) == (withdrawn.data.why, withdrawn.data.organisation)  # type: ignore[attr-defined]
    assert ("not-possible", action.id) == (refused.data.refusal, refused.correlationid)  # type: ignore[attr-defined]


async def test_a_session_that_is_withdrawn_moves_its_patient(desk: Desk) -> None:
    """The old place stands until there is another; then both are told."""
    referral = uuid4()
    *_, outcome = await_outcome(referral)
    await desk.read(*placed(referral)[:4])
    (search,) = await desk.read(displaced(outcome))
    assert isinstance(search, PlacementRequested)
    assert ("session withdrawn", ()) == (search.data.why, search.data.without)
    withdrawn, rebooked = await desk.read(confirmed(searched_again(search)))
    assert ("session withdrawn", "session withdrawn") == (withdrawn.data.why, rebooked.data.why)  # type: ignore[attr-defined]


async def test_a_session_that_is_withdrawn_without_another_place_goes_to_the_desk(desk: Desk) -> None:
    """Nobody else can take the patient: withdrawn, and the referrer's desk decides soon."""
    referral = uuid4()
    *_, outcome = await_outcome(referral)
    await desk.read(*placed(referral)[:4])
    (search,) = await desk.read(displaced(outcome))
    assert isinstance(search, PlacementRequested)
    assert ["booking.withdrawn", "referral.withdrawn"] == types(await desk.read(exhausted(searched_again(search))))
    assert ("withdrawn", 2, REFERRER) == (await desk.state(referral))[:3]


async def test_a_session_of_an_unknown_placement_goes_to_a_person(desk: Desk) -> None:
    """Its confirmation could not be read: the record is put aside, which is on the desk's worklist."""
    *_, outcome = await_outcome(uuid4())
    with pytest.raises(Poison):
        await desk.read(displaced(outcome))


async def test_an_outcome_that_is_decided_about_and_is_wrong_goes_to_a_person(desk: Desk) -> None:
    """Of a further placement the whole is read: what its contract refuses is put aside, and is no bug."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    (search,) = await desk.read(asks(referral, REBOOK, organisation=REFERRER))
    assert isinstance(search, PlacementRequested)
    whole = confirmed(searched_again(search)).to_json()
    wrong = whole.replace(b'"tried":[]', b'"tried":7')
    assert whole != wrong
    with pytest.raises(Poison):
        await desk.read(fact_in(wrong, BookingConfirmed.TYPE))


async def test_an_action_waits_for_a_confirmation_that_is_not_read_yet(desk: Desk) -> None:
    """The service was told by booking and accepts at once: held back, not refused; others are answered meanwhile."""
    referral, other = uuid4(), uuid4()
    *flow, outcome = placed(referral)[:4]
    await desk.read(*flow, *placed(other)[:4])
    early = asks(referral, ACCEPT)
    with pytest.raises(Unfinished) as held:
        await desk.read(early, asks(other, ACCEPT))
    assert ["referral.accepted"] == types(held.value.told)
    await desk.read(outcome)
    assert ["referral.accepted"] == types(await desk.read(early))


async def test_an_action_waits_a_few_seconds_at_most(desk: Desk) -> None:
    """Who is not on the referral is refused then, and does not begin the wait anew."""
    referral = uuid4()
    await desk.read(submitted(referral))
    early = asks(referral, ACCEPT)
    with pytest.raises(Unfinished):
        await desk.read(early)
    desk.now = NOW.replace(second=5)
    (refused,) = await desk.read(early)
    assert "unknown" == refused.data.refusal  # type: ignore[attr-defined]


async def test_an_action_waits_while_what_booking_told_before_it_is_not_read(desk: Desk) -> None:
    """After an outage the one topic is behind the other: neither a receiver nor a desk is refused for that."""
    referral, read_until = uuid4(), [NOW - timedelta(hours=1)]

    async def outcomes_read_until(at: datetime) -> bool:
        return at <= read_until[0]

    outbox = Outbox(desk.own, RecordingPublisher())  # type: ignore[arg-type]
    desk.decisions = Decisions(desk.own, lambda: desk.now, CLOCKS, outbox, outcomes_read_until)
    *flow, outcome = placed(referral)[:4]
    await desk.read(*flow)
    early = [asks(referral, ACCEPT), asks(referral, REBOOK, organisation=REFERRER)]
    for minutes in (0, 5):
        desk.now = NOW + timedelta(minutes=minutes)
        for action in early:
            with pytest.raises(Unfinished):
                await desk.read(action)
    read_until[0] = desk.now
    await desk.read(outcome)
    assert ["referral.accepted", "placement.requested"] == types(await desk.read(*early))


async def test_an_outcome_waits_for_what_asked_for_its_search(desk: Desk) -> None:
    """Read before it, as after a restore, it is not taken for one that nobody wants; half a minute at most."""
    referral = uuid4()
    await desk.read(*placed(referral)[:4])
    action = asks(referral, REBOOK, organisation=REFERRER)
    _, told = desk_decides(referral, action)
    outcome = confirmed(searched_again(told))
    with pytest.raises(Unfinished):
        await desk.read(outcome)
    await desk.read(action)
    assert ["booking.withdrawn", "referral.rebooked"] == types(await desk.read(outcome))

    other = uuid4()
    await desk.read(*placed(other)[:4])
    _, told = desk_decides(other, asks(other, REBOOK, organisation=REFERRER))
    unwanted = confirmed(searched_again(told))
    with pytest.raises(Unfinished):
        await desk.read(unwanted)
    desk.now = NOW + timedelta(seconds=30)
    assert ["booking.withdrawn"] == types(await desk.read(unwanted))


def desk_decides(referral: UUID, action: Event) -> tuple[Event, PlacementRequested]:
    """What a process that has read everything tells of a rebooking of a patient who is placed."""
    _, outcome = await_outcome(referral)
    standing = standing_of(fact_in(outcome.to_json(), outcome.type), version=1, asked=None, clocks=CLOCKS)
    place = standing.place
    assert place is not None
    case = Case(
        referral=referral,
        standing=standing,
        receiver=RECEIVER,
        service_id=place.service.service_id,
        brief=outcome.data.brief,
    )
    _, (search,) = Decider(CLOCKS, NOW).decide(case, action)  # type: ignore[arg-type]
    assert isinstance(search, PlacementRequested)
    return outcome, search


async def test_two_deciders_of_one_batch_decide_once(desk: Desk) -> None:
    """After a rebalance a batch may be at work twice: both tell the same."""
    referrals = [uuid4() for _ in range(10)]
    for referral in referrals:
        await desk.read(*placed(referral)[:4])
    batch = [asks(referral, action) for referral in referrals for action in (ACCEPT, REJECT)]
    batch += [asks(uuid4(), ACCEPT) for _ in range(5)]
    one, other = await asyncio.gather(desk.another().decide(batch), desk.another().decide(batch))
    assert [event.to_json() for event in one] == [event.to_json() for event in other]
    assert {"rejected"} == {(await desk.state(referral))[0] for referral in referrals}


async def test_a_wait_is_answered_at_once_and_its_place_is_told_later(desk: Desk) -> None:
    """The answer is that the patient waits; the place that becomes free is a fact of its own transaction."""
    referral = uuid4()
    await desk.read(*unplaced(referral)[:4])
    wait = actions.Wait(action="wait", service="ucr-1", until=NOW.replace(hour=9))
    action = asks(referral, wait, organisation=REFERRER)
    search, listed = await desk.read(action)
    assert isinstance(search, PlacementRequested)
    assert ("waiting", "referral.wait-listed", action.id) == (
        (await desk.state(referral))[0],
        listed.type,
        listed.correlationid,
    )
    (rebooked,) = await desk.read(confirmed(searched_again(search)))
    assert ("place freed", search.id) == (rebooked.data.why, rebooked.correlationid)  # type: ignore[attr-defined]


def await_outcome(referral: UUID) -> tuple[Event, BookingConfirmed]:
    """The first fact, and the outcome that follows from it."""
    first = submitted(referral)
    return first, confirmed(requested(triaged(first)))


async def test_a_clock_that_runs_backwards_undoes_nothing(desk: Desk) -> None:
    """Versions go by what was decided and not by the time: the later action counts, owns a due time to come, and comes
    last in the feed; an action that comes again answers as it did."""
    referral = uuid4()
    await desk.read(*placed(referral))
    accepting, cancelling = asks(referral, ACCEPT), asks(referral, CANCEL, organisation=REFERRER)
    (accepted,) = await desk.read(accepting)
    _, version, _, _ = await desk.state(referral)

    desk.now = NOW - timedelta(hours=1)
    *_, cancelled = await desk.read(cancelling)
    again = await desk.read(accepting)

    state, after, _, due = await desk.state(referral)
    assert ("cancelled", version + 1, True) == (state, after, due >= desk.now)
    assert [accepted.to_json()] == [event.to_json() for event in again]
    kinds = [told.type for told in await desk.told(REFERRER)]
    assert kinds.index(accepted.type) < kinds.index(cancelled.type)
