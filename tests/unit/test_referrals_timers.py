"""Due times: when they count, what was missed, and what follows."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from contracts.referrals import FINISHED, Clocks, Place, Standing, State
from services.referrals.cases import Case, place_of
from services.referrals.deciding_store import AT_ONCE, Decisions
from services.referrals.escalating import LONGEST_PAUSE, escalated, missed_by
from services.referrals.lifecycle import STATES
from services.referrals.timers import BEHIND, pass_due_times
from tests.referrals_examples import BEGAN, CLOCKS, DESK, REFERRER, confirmed, requested, submitted, triaged

NOW = datetime(2031, 3, 4, 6, 0, tzinfo=UTC)
REFERRAL = UUID("0b54b0f2-3f9a-4a77-a2b5-8f0f5f4f7a10")
SUBMITTED = submitted(REFERRAL)
CONFIRMED = confirmed(requested(triaged(SUBMITTED)))
SLOT = place_of(CONFIRMED)
NO_SLOT = SLOT.model_copy(update={"starts_at": None, "slot_minutes": None, "outcome": "delivered"})


def standing(state: State, place: Place | None = SLOT, **more: Any) -> Standing:
    """A referral in a state, which was due."""
    known: dict[str, Any] = {
        "version": 3,
        "state": state,
        "owner": DESK.model_copy(update={"organisation": "RX2"}),
        "due": NOW - timedelta(minutes=1),
        "next_step": "Something.",
        "place": place,
        "desk": DESK,
        "referrer": SUBMITTED.data.referrer,
        "patient": CONFIRMED.data.brief.patient,
    }
    return Standing(**known | more)


def case(state: State, place: Place | None = SLOT, **more: Any) -> Case:
    """The same, to be decided about."""
    return Case(referral=REFERRAL, standing=standing(state, place, **more))


@dataclass
class Reading:
    """A reader that is so far behind."""

    behind: timedelta
    asked: list[datetime] = field(default_factory=list)

    async def has_read_until(self, at: datetime) -> bool:
        """Whether it has read so far."""
        self.asked.append(at)
        return at <= NOW - self.behind


@dataclass
class Escalating:
    """What is due, by how many there are."""

    due: int
    until: list[datetime] = field(default_factory=list)

    async def escalate(self, until: datetime) -> int:
        """At most so many at a time."""
        self.until.append(until)
        passed = min(self.due, AT_ONCE)
        self.due -= passed
        return passed


async def passed(decisions: Escalating, behind: timedelta) -> int:
    """What comes of one look."""
    return await pass_due_times(cast("Decisions", decisions), Reading(behind), NOW)


@pytest.mark.parametrize(
    ("behind", "counts"),
    [
        (timedelta(0), timedelta(seconds=5)),
        (timedelta(seconds=6), timedelta(seconds=30)),
        (timedelta(minutes=4), timedelta(minutes=5)),
        (timedelta(minutes=59), timedelta(hours=1)),
    ],
)
async def test_a_due_time_counts_once_everything_before_it_is_read(behind: timedelta, counts: timedelta) -> None:
    """The further behind the reading is, the later a time counts: an answer on the log is never overlooked."""
    decisions = Escalating(1)
    assert (1, [NOW - counts]) == (await passed(decisions, behind), decisions.until)


async def test_nothing_counts_while_the_reading_is_far_behind() -> None:
    """After a long outage everything is read first: no false alarm."""
    decisions = Escalating(1)
    assert (0, []) == (await passed(decisions, BEHIND[-1] + timedelta(minutes=1)), decisions.until)


async def test_all_that_is_due_is_passed_in_portions() -> None:
    """However many there are after an outage."""
    decisions = Escalating(2 * AT_ONCE + 7)
    assert (2 * AT_ONCE + 7, 3) == (await passed(decisions, timedelta(0)), len(decisions.until))


@pytest.mark.parametrize(
    ("state", "place", "missed"),
    [
        ("submitted", None, "placement"),
        ("triaged", None, "placement"),
        ("placement_asked", None, "placement"),
        ("placed", SLOT, "attendance"),
        ("placed", NO_SLOT, "answer"),
        ("received", NO_SLOT, "answer"),
        ("accepted", SLOT, "attendance"),
        ("accepted", NO_SLOT, "outcome"),
        ("information_wanted", NO_SLOT, "information"),
        ("in_progress", SLOT, "outcome"),
        ("seen", NO_SLOT, "outcome"),
        ("unplaced", None, "decision"),
        ("rejected", None, "decision"),
        ("not_attended", None, "decision"),
        ("withdrawn", None, "decision"),
        ("waiting", None, "placement"),
    ],
)
def test_what_was_missed_is_named(state: State, place: Place | None, missed: str) -> None:
    """By where the referral stands."""
    assert missed == missed_by(standing(state, place))


def test_the_first_clock_is_the_acknowledgement() -> None:
    """Where it is the one that ran out, that is what is said."""
    due = NOW - timedelta(minutes=1)
    assert "acknowledgement" == missed_by(standing("placed", NO_SLOT, due=due, clocks=Clocks(acknowledge_by=due)))


@pytest.mark.parametrize("state", sorted(set(STATES) - FINISHED))
def test_the_patient_is_the_referrers_desks_again(state: State) -> None:
    """Where it stands and what is held stay; owner, time and next step are the desk's, with its telephone."""
    after, event = escalated(case(state), now=NOW, clocks=CLOCKS)
    said = event.data.standing
    assert (state, SLOT, REFERRER, 4, 1, True) == (
        said.state,
        said.place,
        said.owner.organisation,
        said.version,
        said.escalations,
        said.due > NOW,
    )
    assert (True, DESK.telephone in said.next_step) == (after.escalated, True)


def test_pauses_grow_up_to_a_limit() -> None:
    """A desk that is told again and again is told at growing distances, and never more than so far apart."""
    dues = [
        escalated(case("placed", escalations=times), now=NOW, clocks=CLOCKS)[1].data.standing.due - NOW
        for times in (0, 1, 2, 1000)
    ]
    assert [timedelta(minutes=15), timedelta(minutes=30), timedelta(minutes=45), LONGEST_PAUSE] == dues


def test_a_timer_that_fires_twice_is_one_event() -> None:
    """Its id is made of the referral and the due time."""
    one, two = (escalated(case("placed"), now=NOW + timedelta(minutes=n), clocks=CLOCKS)[1] for n in (0, 3))
    later = escalated(case("placed", due=NOW), now=NOW, clocks=CLOCKS)[1]
    other = escalated(Case(referral=uuid4(), standing=standing("placed")), now=NOW, clocks=CLOCKS)[1]
    assert (one.id, 3) == (two.id, len({one.id, later.id, other.id}))


def test_an_escalation_begins_its_own_transaction() -> None:
    """It answers nobody's action."""
    event = escalated(case("placed"), now=NOW, clocks=CLOCKS)[1]
    assert (event.id, None, str(REFERRAL), BEGAN < event.time) == (
        event.correlationid,
        event.causationid,
        event.subject,
        True,
    )
