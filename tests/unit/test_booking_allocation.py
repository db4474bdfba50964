"""Which slot each placement is given: first come first served, each one's candidates by rank."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.bookings import Tried
from contracts.placements import BookingRequested
from services.booking.diary import (
    Asks,
    Diary,
    Given,
    Refused,
    allocate,
    latest_start,
    may_be_booked,
    not_taken,
    place,
)
from services.chassis.lean import lean
from tests.booking_requests import NOON, candidate, requested


def minutes(number: int) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)


def diary(service_id: str, *slots: tuple[int, int], active: bool = True) -> Diary:
    """A diary with free slots: minutes from now, and for how many patients. Each is 20 minutes long."""
    made = Diary(service_id, "slots", active)
    for begins, free in slots:
        made.add(NOON + minutes(begins), 20, free)
    return made


def diaries(*several: Diary) -> dict[str, Diary]:
    """By service."""
    return {one.service_id: one for one in several}


def where(decisions: Iterable[Given | Refused | Asks]) -> list[tuple[str, int] | None]:
    """Service and minutes from now of each slot; none where nothing was given."""
    return [
        (one.service.service_id, int((one.starts_at - NOON).total_seconds()) // 60)
        if isinstance(one, Given) and one.starts_at
        else None
        for one in decisions
    ]


def refusals(decision: Given | Refused | Asks) -> list[tuple[str, str]]:
    """What was tried, and why it could not take the patient."""
    return [(one.service_id, one.why) for one in decision.tried]


def test_the_first_to_come_has_the_earliest_slot() -> None:
    """Two patients, two slots: in the order of their requests."""
    requests = [requested(1, "S1"), requested(2, "S1")]
    assert [("S1", 30), ("S1", 50)] == where(allocate(requests, diaries(diary("S1", (30, 1), (50, 1))), NOON))


def test_a_slot_is_filled_before_the_next_is_begun() -> None:
    """A slot for two takes two."""
    requests = [requested(number, "S1") for number in (1, 2, 3)]
    full = diary("S1", (30, 2), (50, 1))
    assert [("S1", 30), ("S1", 30), ("S1", 50)] == where(allocate(requests, diaries(full), NOON))


def test_a_given_slot_says_how_long_it_is() -> None:
    """Service, its place among the candidates, begin and length."""
    [decision] = allocate([requested(1, "S1")], diaries(diary("S1", (30, 1))), NOON)
    assert Given(candidate("S1"), 0, starts_at=NOON + minutes(30), slot_minutes=20) == decision


def test_a_better_rank_goes_before_an_earlier_slot() -> None:
    """The first candidate is taken although the second could see the patient sooner."""
    both = diaries(diary("S1", (90, 1)), diary("S2", (15, 1)))
    assert [("S1", 90)] == where(allocate([requested(1, "S1", "S2")], both, NOON))


def test_a_full_diary_falls_through_to_the_next_candidate() -> None:
    """With what was tried, by name, and why."""
    both = diaries(diary("S1"), diary("S2", (30, 1)))
    [decision] = allocate([requested(1, "S1", "S2")], both, NOON)
    assert [("S2", 30)] == where([decision])
    assert (lean(Tried)(service_id="S1", name="Service S1", why="no free slot in time"),) == decision.tried
    assert isinstance(decision, Given)
    assert 1 == decision.place


def test_who_came_first_leaves_what_is_left() -> None:
    """The second of two falls through because the first took the last slot."""
    both = diaries(diary("S1", (30, 1)), diary("S2", (60, 1)))
    decisions = allocate([requested(1, "S1", "S2"), requested(2, "S1", "S2")], both, NOON)
    assert [("S1", 30), ("S2", 60)] == where(decisions)
    assert [[], [("S1", "no free slot in time")]] == list(map(refusals, decisions))


def test_a_slot_in_the_last_minute_is_in_time() -> None:
    """Within 120 minutes includes the 120th."""
    one = diaries(diary("S1", (120, 1)))
    assert [("S1", 120)] == where(allocate([requested(1, "S1", minutes=120)], one, NOON))


def test_a_slot_after_the_dispositions_minutes_is_too_late() -> None:
    """Who must be seen within two hours is not booked for the minute after."""
    [decision] = allocate([requested(1, "S1", minutes=120)], diaries(diary("S1", (121, 1))), NOON)
    assert Refused((lean(Tried)(service_id="S1", name="Service S1", why="no free slot in time"),)) == decision


def test_a_disposition_without_a_time_means_within_the_hour() -> None:
    """As the Directory of Services searches."""
    requests = [requested(1, "S1", minutes=0), requested(2, "S1", minutes=0)]
    assert [("S1", 60), None] == where(allocate(requests, diaries(diary("S1", (60, 1), (61, 1))), NOON))


def test_one_who_can_wait_takes_what_another_cannot() -> None:
    """A slot too late for the urgent one is still there for the next."""
    requests = [requested(1, "S1", minutes=30), requested(2, "S1", minutes=240)]
    assert [None, ("S1", 90)] == where(allocate(requests, diaries(diary("S1", (90, 1))), NOON))


@pytest.mark.parametrize("kind", ["slots", "acceptance", "delivery"])
def test_an_inactive_service_is_not_booked(kind: Any) -> None:
    """However it takes patients, and although it has room."""
    resting = diary("S1", (30, 1), active=False)
    resting.booking = kind
    [decision] = allocate([requested(1, "S1", "S2")], diaries(resting, diary("S2", (30, 1))), NOON)
    assert [("S2", 30)] == where([decision])
    assert [("S1", "not active")] == refusals(decision)


def test_a_service_without_a_diary_is_said_to_have_none() -> None:
    """Then the next is tried."""
    [decision] = allocate([requested(1, "S9", "S2")], diaries(diary("S2", (30, 1))), NOON)
    assert [("S2", 30)] == where([decision])
    assert [("S9", "no diary")] == refusals(decision)


def test_a_service_by_acceptance_has_its_time_to_accept() -> None:
    """From now, as its directory entry says."""
    one = Diary("S1", "acceptance", True, accept_within_minutes=45)
    assert [Given(candidate("S1"), 0, acceptance_due=NOON + minutes(45))] == allocate(
        [requested(1, "S1")], diaries(one), NOON
    )


def test_a_service_by_delivery_takes_everyone() -> None:
    """No slot, nothing to accept, no end of room."""
    one = diaries(Diary("S1", "delivery", True))
    requests = [requested(number, "S1") for number in range(1, 50)]
    assert [Given(candidate("S1"), 0)] * 49 == allocate(requests, one, NOON)


def test_bookings_own_word_on_a_services_kind_counts() -> None:
    """Pathways said slots, the diary says that patients come as they are."""
    one = diaries(Diary("S1", "delivery", True))
    asked = requested(1, candidate("S1", booking="slots"))
    assert [Given(asked.data.candidates[0], 0)] == allocate([asked], one, NOON)


def test_when_all_fail_the_placement_is_refused_with_each_reason() -> None:
    """In the order in which they were tried."""
    known = diaries(diary("S1"), diary("S2", (30, 1), active=False))
    [decision] = allocate([requested(1, "S1", "S2", "S3")], known, NOON)
    assert isinstance(decision, Refused)
    assert [("S1", "no free slot in time"), ("S2", "not active"), ("S3", "no diary")] == refusals(decision)


def test_nothing_is_booked_for_a_clinician_to_decide() -> None:
    """Although a candidate has room; nothing is tried."""
    one = diary("S1", (30, 1))
    assert [Refused()] == allocate([requested(1, "S1", to_clinician=True)], diaries(one), NOON)
    assert [1] == one.free


def test_nothing_is_booked_past_answer_by() -> None:
    """At the time itself it is; a second later nothing is tried."""
    asked = requested(1, "S1", answer_by=NOON)
    assert [("S1", 30)] == where(allocate([asked], diaries(diary("S1", (30, 1))), NOON))
    assert [Refused()] == allocate([asked], diaries(diary("S1", (30, 1))), NOON + timedelta(seconds=1))


def test_no_candidate_is_an_ordinary_refusal() -> None:
    """Nothing was tried."""
    assert [Refused()] == allocate([requested(1)], {}, NOON)


def test_a_refused_placement_holds_nothing_back() -> None:
    """The slot that a placement past its time would have had is the next one's."""
    late, well = requested(1, "S1", answer_by=NOON - minutes(1)), requested(2, "S1")
    assert [None, ("S1", 30)] == where(allocate([late, well], diaries(diary("S1", (30, 1))), NOON))


