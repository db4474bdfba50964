"""Who asks which receiver, and who gives back what: leases of some seconds, which several replicas share.

Of each receiver only so many are leased at once, over all replicas, so that a slow one holds up nobody but those who
ask it. One that has failed some times in a row is left alone for a while; then one placement tries.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from contracts.bookings import Tried
from contracts.placements import BookingRequested
from services.booking.answers import NotGot, Wanted
from services.booking.diary import LeanTried
from services.booking.settings import BookingSettings
from services.chassis.database import Database
from services.chassis.lean import lean

TAKE_ENDED = """
-- Those that need no answer any more, and why. Their receivers are not called.
with next as (
    select a.placement_id, d.service_id is not null as listed
    from asking a join receivers r using (receiver)
    left join diaries d on d.service_id = a.service_id and d.address = a.address and d.active
    where a.due_at <= $1 and (
        a.over or a.last_at < $1 or d.service_id is null or r.left_alone_until > $1
        or a.key is null and a.give_up_at <= $1
    )
    order by a.placement_id limit $4 for update of a skip locked
), leased as (
    update asking a set lease = $2, due_at = $3 from next where a.placement_id = next.placement_id
    returning a.*, next.listed
)
select l.*, k.starts_at, k.minutes from leased l left join elsewhere k on k.key = l.key
"""

LOCK_RECEIVERS = """
-- Receivers of which something is due: whoever holds their rows counts and takes, others pass on.
select receiver from receivers r
where coalesce(r.left_alone_until <= $1, true) and (
    exists (select from asking a where a.receiver = r.receiver and a.due_at <= $1)
    or exists (select from elsewhere e where e.receiver = r.receiver and e.state = 'undoing' and e.due_at <= $1)
)
order by receiver for update skip locked
"""

TAKE = """
-- Of each receiver as many as may be asked at once over all replicas, the first to come first; one that has failed too
-- often is asked for one. In a statement of its own after the lock, so that every lease is seen.
with room as (
    select r.receiver, case when r.failures < $6 then $5 else 1 end - (
        select count(*) from asking a where a.receiver = r.receiver and a.lease is not null and a.due_at > $1
    ) as free
    from receivers r where r.receiver = any($4::text[])
), next as (
    select n.placement_id from room cross join lateral (
        select a.placement_id from asking a where a.receiver = room.receiver and a.due_at <= $1
        order by a.since, a.placement_id limit greatest(room.free, 0) for update skip locked
    ) n
), leased as (
    update asking a set lease = $2, due_at = $3 from next where a.placement_id = next.placement_id returning a.*
)
select l.*, k.starts_at, k.minutes from leased l left join elsewhere k on k.key = l.key
"""

STAYS_LOUD = """
-- What is asked for again under these keys may take effect as much later.
update elsewhere set quiet_at = $2 where key = any($1::uuid[])
"""

TAKE_BACK = """
-- Of each receiver one booking at a time is given back, the longest due first.
with next as (
    select n.key from unnest($4::text[]) r (receiver) cross join lateral (
        select e.key from elsewhere e where e.receiver = r.receiver and e.state = 'undoing' and e.due_at <= $1
            and not exists (
                select from elsewhere o where o.receiver = r.receiver and o.state = 'undoing' and o.lease is not null
                    and o.due_at > $1
            )
        order by e.due_at limit 1 for update skip locked
    ) n
), leased as (
    update elsewhere e set lease = $2, due_at = $3 from next where e.key = next.key returning e.*
)
select l.key, l.receiver, l.tries, l.lease, coalesce(d.address, l.address) as address
from leased l left join diaries d using (service_id)
"""

GIVEN_BACK = """
-- The receiver says that it holds nothing under this key. Where what was sent before may still take effect, it is given
-- back once more when it cannot.
update elsewhere set lease = null,
    state = case when quiet_at <= $3 then 'undone' else 'undoing' end,
    due_at = case when quiet_at <= $3 then null else quiet_at end
where key = $1 and lease = $2 and state = 'undoing'
"""

NOT_GIVEN_BACK = """
update elsewhere set lease = null, due_at = $3, tries = tries + 1 where key = $1 and lease = $2 and state = 'undoing'
"""

ANSWERED = """
update receivers set failures = 0, left_alone_until = null where receiver = $1 and failures > 0
"""

FAILED = """
update receivers set failures = failures + 1, left_alone_until = case when failures + 1 >= $3 then $2::timestamptz end
where receiver = $1
"""

COUNT = """
select *, (select count(*) from receivers where left_alone_until > clock_timestamp())
from (select count(*), coalesce(extract(epoch from clock_timestamp() - min(since)), 0) from asking) a,
    (
        select count(*), coalesce(extract(epoch from clock_timestamp() - min(given_up_at)), 0)
        from elsewhere where state = 'undoing'
    ) u
