"""The locks of diaries, and what is free under them.

Locks are taken everywhere as: diaries, the waiting list, placements that ask receivers, slots, bookings, placements,
what is kept elsewhere; several of one kind in the order of their ids.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from services.booking.diary import Diary
from services.chassis.database import Connection

LOCK_DIARIES = """
-- From here to the commit the free slots of these diaries are ours.
select * from lock_diaries($1::text[], $2::integer[], $3, $4)
"""


async def lock_diaries(
    connection: Connection, wanted: Mapping[str, int], now: datetime, lead: timedelta, latest: datetime
) -> dict[str, Diary]:
    """Lock these diaries to the end of the transaction, and read as many free slots of each as are wanted, from the
    lead from now on."""
    rows = await connection.fetch(LOCK_DIARIES, list(wanted), list(wanted.values()), now + lead, latest)
    diaries: dict[str, Diary] = {}
    for *of_diary, left_alone_until, starts_at, minutes, free in rows:
        diary = diaries.get(of_diary[0])
        if diary is None:
            diary = diaries[of_diary[0]] = Diary(*of_diary)
            diary.left_alone = left_alone_until is not None and left_alone_until > now
        if starts_at is not None:
            diary.add(starts_at, minutes, free)
    return diaries
