"""Opening hours: typed-in instants, the clock changes, and a plain minute-by-minute reading to compare with."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.directory import DAYS, OpeningHours, OpeningPeriod, SpecifiedDate
from contracts.opening_hours import Timetable
from tests.plain_hours import near_changes, opening_hours, plainly_open

WEEKDAYS = DAYS[:5]


def utc(text: str) -> datetime:
    """An instant from `2026-03-28 09:00`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(opens: str, closes: str, days: tuple[str, ...] = DAYS) -> OpeningHours:
    """Hours with one weekly period."""
    return OpeningHours.model_validate(
        {"periods": ({"days": days, "opens": opens, "closes": closes},)},
    )


def answer(hours: OpeningHours, now: str) -> tuple[bool, str | None]:
    """Whether it is open, and until when where it is."""
    spell = Timetable(hours).at(utc(now))
    if not spell.is_open:
        return False, None
    return True, None if spell.ends is None else f"{spell.ends:%Y-%m-%d %H:%M}"


ORDINARY = weekly("08:00", "20:00")
NIGHT = weekly("22:00", "06:00")
OFFICE = weekly("09:00", "17:00", WEEKDAYS)
ROUND_THE_CLOCK = weekly("00:00", "24:00")
SHIFTS = OpeningHours(
    periods=(
        OpeningPeriod(days=DAYS, opens="07:30", closes="19:30"),
        OpeningPeriod(days=DAYS, opens="19:30", closes="07:30"),
    )
)
CHRISTMAS = SpecifiedDate(on=date(2026, 12, 25))


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        # Winter: London is UTC.
        (ORDINARY, "2026-01-14 07:59", (False, None)),
        (ORDINARY, "2026-01-14 08:00", (True, "2026-01-14 20:00")),
        (ORDINARY, "2026-01-14 19:59", (True, "2026-01-14 20:00")),
        (ORDINARY, "2026-01-14 20:00", (False, None)),
        # Summer: London is an hour ahead of UTC.
        (ORDINARY, "2026-07-15 06:59", (False, None)),
        (ORDINARY, "2026-07-15 07:00", (True, "2026-07-15 19:00")),
        (ORDINARY, "2026-07-15 19:00", (False, None)),
        # Days of the week; 16 January 2026 is a Friday.
        (OFFICE, "2026-01-16 16:59", (True, "2026-01-16 17:00")),
        (OFFICE, "2026-01-17 12:00", (False, None)),
        # In summer Sunday 23:30 UTC is already Monday 00:30 in London.
        (weekly("00:00", "01:00", ("mon",)), "2026-07-12 23:30", (True, "2026-07-13 00:00")),
        # No hours at all.
        (OpeningHours(), "2026-01-14 12:00", (False, None)),
    ],
)
def test_weekly_hours(hours: OpeningHours, now: str, expected: tuple[bool, str | None]) -> None:
    """Weekly hours are clock times of London, the opening minute included and the closing one not."""
    assert expected == answer(hours, now)


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        (NIGHT, "2026-01-14 23:00", (True, "2026-01-15 06:00")),
        (NIGHT, "2026-01-15 05:59", (True, "2026-01-15 06:00")),
        (NIGHT, "2026-01-15 06:00", (False, None)),
        # A Friday night's period runs into Saturday, and there is none on Saturday night.
        (weekly("22:00", "06:00", ("fri",)), "2026-01-17 03:00", (True, "2026-01-17 06:00")),
        (weekly("22:00", "06:00", ("fri",)), "2026-01-17 23:00", (False, None)),
        (weekly("22:00", "06:00", ("fri",)), "2026-01-16 03:00", (False, None)),
        # 24:00 is the end of the day, and a period of the next day carries on from it.
        (weekly("18:00", "24:00"), "2026-01-14 23:59", (True, "2026-01-15 00:00")),
        (weekly("18:00", "24:00"), "2026-01-15 00:00", (False, None)),
        (SHIFTS, "2026-01-15 00:00", (True, None)),
        (ROUND_THE_CLOCK, "2026-01-15 00:00", (True, None)),
    ],
)
def test_past_midnight(hours: OpeningHours, now: str, expected: tuple[bool, str | None]) -> None:
    """A period that ends before it begins runs into the next day; periods that touch are one."""
    assert expected == answer(hours, now)


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        # 29 March 2026: at 01:00 UTC the clock jumps from 01:00 to 02:00.
        (NIGHT, "2026-03-28 23:00", (True, "2026-03-29 05:00")),
        (weekly("01:30", "05:00"), "2026-03-29 00:59", (False, None)),
        (weekly("01:30", "05:00"), "2026-03-29 01:00", (True, "2026-03-29 04:00")),
        (weekly("20:00", "01:30"), "2026-03-29 00:59", (True, "2026-03-29 01:00")),
        (weekly("20:00", "01:30"), "2026-03-29 01:00", (False, None)),
        (weekly("01:00", "02:00"), "2026-03-29 01:00", (False, None)),
        # 25 October 2026: at 01:00 UTC the clock goes from 02:00 back to 01:00.
        (NIGHT, "2026-10-24 22:00", (True, "2026-10-25 06:00")),
        (weekly("20:00", "01:30"), "2026-10-25 00:29", (True, "2026-10-25 00:30")),
        (weekly("20:00", "01:30"), "2026-10-25 00:30", (False, None)),
        (weekly("01:30", "05:00"), "2026-10-25 00:30", (True, "2026-10-25 05:00")),
        (weekly("02:00", "05:00"), "2026-10-25 01:30", (False, None)),
        (weekly("02:00", "05:00"), "2026-10-25 02:00", (True, "2026-10-25 05:00")),
        # Round the clock stays round the clock.
        (ROUND_THE_CLOCK, "2026-03-29 00:59", (True, None)),
        (ROUND_THE_CLOCK, "2026-10-25 01:00", (True, None)),
    ],
)
def test_clock_changes(hours: OpeningHours, now: str, expected: tuple[bool, str | None]) -> None:
    """A clock time is the first instant at which the clock shows it, or jumps over it."""
    assert expected == answer(hours, now)


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        (OpeningHours(always=True), "2026-12-25 12:00", (True, None)),
        (OpeningHours(always=True, dates=(CHRISTMAS,)), "2026-12-25 12:00", (False, None)),
        (OpeningHours(always=True, dates=(CHRISTMAS,)), "2026-06-01 12:00", (True, "2026-12-25 00:00")),
        (OpeningHours(always=True, dates=(CHRISTMAS,)), "2026-12-26 00:00", (True, None)),
        # Always stands over weekly periods.
        (OFFICE.model_copy(update={"always": True}), "2026-01-17 03:00", (True, None)),
        # Hours of a date in place of the week's, in summer time and across midnight.
        (
            OpeningHours(always=True, dates=(SpecifiedDate(on=date(2026, 8, 31), periods=(("10:00", "14:00"),)),)),
            "2026-08-31 12:59",
            (True, "2026-08-31 13:00"),
        ),
        (
            ORDINARY.model_copy(
                update={"dates": (SpecifiedDate(on=date(2026, 12, 31), periods=(("20:00", "02:00"),)),)}
            ),
            "2027-01-01 01:59",
            (True, "2027-01-01 02:00"),
        ),
        (
            ORDINARY.model_copy(
                update={"dates": (SpecifiedDate(on=date(2026, 12, 31), periods=(("20:00", "02:00"),)),)}
            ),
            "2026-12-31 12:00",
            (False, None),
        ),
        # A closed day is closed from 00:00, even where the night before would run into it ...
        (NIGHT.model_copy(update={"dates": (CHRISTMAS,)}), "2026-12-24 23:00", (True, "2026-12-25 00:00")),
        (NIGHT.model_copy(update={"dates": (CHRISTMAS,)}), "2026-12-25 03:00", (False, None)),
        (NIGHT.model_copy(update={"dates": (CHRISTMAS,)}), "2026-12-26 03:00", (False, None)),
        # ... unless the night before is of a specified date itself.
        (
            OpeningHours(
                dates=(
                    SpecifiedDate(on=date(2026, 12, 31), periods=(("20:00", "02:00"),)),
                    SpecifiedDate(on=date(2027, 1, 1)),
                )
            ),
            "2027-01-01 01:00",
            (True, "2027-01-01 02:00"),
        ),
        # Shifts round the clock begin again at 07:30 after a closed day.
        (SHIFTS.model_copy(update={"dates": (CHRISTMAS,)}), "2026-12-26 03:00", (False, None)),
        (SHIFTS.model_copy(update={"dates": (CHRISTMAS,)}), "2026-12-26 07:30", (True, None)),
        # A specified date that is open to the end hands over to what the weekly hours have, and no more.
        (
            SHIFTS.model_copy(update={"dates": (SpecifiedDate(on=date(2026, 12, 25), periods=(("00:00", "24:00"),)),)}),
            "2026-12-25 12:00",
            (True, "2026-12-26 00:00"),
        ),
        # The last day of the calendar has no morrow, and is left out.
        (OpeningHours(always=True, dates=(SpecifiedDate(on=date.max),)), "2026-01-14 12:00", (True, None)),
    ],
)
def test_the_most_specific_hours_win(hours: OpeningHours, now: str, expected: tuple[bool, str | None]) -> None:
    """Specified dates stand over always open, and always open over the weekly periods."""
    assert expected == answer(hours, now)