"""

_REQUESTED = lean(BookingRequested)
_TRIED = msgspec.json.Decoder(tuple[LeanTried, ...])  # type: ignore[valid-type]
AT_ONCE = 200
LONGEST_PAUSE_SECONDS = 300
LEASE_MARGIN = timedelta(seconds=5)
"""A lease lasts so much longer than what is done under it."""


class Asked(NamedTuple):
    """A placement that asks, under a lease."""

    placement_id: UUID
    request: BookingRequested
    tried: tuple[Tried, ...]
    place: int
    service_id: str
    receiver: str
    address: str
    latest_start: datetime
    last_at: datetime
    lease: UUID
    wanted: Wanted | None
    """What another asked for before, whose lease ran out."""


class GivenUp(NamedTuple):
    """A booking that is given back, under a lease."""

    key: UUID
    receiver: str
    address: str
    tries: int
    lease: UUID


class Taken(NamedTuple):
    """What one process does next."""

    ended: Sequence[tuple[Asked, NotGot]]
    asked: Sequence[Asked]
    given_up: Sequence[GivenUp]


class Leases:
    """What is leased, in PostgreSQL."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID],
        settings: BookingSettings,
    ) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._settings = settings

    async def take(self) -> Taken:
        """Take what is due and nobody else has, under a new lease."""
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            now, lease = self._clock(), self._new_id()
            until = now + timedelta(seconds=self._settings.receiver_ask_seconds) + LEASE_MARGIN
            ended = await connection.fetch(TAKE_ENDED, now, lease, until, AT_ONCE)
            rows: list[asyncpg.Record] = []
            back: list[asyncpg.Record] = []
            receivers = [row["receiver"] for row in await connection.fetch(LOCK_RECEIVERS, now)]
            if receivers:
                most, failures = self._settings.receiver_at_once, self._settings.receiver_failures
                rows = await connection.fetch(TAKE, now, lease, until, receivers, most, failures)
                again = [row["key"] for row in rows if row["key"] is not None]
                await connection.execute(STAYS_LOUD, again, quiet_at(now, self._settings))
                back = await connection.fetch(TAKE_BACK, now, lease, until, receivers)
        return Taken(
            [(_asked(row), NotGot("its diary did not answer" if row["listed"] else "not active")) for row in ended],
            [_asked(row) for row in rows],
            [GivenUp(row["key"], row["receiver"], row["address"], row["tries"], row["lease"]) for row in back],
        )

    async def given_back(self, one: GivenUp) -> None:
        """The receiver says that it holds nothing under this key."""
        await self._database.pool.execute(GIVEN_BACK, one.key, one.lease, self._clock())

    async def not_given_back(self, one: GivenUp) -> None:
        """It said nothing that could be believed: it is asked again, after growing pauses."""
        again = self._clock() + timedelta(seconds=min(2**one.tries, LONGEST_PAUSE_SECONDS))
        await self._database.pool.execute(NOT_GIVEN_BACK, one.key, one.lease, again)

    async def answered(self, receiver: str) -> None:
        """A receiver answered: whatever it failed before is forgotten."""
        await self._database.pool.execute(ANSWERED, receiver)

    async def failed(self, receiver: str) -> None:
        """A receiver failed once more; failing often, it is left alone for a while."""
        until = self._clock() + timedelta(seconds=self._settings.receiver_left_alone_seconds)
        await self._database.pool.execute(FAILED, receiver, until, self._settings.receiver_failures)

    async def count(self) -> Sequence[float]:
        """How many ask and for how long the oldest; what is given back, and for how long; receivers left alone."""
        (row,) = await self._database.pool.fetch(COUNT)
        return [float(one) for one in row]


def _asked(row: asyncpg.Record) -> Asked:
    wanted = None
    if row["key"] is not None:
        wanted = Wanted(row["key"], row["service_id"], row["starts_at"], row["minutes"])
    return Asked(
        row["placement_id"],
        _REQUESTED.read(row["request"].encode()),
        _TRIED.decode(row["tried"]),
        row["place"],
        row["service_id"],
        row["receiver"],
        row["address"],
        row["latest_start"],
        row["last_at"],
        row["lease"],
        wanted,
    )


def quiet_at(now: datetime, settings: BookingSettings) -> datetime:
    """When a call that is made under a lease of now can take effect no more."""
    return now + timedelta(seconds=settings.receiver_ask_seconds + settings.receiver_quiet_seconds)
