"""Which slots sessions make, typed in from the calendar and from the two nights when London's clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from contracts.directory import DAYS, SlotSession
from contracts.opening_hours import LONDON
from services.booking.slots import Slot, slots_between
from tests.booking_requests import session

DAY = timedelta(days=1)
WEDNESDAY = datetime(2026, 1, 14, tzinfo=UTC)
SPRING = datetime(2026, 3, 29, tzinfo=UTC)
"""Clocks go from 01:00 to 02:00 at 01:00 UTC."""
AUTUMN = datetime(2026, 10, 25, tzinfo=UTC)
"""Clocks go from 02:00 back to 01:00 at 01:00 UTC."""


def starts(*sessions: SlotSession, begin: datetime, end: datetime) -> list[str]:
    """When the slots begin, in UTC: day and time."""
    return [slot.starts_at.strftime("%d %H:%M") for slot in slots_between(sessions, begin, end)]


def test_a_session_makes_a_slot_every_so_many_minutes() -> None:
    """From its beginning, of its length, for its number of patients."""
    made = slots_between([session("09:00", "10:30", capacity=3)], WEDNESDAY, WEDNESDAY + DAY)
    assert [
        Slot(datetime(2026, 1, 14, 9, 0, tzinfo=UTC), 30, 3),
        Slot(datetime(2026, 1, 14, 9, 30, tzinfo=UTC), 30, 3),
        Slot(datetime(2026, 1, 14, 10, 0, tzinfo=UTC), 30, 3),
    ] == made


def test_a_slot_must_end_within_its_session() -> None:
    """What is left of a session and too short for a slot stays empty."""
    one = session("09:00", "10:30", slot_minutes=40)
    assert ["14 09:00", "14 09:40"] == starts(one, begin=WEDNESDAY, end=WEDNESDAY + DAY)


def test_a_session_shorter_than_a_slot_makes_none() -> None:
    """Half an hour has no room for 40 minutes."""
    assert [] == starts(session("09:00", "09:30", slot_minutes=40), begin=WEDNESDAY, end=WEDNESDAY + DAY)


def test_the_window_takes_its_begin_and_not_its_end() -> None:
    """A slot that begins with the window is in it; one that begins as it ends is in the next."""
    begin, end = WEDNESDAY + timedelta(hours=9), WEDNESDAY + timedelta(hours=10)
    assert ["14 09:00", "14 09:30"] == starts(session("08:00", "12:00"), begin=begin, end=end)


def test_only_the_days_of_a_session_have_slots() -> None:
    """Monday and Friday of the week that begins on Wednesday 14 January 2026."""
    one = session("09:00", "09:30", days=("mon", "fri"))
    assert ["16 09:00", "19 09:00"] == starts(one, begin=WEDNESDAY, end=WEDNESDAY + 7 * DAY)


def test_a_session_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    """Wednesday's night session ends on Thursday; Tuesday's has no slots on Wednesday."""
    one = session("23:00", "01:00", days=("wed",))
    assert ["14 23:00", "14 23:30", "15 00:00", "15 00:30"] == starts(one, begin=WEDNESDAY, end=WEDNESDAY + 2 * DAY)


def test_a_window_after_midnight_sees_the_session_of_the_day_before() -> None:
    """What began yesterday evening goes on."""
    begin = WEDNESDAY + DAY + timedelta(minutes=10)
    assert ["15 00:30"] == starts(session("23:00", "01:00", days=("wed",)), begin=begin, end=begin + DAY)


def test_24_00_is_the_end_of_the_day() -> None:
    """The last slot of the evening ends at midnight."""
    assert ["14 23:00", "14 23:30"] == starts(session("23:00", "24:00"), begin=WEDNESDAY, end=WEDNESDAY + DAY)


def test_a_session_may_begin_at_24_00() -> None:
    """Wednesday's 24:00 is Thursday's midnight."""
    one = session("24:00", "01:00", days=("wed",))
    assert ["15 00:00", "15 00:30"] == starts(one, begin=WEDNESDAY, end=WEDNESDAY + 2 * DAY)


@pytest.mark.parametrize(("begins", "ends"), [("00:00", "24:00"), ("00:00", "00:00"), ("08:00", "08:00")])
def test_a_session_around_the_clock_has_every_slot_once(begins: str, ends: str) -> None:
    """One that ends when it begins takes a day and a night; no slot is missing or there twice."""
    made = starts(session(begins, ends, slot_minutes=60), begin=WEDNESDAY, end=WEDNESDAY + DAY)
    assert [f"14 {hour:02}:00" for hour in range(24)] == made


def test_summer_sessions_begin_an_hour_earlier_in_utc() -> None:
    """09:00 in London is 08:00 UTC in July."""
    begin = datetime(2026, 7, 1, tzinfo=UTC)
    assert ["01 08:00"] == starts(session("09:00", "09:30"), begin=begin, end=begin + DAY)


def test_the_hour_that_clocks_skip_has_no_slots() -> None:
    """29 March 2026: after 00:30 comes 02:00 on the clock, half an hour later."""
    one = session("00:00", "03:00")
    expected = ["29 00:00", "29 00:30", "29 01:00", "29 01:30"]
    assert expected == starts(one, begin=SPRING, end=SPRING + timedelta(hours=12))
    assert ["00:00", "00:30", "02:00", "02:30"] == [
        slot.starts_at.astimezone(LONDON).strftime("%H:%M")
        for slot in slots_between([one], SPRING, SPRING + timedelta(hours=12))
    ]


def test_a_slot_into_the_missing_hour_takes_the_place_of_the_next() -> None:
    """45 minutes from 00:45 last until 02:30 on the clock, so that nobody is seen at 02:15."""
    one = session("00:00", "04:00", slot_minutes=45)
    expected = ["29 00:00", "29 00:45", "29 02:00"]
    assert expected == starts(one, begin=SPRING, end=SPRING + timedelta(hours=12))


def test_the_hour_that_clocks_repeat_has_slots_once_the_first_time() -> None:
    """25 October 2026: 01:00 and 01:30 in summer time; from 01:00 to 02:00 UTC nothing; then 02:00 in winter time."""
    expected = ["24 23:00", "24 23:30", "25 00:00", "25 00:30", "25 02:00", "25 02:30"]
    begin = AUTUMN - timedelta(hours=1)
    assert expected == starts(session("00:00", "03:00"), begin=begin, end=begin + timedelta(hours=12))


def test_a_night_session_spans_the_change_of_the_clocks() -> None:
    """From 22:00 to 04:00 clocks going back make an hour without slots, and going forward an hour less."""
    night = session("22:00", "04:00", slot_minutes=60, days=("sat",))
    assert ["24 21:00", "24 22:00", "24 23:00", "25 00:00", "25 02:00", "25 03:00"] == starts(
        night, begin=AUTUMN - DAY, end=AUTUMN + DAY
    )
    assert ["28 22:00", "28 23:00", "29 00:00", "29 01:00", "29 02:00"] == starts(
        night, begin=SPRING - DAY, end=SPRING + DAY
    )


def test_where_sessions_meet_the_first_in_the_list_makes_the_slot() -> None:
    """At 09:30 both begin one; at 09:00 and 10:00 there is only one to choose."""
    early = session("09:00", "10:00", capacity=1)
    late = session("09:30", "10:30", capacity=2, slot_minutes=20)
    both = slots_between([early, late], WEDNESDAY, WEDNESDAY + DAY)
    assert [("09:00", 30, 1), ("09:30", 30, 1), ("09:50", 20, 2), ("10:10", 20, 2)] == [
        (slot.starts_at.strftime("%H:%M"), slot.minutes, slot.capacity) for slot in both
    ]
    reversed_ = slots_between([late, early], WEDNESDAY, WEDNESDAY + DAY)
    assert [("09:00", 30, 1), ("09:30", 20, 2)] == [
        (slot.starts_at.strftime("%H:%M"), slot.minutes, slot.capacity) for slot in reversed_[:2]
    ]


def test_no_session_makes_no_slot() -> None:
    """A diary without sessions is empty."""
    assert [] == slots_between([], WEDNESDAY, WEDNESDAY + DAY)


CLOCK = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}") | st.just("24:00")
SESSIONS = st.builds(
    SlotSession,
    days=st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(tuple),
    begins=CLOCK,
    ends=CLOCK,
    slot_minutes=st.integers(5, 480),
    capacity=st.integers(1, 9),
)
# The nights of both changes, and a week of neither.
BEGINS = st.sampled_from([WEDNESDAY, SPRING - DAY, AUTUMN - DAY]).flatmap(
    lambda day: st.integers(0, 3 * 24 * 60).map(lambda minutes: day + timedelta(minutes=minutes))
)
WINDOWS = st.integers(0, 3 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))


def minute_of(clock: str) -> int:
    """Minutes of a clock time since midnight."""
    hour, minute = clock.split(":")
    return 60 * int(hour) + int(minute)


def belongs(slot: Slot, one: SlotSession) -> bool:
    """Whether the slot is within this session, by the clock: it begins in it, and ends in it unless clocks changed."""
    local = slot.starts_at.astimezone(LONDON)
    length = (minute_of(one.ends) - minute_of(one.begins)) % (24 * 60) or 24 * 60
    for days_ago in (0, 1, 2):
        day = local.date() - timedelta(days=days_ago)
        into = days_ago * 24 * 60 + local.hour * 60 + local.minute - minute_of(one.begins)
        if DAYS[day.weekday()] in one.days and 0 <= into <= length - slot.minutes and into % slot.minutes == 0:
            return (slot.minutes, slot.capacity) == (one.slot_minutes, one.capacity)
    return False


@given(st.lists(SESSIONS, max_size=3), BEGINS, WINDOWS)
@example([session("24:00", "24:00", days=("wed",))], WEDNESDAY, 3 * DAY)
def test_every_slot_is_within_a_session(sessions: list[SlotSession], begin: datetime, window: timedelta) -> None:
    """By the clock in London, on a multiple of its length; within the window, in whole minutes, in order, once."""
    made = slots_between(sessions, begin, begin + window)
    for slot in made:
        assert any(belongs(slot, one) for one in sessions)
        assert begin <= slot.starts_at < begin + window
        assert (0, 0) == (slot.starts_at.second, slot.starts_at.microsecond)
        assert UTC == slot.starts_at.tzinfo
    starts_at = [slot.starts_at for slot in made]
    assert sorted(set(starts_at)) == starts_at


@given(SESSIONS, BEGINS, WINDOWS)
@example(session("00:00", slot_minutes=45), SPRING - DAY, 2 * DAY)
@example(session("02:01", slot_minutes=8), SPRING - DAY, 2 * DAY)  # a day's last slot runs into the next day's first
@example(session("01:30", slot_minutes=8), SPRING, DAY)
def test_two_slots_of_one_session_never_overlap(one: SlotSession, begin: datetime, window: timedelta) -> None:
    """Whatever the clocks do, the patients of one slot have left before the next begins."""
    one = one.model_copy(update={"ends": one.begins, "days": DAYS})  # around the clock: the most that can meet
    for before, after in pairwise(slots_between([one], begin, begin + window)):
        assert before.starts_at + timedelta(minutes=before.minutes) <= after.starts_at


@given(st.lists(SESSIONS, max_size=3), BEGINS, WINDOWS, WINDOWS)
def test_adjacent_windows_make_what_the_whole_window_makes(
    sessions: list[SlotSession], begin: datetime, first: timedelta, second: timedelta
) -> None:
    """A diary that is extended day by day is the diary that would have been made at once."""
    middle, end = begin + first, begin + first + second
    whole = slots_between(sessions, begin, end)
    assert whole == slots_between(sessions, begin, middle) + slots_between(sessions, middle, end)


@given(SESSIONS)
def test_a_week_without_a_change_of_clocks_has_every_slot(one: SlotSession) -> None:
    """As many as the template says: sessions a week times slots a session. (24:00 until 00:00 is no time at all.)"""
    assume((one.begins, one.ends) != ("24:00", "00:00"))
    length = (minute_of(one.ends) - minute_of(one.begins)) % (24 * 60) or 24 * 60
    begin = WEDNESDAY + 7 * DAY
    made = slots_between([one], begin, begin + 7 * DAY)
    assert len(one.days) * (length // one.slot_minutes) == len(made)