HOLIDAY = frozenset({date(2026, 5, 25)})
"""A Monday."""
SHORT = NIGHT.model_copy(update={"public_holidays": (("10:00", "12:00"),)})


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        # 25 May 2026 is in summer time: London is an hour ahead of UTC.
        (SHORT, "2026-05-25 09:30", (True, "2026-05-25 11:00")),
        (SHORT, "2026-05-25 22:00", (False, None)),
        # The night before stops at midnight, and the holiday's own hours begin where they begin.
        (SHORT, "2026-05-24 22:00", (True, "2026-05-24 23:00")),
        (SHORT, "2026-05-25 02:00", (False, None)),
        (SHORT, "2026-05-26 22:00", (True, "2026-05-27 05:00")),
        # Closed on holidays; as on any other day where nothing is said.
        (NIGHT.model_copy(update={"public_holidays": ()}), "2026-05-25 22:00", (False, None)),
        (NIGHT, "2026-05-25 22:00", (True, "2026-05-26 05:00")),
        # Always open stands over them, and so does a specified date.
        (SHORT.model_copy(update={"always": True}), "2026-05-25 22:00", (True, None)),
        (
            SHORT.model_copy(update={"dates": (SpecifiedDate(on=date(2026, 5, 25), periods=(("20:00", "21:00"),)),)}),
            "2026-05-25 09:30",
            (False, None),
        ),
        # Shifts round the clock pause for a holiday, and it is known beforehand when.
        (SHIFTS.model_copy(update={"public_holidays": ()}), "2026-05-20 12:00", (True, "2026-05-24 23:00")),
    ],
)
def test_public_holidays(hours: OpeningHours, now: str, expected: tuple[bool, str | None]) -> None:
    """They stand over the weekly periods, and under always open and specified dates."""
    spell = Timetable(hours, HOLIDAY).at(utc(now))
    assert expected == (
        spell.is_open,
        None if not spell.is_open or spell.ends is None else f"{spell.ends:%Y-%m-%d %H:%M}",
    )