# A deliberately plain model: a list of slots, searched from its beginning for each request.


@dataclass
class Entry:
    """A service of the model: none of its slots is ever skipped over for speed."""

    kind: str
    active: bool
    slots: list[list[int]]
    """Minutes from now, and patients that there is room for."""


def plainly(requests: Sequence[BookingRequested], services: dict[str, Entry], now: datetime) -> list[Any]:
    """What each is given: service and minutes of the slot, service and kind, or none; and what was tried."""
    answers: list[Any] = []
    for request in requests:
        brief, tried = request.data.brief, []
        got: tuple[str, int | str] | None = None
        for one in request.data.candidates if not brief.to_clinician and brief.answer_by >= now else ():
            entry = services.get(one.service_id)
            if entry is None:
                tried.append((one.service_id, "no diary"))
                continue
            if not entry.active:
                tried.append((one.service_id, "not active"))
                continue
            if entry.kind != "slots":
                got = (one.service_id, entry.kind)
                break
            within = [slot for slot in entry.slots if slot[1] > 0 and slot[0] <= (brief.disposition.minutes or 60)]
            if within:
                within[0][1] -= 1
                got = (one.service_id, within[0][0])
                break
            tried.append((one.service_id, "no free slot in time"))
        answers.append((got, tried))
    return answers


