"""Opening hours drawn at random around the nights when London's clocks change, and a plain reading to compare with."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from contracts.directory import DAYS, OpeningHours, OpeningPeriod, SpecifiedDate

clock_times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 45])) | st.just("24:00")
near_changes = st.dates(date(2026, 3, 26), date(2026, 4, 1)) | st.dates(date(2026, 10, 22), date(2026, 10, 28))
opening_hours = st.builds(
    OpeningHours,
    always=st.booleans(),
    periods=st.lists(
        st.builds(
            OpeningPeriod,
            days=st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True).map(tuple),
            opens=clock_times,
            closes=clock_times,
        ),
        max_size=3,
    ).map(tuple),
    dates=st.lists(
        st.builds(
            SpecifiedDate,
            on=near_changes,
            periods=st.lists(st.tuples(clock_times, clock_times), max_size=2).map(tuple),
        ),
        max_size=3,
        unique_by=lambda special: special.on,
    ).map(tuple),
)


def plainly_open(hours: OpeningHours, at: datetime) -> bool:
    """Whether it is open, by walking the clock minute by minute from two days before; slow and plain."""
    special = {entry.on: entry.periods for entry in hours.dates}
    london = ZoneInfo("Europe/London")
    spells: list[tuple[datetime, datetime]] = []
    for back in (2, 1, 0):
        day = at.astimezone(london).date() - timedelta(days=back)
        if day in special:
            periods = list(special[day])
        elif hours.always:
            periods = [("00:00", "24:00")]
        else:
            periods = [(p.opens, p.closes) for p in hours.periods if DAYS[day.weekday()] in p.days]
        for opens, closes in periods:
            last = day if closes >= opens else day + timedelta(days=1)
            if closes == "24:00":
                closes, last = "00:00", last + timedelta(days=1)
            first = day
            if opens == "24:00":
                opens, first = "00:00", day + timedelta(days=1)
            ends = first_shown(last, closes)
            morrow = day + timedelta(days=1)
            if day not in special and morrow in special:
                ends = min(ends, first_shown(morrow, "00:00"))
            spells.append((first_shown(first, opens), ends))
    return any(begins <= at < ends for begins, ends in spells)


def first_shown(day: date, clock: str) -> datetime:
    """The first quarter of an hour at which London's clock is at or past this time of this day."""
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=2)
    while f"{instant.astimezone(ZoneInfo('Europe/London')):%Y-%m-%d %H:%M}" < f"{day} {clock}":
        instant += timedelta(minutes=15)
    return instant
