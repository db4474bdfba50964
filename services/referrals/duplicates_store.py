"""Finding referrals of one patient, in PostgreSQL: every submission is compared with those before it in the feed."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from contracts.people import Desk
from contracts.referrals import ReferralDuplicateSuspected
from services.chassis.database import Connection, Database
from services.chassis.lean import lean, written
from services.referrals.clocks import ClockTable
from services.referrals.deciding_store import Decisions
from services.referrals.duplicates import Pair, mark_of_sender, marks_of, suspected
from services.referrals.facts import Submitted

SUBMITTED = lean(Submitted)

EVERY_SECONDS = 1.0
AT_ONCE = 500
"""Submissions that are compared in one transaction."""

KEY = """
-- The key of the hashes.
select key from patient_key
"""

ALONE = """
select position from compared for update skip locked
"""

NEXT = """
-- Submissions that were not compared yet, in the order of the feed.
select position, body from facts
where type = 'referral.submitted' and position > (select position from compared) order by position limit $1
"""

FORGET = """
-- Who was referred too long ago to be taken for anybody who is referred now.
delete from patients where submitted_at < $1
"""

KEEP = """
-- By what these patients are told apart.
insert into patients (referral_id, position, submitted_at, sender, by_number, by_name, desk)
select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[])
on conflict (referral_id) do nothing
"""

PAIRS = """
-- Each of these with every one before it that may be of the same patient, and was sent by somebody else.
select * from pairs_with($1, $2)
"""

COMPARED = """
update compared set position = $1
"""

SUSPECT = """
-- Both sides of each pair, with the fact that tells it.
insert into suspicions (referral_id, other_id, match, told, due)
select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[])
"""


class Duplicates:
    """Compares what is submitted, and tells both desks of each pair once."""

    def __init__(self, database: Database, decisions: Decisions, clocks: ClockTable, *, hours: float) -> None:
        """Two referrals may be of one patient when they were sent within so many hours."""
        self._database = database
        self._decisions = decisions
        self._talk = timedelta(minutes=clocks.decide_minutes)
        self._within = timedelta(hours=hours)

    async def watch(self) -> None:
        """Compare again and again what is new, for ever; of all replicas one at a time. Raises PostgreSQL's errors.

        No connection is held between two looks: a service has few.
        """
        while True:
            while await self.compare() == AT_ONCE:
                pass
            await asyncio.sleep(EVERY_SECONDS)

    async def compare(self) -> int:
        """Compare the next submissions with those before them; returns how many were compared.

        The feed gives each submission its place, so of two that came at the same time one is before the other, and a
        pair is found once, when the later one is compared.
        """
        async with self._decisions.transaction() as connection:
            # Before anything is read: while another replica does the same, there is nothing to do here.
            if await connection.fetchrow(ALONE) is None:
                return 0
            rows = await connection.fetch(NEXT, AT_ONCE)
            if not rows:
                return 0
            key: bytes = await connection.fetchval(KEY)
            came = [(row["position"], SUBMITTED.read(row["body"].encode())) for row in rows]
            earliest = min(event.time for _, event in came)
            await connection.execute(FORGET, earliest - self._within)
            await connection.execute(KEEP, *_columns(came, key))
            found = await connection.fetch(PAIRS, [event.subject for _, event in came], self._within)
            if found:
                await self._suspect(connection, [_pair(row) for row in found])
            await connection.execute(COMPARED, rows[-1]["position"])
        self._decisions.wake()
        return len(rows)

    async def _suspect(self, connection: Connection, pairs: Sequence[Pair]) -> None:
        referrals = sorted({id for pair in pairs for id in (pair.referral, pair.other)})
        told = await self._decisions.tell(
            connection,
            referrals,
            lambda cases, now: suspected(pairs, cases, now=now, within=self._talk),
        )
        match = {(pair.referral, pair.other): pair.match for pair in pairs}
        columns: list[list[Any]] = [[], [], [], [], []]
        for event in told:
            assert isinstance(event, ReferralDuplicateSuspected)
            one, other = UUID(event.subject), event.data.other_referral
            values = one, other, match.get((one, other)) or match[other, one], event.id, event.data.due
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        await connection.execute(SUSPECT, *columns)


def _columns(came: Sequence[tuple[int, Submitted]], key: bytes) -> list[list[Any]]:
    """Arguments of KEEP."""
    marks = [marks_of(event.data.submission.patient, key) for _, event in came]
    return [
        [event.subject for _, event in came],
        [position for position, _ in came],
        [event.time for _, event in came],
        [mark_of_sender(event.data.referrer, key) for _, event in came],
        [one.by_number for one in marks],
        [one.by_name for one in marks],
        [written(event.data.desk).decode() for _, event in came],
    ]


def _pair(row: Any) -> Pair:
    return Pair(
        referral=row["referral_id"],
        other=row["other_id"],
        match=row["match"],
        desk=Desk.model_validate_json(row["desk"]),
        other_desk=Desk.model_validate_json(row["other_desk"]),
        submitted_at=row["submitted_at"],
        other_submitted_at=row["other_submitted_at"],
    )
