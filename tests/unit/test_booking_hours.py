"""How many patients a service takes in each hour: typed-in days, the clock changes, and a plain reading beside it."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.bookings import HeldHour
from contracts.directory import DAYS, OpeningHours, OpeningPeriod, SpecifiedDate
from contracts.opening_hours import Timetable
from services.booking.diary import Diary, Given, Refused, allocate
from services.booking.hours import hours_between
from services.booking.outcome import outcome_of
from tests.booking_requests import NOON, candidate, requested
from tests.plain_hours import near_changes, opening_hours, plainly_open
from tests.recording import read_again

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
ALWAYS = OpeningHours(always=True)


def weekly(opens: str, closes: str, **changes: Any) -> OpeningHours:
    """The same hours on every day."""
    return OpeningHours(periods=(OpeningPeriod(days=DAYS, opens=opens, closes=closes),), **changes)


def made(hours: OpeningHours, day: str, patients: int = 3, holidays: frozenset[date] = frozenset()) -> list[Any]:
    """The hours of a day of UTC, as their beginning, their minutes and their patients."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    slots = hours_between(Timetable(hours, holidays), patients, begin, begin + DAY)
    return [(f"{slot.starts_at:%H:%M}", slot.minutes, slot.capacity) for slot in slots]


@pytest.mark.parametrize(
    ("hours", "day", "expected"),
    [
        (weekly("08:00", "10:00"), "2026-01-14", [("08:00", 60, 3), ("09:00", 60, 3)]),
        (weekly("08:30", "10:20"), "2026-01-14", [("08:30", 30, 1), ("09:00", 60, 3), ("10:00", 20, 1)]),
        (weekly("08:45", "10:15"), "2026-01-14", [("09:00", 60, 3)]),
        (weekly("22:00", "01:00"), "2026-01-14", [("00:00", 60, 3), ("22:00", 60, 3), ("23:00", 60, 3)]),
        (weekly("08:00", "10:00"), "2026-07-14", [("07:00", 60, 3), ("08:00", 60, 3)]),
        (
            weekly("08:00", "10:00", dates=(SpecifiedDate(on=date(2026, 1, 14), periods=(("12:00", "13:00"),)),)),
            "2026-01-14",
            [("12:00", 60, 3)],
        ),
        (weekly("08:00", "10:00", dates=(SpecifiedDate(on=date(2026, 1, 14)),)), "2026-01-14", []),
    ],
    ids=["two hours", "a share", "too small a share", "past midnight", "in summer", "a date", "closed that day"],
)
def test_the_hours_of_a_day(hours: OpeningHours, day: str, expected: list[Any]) -> None:
    """Each hour of the clock in which it is open, or the part of it, with its share of the patients."""
    assert expected == made(hours, day)


def test_a_public_holiday_has_the_hours_that_the_service_says() -> None:
    """Those of the site's table; on another day nothing changes."""
    hours, holidays = weekly("08:00", "10:00", public_holidays=(("09:00", "10:00"),)), frozenset({date(2026, 1, 14)})
    assert [("09:00", 60, 3)] == made(hours, "2026-01-14", holidays=holidays)
    assert [("08:00", 60, 3), ("09:00", 60, 3)] == made(hours, "2026-01-15", holidays=holidays)


@pytest.mark.parametrize(("first", "length"), [("2026-03-29T00:00", 23), ("2026-10-24T23:00", 25)])
def test_the_day_on_which_clocks_change(first: str, length: int) -> None:
    """From midnight to midnight in London there are 23 hours, or 25: each once, none missing, none twice."""
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC)
    slots = hours_between(Timetable(weekly("00:00", "24:00")), 3, begin, begin + length * HOUR)
    assert [begin + number * HOUR for number in range(length)] == [slot.starts_at for slot in slots]


begins = st.builds(
    lambda day, quarters: datetime(day.year, day.month, day.day, tzinfo=UTC) + quarters * QUARTER,
    near_changes,
    st.integers(0, 95),
)


