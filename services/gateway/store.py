"""Attempts: what an organisation asked for under a key, the event that is told of it, and the answer."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts.submissions import ReferralSubmitted, referral_id
from services.chassis.database import Database
from services.gateway.gathering import Gathering

INSERT = """
-- The first attempt under a key stands; the ids of the events that are new come back. A key that comes twice in one
-- batch is inserted once. Sorted, so that two batches that share keys never lock them in different orders.
insert into attempts (organisation, key, digest, referral_id, event_id, event, received_at)
select * from unnest($1::text[], $2::uuid[], $3::bytea[], $4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[])
on conflict (organisation, key) do nothing
returning event_id
"""

READ = """
select digest, referral_id, event_id, event, answer from attempts where organisation = $1 and key = $2
"""

LEFT = """
-- What was taken in since a moment and has no answer yet.
select event_id, extract(epoch from $2 - received_at)::float8 as age from attempts
where received_at > $1 and answer is null order by received_at limit $3
"""

UNANSWERED = """
-- Of these transactions, those that an attempt of ours began and that have no answer yet.
select event_id from attempts where event_id = any($1::uuid[]) and answer is null
"""

ANSWER = """
-- The first answer stands. Rows are locked in one order, so that two writers never wait for each other in a circle.
with settled as (
  select a.event_id, o.answer
  from attempts a join unnest($1::uuid[], $2::text[]) o (event_id, answer) on o.event_id = a.event_id
  where a.answer is null
  order by a.event_id
  for no key update of a
)
update attempts a set answer = settled.answer, answered_at = $3
from settled where a.event_id = settled.event_id
"""

LANES = 2
"""Inserts under way at a time: with more, batches stay small; with one, each waits for the one before."""

LARGEST_BATCH = 500


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """What a request asks for, before it is known whether its key was used."""

    organisation: str
    key: UUID
    digest: bytes
    event: ReferralSubmitted


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """What stands under a key."""

    digest: bytes
    referral_id: UUID
    event_id: UUID
    event: str
    answer: str | None


class Attempts:
    """The table of attempts. Requests that come while the database is at work are inserted together."""

    def __init__(self, database: Database, *, seconds: float) -> None:
        """`seconds`: how long the database may take over one request; past it TimeoutError is raised."""
        self._database = database
        self._seconds = seconds
        self._inserts: Gathering[NewAttempt, bool] = Gathering(self._insert, lanes=LANES, largest=LARGEST_BATCH)

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
        )
        new = {row["event_id"] for row in inserted}
        return [attempt.event.id in new for attempt in batch]

    async def find(self, organisation: str, key: UUID) -> StoredAttempt | None:
        """What stands under the key; None when nothing was received under it."""
        async with asyncio.timeout(self._seconds):
            row = await self._database.pool.fetchrow(READ, organisation, key)
        if row is None:
            return None
        return StoredAttempt(row["digest"], row["referral_id"], row["event_id"], row["event"], row["answer"])

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
                return await self.find(organisation, key) is not None
        return False

    async def left(self, since: datetime, now: datetime, limit: int) -> list[tuple[UUID, float]]:
        """Transactions without an answer that were received since then, each with its age in seconds."""
        rows = await self._database.pool.fetch(LEFT, since, now, limit)
        return [(row["event_id"], row["age"]) for row in rows]

    async def unanswered(self, transactions: Sequence[UUID]) -> set[UUID]:
        """Those of the transactions (ids of submissions' events) that wait for their answer here."""
        return {row["event_id"] for row in await self._database.pool.fetch(UNANSWERED, transactions)}

    async def answer(self, answers: Mapping[UUID, str], now: datetime) -> None:
        """Store each transaction's answer, unless it has one."""
        await self._database.pool.execute(ANSWER, list(answers), list(answers.values()), now)
