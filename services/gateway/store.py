"""Attempts: what an organisation asked for under a key, the event that is told of it, and the answer."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.actions import ReferralActionRequested
from contracts.submissions import ReferralSubmitted, referral_id
from services.chassis.database import Database
from services.gateway.answered import Answered
from services.gateway.gathering import Gathering

Kind = Literal["submission", "action"]
"""What an attempt asks for: that a patient is referred, or that something is done with a referral."""

INSERT = """
-- The first attempt under a key stands; the ids of the events that are new come back. A key that comes twice in one
-- batch is inserted once. Sorted, so that two batches that share keys never lock them in different orders.
insert into attempts (organisation, key, digest, referral_id, event_id, event, received_at, kind)
select * from unnest(
  $1::text[], $2::uuid[], $3::bytea[], $4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[], $8::text[]
)
on conflict (organisation, key) do nothing
returning event_id
"""

READ = """
select digest, referral_id, event_id, event, status, answer from attempts where organisation = $1 and key = $2
"""

USED = """
-- Of these keys, those that were used.
select organisation, key from attempts where (organisation, key) in (select * from unnest($1::text[], $2::uuid[]))
"""

LEFT = """
-- What was taken in of a kind since a moment and has no answer yet.
select event_id, extract(epoch from $2 - received_at)::float8 as age from attempts
where received_at > $1 and answer is null and kind = $4 order by received_at limit $3
"""

UNANSWERED = """
-- Of these transactions, those that an attempt of ours of this kind began and that have no answer yet.
select event_id from attempts where event_id = any($1::uuid[]) and answer is null and kind = $2
"""

ANSWER = """
-- The first answer stands. Rows are locked in one order, so that two writers never wait for each other in a circle.
with settled as (
  select a.event_id, o.answer, o.status
  from attempts a join unnest($1::uuid[], $2::text[], $4::smallint[]) o (event_id, answer, status)
    on o.event_id = a.event_id
  where a.answer is null
  order by a.event_id
  for no key update of a
)
update attempts a set answer = settled.answer, status = settled.status, answered_at = $3
from settled where a.event_id = settled.event_id
"""

LANES = 2
"""Inserts under way at a time: with more, batches stay small; with one, each waits for the one before."""

LARGEST_BATCH = 500

Key = tuple[str, UUID]
"""An organisation, and what it names an attempt by."""


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """What a request asks for, before it is known whether its key was used."""

    organisation: str
    key: UUID
    digest: bytes
    event: ReferralSubmitted | ReferralActionRequested

    @property
    def kind(self) -> Kind:
        """By its event."""
        return "submission" if isinstance(self.event, ReferralSubmitted) else "action"


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """What stands under a key."""

    digest: bytes
    referral_id: UUID
    event_id: UUID
    event: str
    answer: Answered | None


class Attempts:
    """The table of attempts. Requests that come while the database is at work are inserted together."""

    def __init__(self, database: Database, *, seconds: float) -> None:
        """`seconds`: how long the database may take over one request; past it TimeoutError is raised."""
        self._database = database
        self._seconds = seconds
        self._inserts: Gathering[NewAttempt, bool] = Gathering(self._insert, lanes=LANES, largest=LARGEST_BATCH)
        self._glances: Gathering[Key, bool] = Gathering(self._used, lanes=1, largest=LARGEST_BATCH)

    async def put(self, attempt: NewAttempt) -> bool:
        """Store the attempt; whether its key was new. Otherwise what stands under the key is unchanged."""
        async with asyncio.timeout(self._seconds):
            return await self._inserts.serve(attempt)

    async def _insert(self, batch: Sequence[NewAttempt]) -> Sequence[bool]:
        rows = sorted(batch, key=lambda attempt: (attempt.organisation, attempt.key))
        inserted = await self._database.pool.fetch(
            INSERT,
            [row.organisation for row in rows],
            [row.key for row in rows],
            [row.digest for row in rows],
            [referral_id(row.event) for row in rows],
            [row.event.id for row in rows],
            [row.event.to_json().decode() for row in rows],
            [row.event.time for row in rows],
            [row.kind for row in rows],
        )
        new = {row["event_id"] for row in inserted}
        return [attempt.event.id in new for attempt in batch]

    async def find(self, organisation: str, key: UUID) -> StoredAttempt | None:
        """What stands under the key; None when nothing was received under it."""
        async with asyncio.timeout(self._seconds):
            row = await self._database.pool.fetchrow(READ, organisation, key)
        if row is None:
            return None
        answer = None if row["answer"] is None else Answered(row["answer"].encode(), row["status"])
        return StoredAttempt(row["digest"], row["referral_id"], row["event_id"], row["event"], answer)

    async def read(self, organisation: str, key: UUID) -> StoredAttempt:
        """What stands under the key. There must be an attempt."""
        found = await self.find(organisation, key)
        if found is None:
            raise LookupError(f"no attempt under the key {key}")
        return found

    async def stands_under(self, organisation: str, key: UUID, *, seconds: float) -> bool:
        """Whether the key was used, as far as the database says so within these seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._glances.serve((organisation, key))
        return False

    async def _used(self, keys: Sequence[Key]) -> Sequence[bool]:
        organisations, own = zip(*keys, strict=True)
        used = {(row["organisation"], row["key"]) for row in await self._database.pool.fetch(USED, organisations, own)}
        return [key in used for key in keys]

    async def left(self, kind: Kind, since: datetime, now: datetime, limit: int) -> list[tuple[UUID, float]]:
        """Transactions of a kind without an answer that were received since then, each with its age in seconds."""
        rows = await self._database.pool.fetch(LEFT, since, now, limit, kind)
        return [(row["event_id"], row["age"]) for row in rows]

    async def unanswered(self, kind: Kind, transactions: Sequence[UUID]) -> set[UUID]:
        """Those of the transactions (ids of the attempts' events) of a kind that wait for their answer here."""
        return {row["event_id"] for row in await self._database.pool.fetch(UNANSWERED, transactions, kind)}

    async def answer(self, answers: Mapping[UUID, Answered], now: datetime) -> None:
        """Store each transaction's answer, unless it has one."""
        bodies, statuses = [one.body.decode() for one in answers.values()], [one.status for one in answers.values()]
        await self._database.pool.execute(ANSWER, list(answers), bodies, now, statuses)
