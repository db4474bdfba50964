"""Hours: how many patients a service without slots takes in each hour in which it is open. Pure: values in, values out.

Each hour is a slot of its diary, and is held, given back and waited for as any.
"""

from datetime import datetime, timedelta

from contracts.bookings import HeldHour
from contracts.opening_hours import DAY, LONDON, Timetable
from services.booking.slots import Slot
from services.chassis.lean import lean

LeanHour = lean(HeldHour)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def hours_between(timetable: Timetable, patients_an_hour: int, begin: datetime, end: datetime) -> list[Slot]:
    """The hours of a service that begin from `begin` until before `end`, in order.

    They are the hours of the clock, on which London and UTC agree also where clocks change. Of one in which the service
    opens or closes there is the part in which it is open, for its share of the patients, rounded down; for none of
    them there is no hour.
    """
    hours: list[Slot] = []
    # The period that runs at the beginning may have begun the day before, on the clock of London.
    first, last = begin.astimezone(LONDON).date() - DAY, end.astimezone(LONDON).date()
    for opens, closes in timetable.open_from(first, (last - first).days + 1):
        at = max(opens, hour_of(begin))
        while at < min(closes, end):
            until = min(hour_of(at) + HOUR, closes)
            minutes = (until - at) // MINUTE
            capacity = patients_in(minutes, patients_an_hour)
            if capacity and at >= begin:
                hours.append(Slot(at, minutes, capacity))
            at = until
    return hours


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour in which it is so."""
    return at.replace(minute=0, second=0, microsecond=0)


def patients_in(minutes: int, patients_an_hour: int) -> int:
    """How many patients an hour takes of which so many minutes are open."""
    return patients_an_hour * minutes // 60


def held_hour(begins: datetime, minutes: int, left: int, patients_an_hour: int, until: datetime) -> HeldHour:
    """What a patient is told who is to be seen by `until`, and after whom so many more may still be held."""
    patients = patients_in(minutes, patients_an_hour)
    come_by = min(begins + minutes * MINUTE, until)
    return LeanHour(begins=begins, come_by=come_by, taken=patients - left, patients=patients)
