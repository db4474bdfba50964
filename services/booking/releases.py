"""Releases: what a placement held is given back, once, under the lock of its diary."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import asyncpg

from contracts.bookings import BookingReleased, Held
from contracts.referrals import BookingWithdrawn
from services.booking.asking import Asking
from services.booking.outcome import SOURCE
from services.booking.waiting import WaitingList
from services.chassis.database import Connection, Database
from services.chassis.failures import Poison, Transient

BOOKED = """
-- What is held under each reference, or was, and what was told when it was given back.
select reference, placement_id, service_id, starts_at, released from bookings where reference = any($1::text[])
"""

LOCK = """
-- From here to the commit what these diaries hold is ours. In the order in which settling locks them; here those that
-- take patients without slots too, so that two withdrawals of one booking come one after the other.
select from diaries where service_id = any($1::text[]) order by service_id for no key update
"""

GIVE_BACK = """
-- Under the lock of the diaries: each booking is released once, and its slot holds one patient less.
with given_back as (
    update bookings b set released_at = $1, released = r.told
    from unnest($2::text[], $3::text[]) r (reference, told)
    where b.reference = r.reference and b.released_at is null
    returning b.service_id, b.starts_at, b.elsewhere
), freed as (
    update slots s set held = s.held - g.patients
    from (
        select service_id, starts_at, count(*) patients from given_back
        where starts_at is not null and elsewhere is null group by 1, 2
    ) g
    where s.service_id = g.service_id and s.starts_at = g.starts_at
    returning g.patients
), undoing as (
    -- What a receiver holds in its own diary is given back there, after this.
    update elsewhere k set state = 'undoing', due_at = $1, given_up_at = $1
    from given_back g where k.key = g.elsewhere and k.state = 'held'
    returning k.key
)
select count(*) = cardinality($2::text[])
    and count(starts_at) filter (where elsewhere is null) = (select coalesce(sum(patients), 0) from freed)
    and count(elsewhere) = (select count(*) from undoing) as all_given_back
from given_back
"""


class Releases:
    """What becomes of bookings that no longer count."""

    def __init__(
        self,
        database: Database,
        waiting: WaitingList,
        asking: Asking,
        changed: set[str],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """`changed` is told of the diaries that have room again."""
        self._database = database
        self._waiting = waiting
        self._asking = asking
        self._changed = changed
        self._clock = clock

    async def release(self, withdrawn: Sequence[BookingWithdrawn]) -> list[BookingReleased]:
        """Give back what each names; what was told of its release before is told again. One event a booking.

        Raises Poison for one that names no booking of its placement.
        """
        by_reference: dict[str, BookingWithdrawn] = {}
        for event in withdrawn:
            by_reference.setdefault(event.data.reference, event)
        references = sorted(by_reference)
        booked = {row["reference"]: row for row in await self._database.pool.fetch(BOOKED, references)}
        for event in withdrawn:
            of_it = booked.get(event.data.reference)
            if of_it is None or of_it["placement_id"] != event.data.placement_id:
                raise Poison(event.id, "it withdraws a booking that was never made")
        told = _told(booked.values())
        if left := [booked[reference] for reference in references if reference not in told]:
            async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
                told |= await self._give_back(connection, left, by_reference)
            self._waiting.wake()
            self._asking.woken.set()
            self._changed.update(row["service_id"] for row in left if row["starts_at"] is not None)
        return [told[reference] for reference in by_reference]

    async def _give_back(
        self, connection: Connection, booked: Sequence[asyncpg.Record], causes: dict[str, BookingWithdrawn]
    ) -> dict[str, BookingReleased]:
        await connection.execute(LOCK, sorted({row["service_id"] for row in booked}))
        # Another process may have given some of them back before this one had the lock.
        seen = await connection.fetch(BOOKED, [row["reference"] for row in booked])
        told = _told(seen)
        now = self._clock()
        new = {
            row["reference"]: BookingReleased.effect_of(
                causes[row["reference"]],
                Held(
                    placement_id=row["placement_id"],
                    reference=row["reference"],
                    service_id=row["service_id"],
                    starts_at=row["starts_at"],
                ),
                source=SOURCE,
                time=now,
            )
            for row in seen
            if row["reference"] not in told
        }
        stored = [event.to_json().decode() for event in new.values()]
        if new and not await connection.fetchval(GIVE_BACK, now, list(new), stored):
            raise Transient("a booking or its slot changed although its diary was locked")
        await self._waiting.give(connection, sorted({row["service_id"] for row in booked if row["starts_at"]}), now)
        return told | new


def _told(booked: Iterable[asyncpg.Record]) -> dict[str, BookingReleased]:
    """By reference, what was told of those that were given back."""
    return {
        row["reference"]: BookingReleased.read(row["released"].encode())
        for row in booked
        if row["released"] is not None
    }
