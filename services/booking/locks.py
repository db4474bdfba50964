"""The locks of diaries, and what is free under them. Taken everywhere as: diaries, the waiting list, slots, bookings,
placements; several of one kind in the order of their ids."""

from collections.abc import Mapping
from datetime import datetime

from services.booking.diary import Diary
from services.chassis.database import Connection

LOCK_DIARIES = """
-- From here to the commit the free slots of these diaries are ours.
select * from lock_diaries($1::text[], $2::integer[], $3, $4)
"""


async def lock_diaries(
    connection: Connection, wanted: Mapping[str, int], earliest: datetime, latest: datetime
) -> dict[str, Diary]:
    """Lock these diaries to the end of the transaction, and read as many free slots of each as are wanted."""
    rows = await connection.fetch(LOCK_DIARIES, list(wanted), list(wanted.values()), earliest, latest)
    diaries: dict[str, Diary] = {}
    for *of_diary, starts_at, minutes, free in rows:
        diary = diaries.get(of_diary[0])
        if diary is None:
            diary = diaries[of_diary[0]] = Diary(*of_diary)
        if starts_at is not None:
            diary.add(starts_at, minutes, free)
    return diaries