def test_an_earlier_answer_is_not_given_again_after_it_ended() -> None:
    """One timetable asked at several instants, also backwards, answers each of them afresh."""
    timetable = Timetable(ORDINARY)
    instants = ["07:00", "12:00", "13:00", "20:30", "12:00", "07:00"]
    expected = [False, True, True, False, True, False]
    assert expected == [timetable.at(utc(f"2026-01-14 {clock}")).is_open for clock in instants]


@given(
    hours=opening_hours,
    at=st.tuples(near_changes, st.integers(0, 95)).map(
        lambda drawn: (
            datetime(drawn[0].year, drawn[0].month, drawn[0].day, tzinfo=UTC) + timedelta(minutes=15 * drawn[1])
        )
    ),
)
def test_agrees_with_a_plain_reading_around_the_clock_changes(hours: OpeningHours, at: datetime) -> None:
    """Open as a slow walk along the clock says, and for as long, wherever it is asked."""
    spell = Timetable(hours).at(at)
    assert plainly_open(hours, at) == spell.is_open
    if spell.ends is None:
        instants = [at + timedelta(hours=6 * step) for step in range(1, 20)]
        assert all(plainly_open(hours, instant) for instant in instants)
    elif spell.is_open:
        assert plainly_open(hours, spell.ends - timedelta(minutes=15))
        assert not plainly_open(hours, spell.ends)
    else:
        assert not plainly_open(hours, spell.ends - timedelta(minutes=15))