NAMES = ("S1", "S2", "S3", "S4")
SLOTS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3)), max_size=6, unique_by=lambda slot: slot[0])
ENTRIES = st.builds(
    Entry,
    st.sampled_from(["slots", "slots", "slots", "acceptance", "delivery"]),
    st.sampled_from([True, True, True, False]),
    SLOTS.map(lambda slots: [list(slot) for slot in sorted(slots)]),
)
ASKED = st.tuples(
    st.lists(st.sampled_from(NAMES), max_size=4, unique=True),
    st.sampled_from([0, 15, 60, 120, 300]),
    st.sampled_from([False, False, False, False, True]),
    st.sampled_from([minutes(15), minutes(15), minutes(15), minutes(-1)]),
)


@given(st.dictionaries(st.sampled_from(NAMES), ENTRIES), st.lists(ASKED, max_size=15))
def test_every_decision_is_the_plain_models(services: dict[str, Entry], asked: list[Any]) -> None:
    """Never more than there is room for, never a false *full*, never a skipped rank, whatever comes together."""
    requests = [
        requested(number, *names, minutes=within, to_clinician=clinician, answer_by=NOON + due)
        for number, (names, within, clinician, due) in enumerate(asked, 1)
    ]
    known = {}
    for name, entry in services.items():
        known[name] = Diary(name, entry.kind, entry.active, accept_within_minutes=45)
        for begins, free in entry.slots:
            known[name].add(NOON + minutes(begins), 20, free)
    decided = allocate(requests, known, NOON)
    answers = []
    for decision in decided:
        got: tuple[str, int | str] | None = None
        if isinstance(decision, Given):
            [slot] = where([decision])
            got = slot or (decision.service.service_id, "acceptance" if decision.acceptance_due else "delivery")
        answers.append((got, refusals(decision)))
    assert plainly(requests, services, NOON) == answers
    # The model took the slots out of its own lists: what is left must be the same.
    assert {name: [slot[1] for slot in entry.slots] for name, entry in services.items()} == {
        name: one.free for name, one in known.items()
    }


def test_who_may_be_booked_is_told_by_deadline_clinician_and_candidates() -> None:
    """What the store need not lock a diary for."""
    assert may_be_booked(requested(1, "S1"), NOON)
    assert not may_be_booked(requested(1), NOON)
    assert not may_be_booked(requested(1, "S1", to_clinician=True), NOON)
    assert not may_be_booked(requested(1, "S1"), NOON + minutes(16))


def test_the_latest_start_is_so_many_minutes_from_now() -> None:
    """Not from when the placement was asked for; `answer_by` bounds what lies between."""
    assert NOON + minutes(150) == latest_start(requested(1, "S1", minutes=120), NOON + minutes(30))


def elsewhere(service_id: str, *, left_alone: bool = False) -> Diary:
    """A diary that its receiver keeps."""
    return Diary(service_id, "slots", active=True, elsewhere=True, left_alone=left_alone)


def test_a_receiver_that_keeps_its_own_diary_is_asked_at_its_place() -> None:
    """Not before those who stand before it were tried, and not where one of them has the patient."""
    requests = [requested(1, "S1", "R1", "S2"), requested(2, "S1", "R1")]
    has_one = diaries(diary("S1", (30, 1)), elsewhere("R1"), diary("S2", (30, 1)))
    given, asks = allocate(requests, has_one, NOON)
    assert [("S1", 30)] == where([given])
    assert isinstance(asks, Asks)
    assert ("R1", 1, [("S1", "no free slot in time")]) == (asks.service.service_id, asks.place, refusals(asks))


def test_a_receiver_that_is_left_alone_is_not_asked() -> None:
    """Who comes after it has the patient at once."""
    has_one = diaries(elsewhere("R1", left_alone=True), diary("S1", (30, 1)))
    [given] = allocate([requested(1, "R1", "S1")], has_one, NOON)
    assert [("R1", "its diary did not answer")] == refusals(given)
    assert [("S1", 30)] == where([given])


def test_who_comes_back_from_a_receiver_goes_on_after_it() -> None:
    """What was tried is kept, and slots of those before it are not looked at again."""
    request = requested(1, "S1", "R1", "S2")
    has_two = diaries(diary("S1", (30, 1)), elsewhere("R1"), diary("S2", (40, 1), (70, 1)))
    tried = (not_taken(request.data.candidates[1], "its diary did not answer"),)
    given = place(request, has_two, NOON + minutes(60), NOON, tried=tried, begin=2)
    assert [("S2", 40)] == where([given])
    assert [("R1", "its diary did not answer")] == refusals(given)