@given(hours=opening_hours, patients=st.integers(1, 9), begin=begins, length=st.integers(1, 130))
def test_an_hour_takes_its_patients_while_it_is_open(
    hours: OpeningHours, patients: int, begin: datetime, length: int
) -> None:
    """Whatever the clocks do: each hour of the clock takes so many at most, and each part that is open its share."""
    end = begin + length * QUARTER
    slots = hours_between(Timetable(hours), patients, begin, end)
    assert all(begin <= slot.starts_at < end for slot in slots)
    assert all(one.starts_at + timedelta(minutes=one.minutes) <= other.starts_at for one, other in pairwise(slots))
    quarters = [begin.replace(minute=0) + number * QUARTER for number in range(length + 8)]
    is_open = [plainly_open(hours, quarter) for quarter in quarters]
    parts: dict[datetime, int] = {}
    """By when they begin: the parts of hours of the clock that are open without a pause, in minutes."""
    for quarter, opened in zip(quarters, is_open, strict=True):
        if opened:
            began = [at for at, minutes in parts.items() if at + timedelta(minutes=minutes) == quarter]
            part = began[0] if began and quarter.minute else quarter
            parts[part] = parts.get(part, 0) + 15
    expected = [
        (at, minutes, patients * minutes // 60)
        for at, minutes in parts.items()
        if patients * minutes // 60 and begin <= at < end
    ]
    assert expected == [(slot.starts_at, slot.minutes, slot.capacity) for slot in slots]


@given(hours=opening_hours, begin=begins, lengths=st.lists(st.integers(1, 60), min_size=2, max_size=4))
def test_a_diary_that_is_extended_is_as_if_made_at_once(
    hours: OpeningHours, begin: datetime, lengths: list[int]
) -> None:
    """Piece by piece, as time goes by: no hour is made twice, or left out where two pieces meet."""
    timetable, at, pieces = Timetable(hours), begin, []
    for length in lengths:
        pieces += hours_between(timetable, 3, at, at + length * QUARTER)
        at += length * QUARTER
    assert pieces == hours_between(timetable, 3, begin, at)


def team(*hours: tuple[int, int, int], **changes: Any) -> Diary:
    """A team that takes three patients an hour: minutes from noon, minutes, and how many more it takes."""
    one = Diary("S1", "acceptance", True, accept_within_minutes=30, patients_an_hour=3, **changes)
    for begins_in, minutes, free in hours:
        one.add(NOON + timedelta(minutes=begins_in), minutes, free)
    return one


def test_the_earliest_hour_that_has_room_is_held() -> None:
    """The one that runs, then the next; the answer says how full it is, and by when somebody should have come."""
    diary = team((-20, 60, 1), (40, 60, 3))
    decisions = allocate([requested(number, "S1") for number in (1, 2, 3)], {"S1": diary}, NOON)
    hours = [decision.hour for decision in decisions if isinstance(decision, Given)]
    assert [(-20, 40, 3, 3), (40, 100, 1, 3), (40, 100, 2, 3)] == [
        ((hour.begins - NOON) // MINUTE, minutes_to(hour), hour.taken, hour.patients) for hour in hours if hour
    ]


def minutes_to(hour: HeldHour) -> int:
    """By how many minutes after noon somebody should have come."""
    return (hour.come_by - NOON) // MINUTE


def test_nobody_waits_longer_than_they_may() -> None:
    """An hour that begins in time is held, and somebody should have come before the patient's own time is over."""
    [decision] = allocate([requested(1, "S1", minutes=50)], {"S1": team((40, 60, 3))}, NOON)
    assert isinstance(decision, Given)
    assert decision.hour is not None
    assert 50 == minutes_to(decision.hour)


def test_an_hour_that_begins_too_late_is_not_held() -> None:
    """It is said that there is no place in the hours before."""
    [decision] = allocate([requested(1, "S1", minutes=30)], {"S1": team((40, 60, 3))}, NOON)
    assert isinstance(decision, Refused)
    assert [("S1", "no place this hour")] == [(one.service_id, one.why) for one in decision.tried]


@pytest.mark.parametrize(
    ("kind", "outcome", "due"),
    [("acceptance", "place_held", 30), ("delivery", "delivered", 30)],
)
def test_the_answer_says_which_hour(kind: Any, outcome: str, due: int) -> None:
    """It is no slot at which the patient must be somewhere: a time by which somebody comes."""
    diary = team((60, 60, 2))
    diary.booking = kind
    request = requested(1, candidate("S1", booking=kind))
    [decision] = allocate([request], {"S1": diary}, NOON)
    data = read_again(outcome_of(request, decision, reference="100000000001", now=NOON)).data
    assert (outcome, None, None, NOON + timedelta(minutes=due)) == (
        data.outcome,
        data.starts_at,
        data.slot_minutes,
        data.due,
    )
    assert HeldHour(begins=NOON + HOUR, come_by=NOON + 2 * HOUR, taken=2, patients=3) == data.hour
    assert data.next_step.startswith(
        "Service S1 holds a place in the hour from 13:00; 2 of 3 taken. Somebody should have come by 14:00. "
    )


def test_an_hour_of_another_day_is_named_with_its_day() -> None:
    """On the clock of London."""
    request = requested(1, "S1", minutes=1440)
    [decision] = allocate([request], {"S1": team((20 * 60, 60, 3))}, NOON)
    data = outcome_of(request, decision, reference="100000000001", now=NOON).data
    assert data.next_step.startswith("Service S1 holds a place in the hour from 08:00 on 15 January; 1 of 3 taken.")
