"""Worklists and the search in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from contracts.referrals import State
from services.chassis.database import Database
from services.referrals.clocks import ClockTable
from services.referrals.duplicates import SuspectedDuplicate
from services.referrals.facts import fact_in
from services.referrals.lifecycle import transition_of
from services.referrals.state import Referral, ReferralState, read_version, state_said_by
from services.referrals.worklists import (
    DUPLICATES,
    NAMES,
    WORKLISTS,
    WorkItem,
    WorkItems,
    WorklistCount,
    WorklistName,
    states_of,
    worklist_of,
)

MOST = 200
TO_CLINICIAN = "to a clinician"

ITEMS = {
    side: f"""
-- What an organisation has on a list, the most urgent first, each with the fact that says where it stands.
select r.id, r.version, r.escalated_in is not distinct from r.version as escalated, f.type, f.body
from referrals r join facts f on f.referral_id = r.id and f.version = r.version
where r.{side} = $1 and not r.finished and r.state = any($2::text[])
  and (r.escalated_in is not distinct from r.version) = $3
order by r.due
"""
    for side in ("referrer", "receiver")
}

COUNTS = f"""
-- How many referrals an organisation has on its lists, by what decides which list that is.
select side, state, escalated, to_clinician, count(*) as referrals, count(*) filter (where due <= $2) as overdue
from (
  select 'referrer' as side, r.state, r.due, r.escalated_in is not distinct from r.version as escalated,
         r.state = 'unplaced' and f.body::json #>> '{{data,why}}' = '{TO_CLINICIAN}' as to_clinician
  from referrals r left join facts f on f.referral_id = r.id and f.version = r.version and r.state = 'unplaced'
  where r.referrer = $1 and not r.finished
  union all
  select 'receiver', r.state, r.due, r.escalated_in is not distinct from r.version, false
  from referrals r where r.receiver = $1 and not r.finished
) mine
group by 1, 2, 3, 4
"""

SUSPECTED = """
-- What an organisation's desk should talk about with another, the first due first, with where its referral stands.
select r.id, r.version, f.type, f.body, told.body as told
from suspicions s
join referrals r on r.id = s.referral_id and not r.finished
join referrals o on o.id = s.other_id and not o.finished
join facts f on f.referral_id = r.id and f.version = r.version
join facts told on told.referral_id = r.id and told.event_id = s.told
where r.referrer = $1 and not s.ruled_out
order by s.due, r.id limit $2
"""

COUNT_SUSPECTED = """
-- How much that is, and how much of it is overdue.
select count(*) as referrals, count(*) filter (where s.due <= $2) as overdue
from suspicions s
join referrals r on r.id = s.referral_id and not r.finished
join referrals o on o.id = s.other_id and not o.finished
where r.referrer = $1 and not s.ruled_out
"""

CHANGED = {
    side: f"""
-- Referrals of one side that stand since a position of the feed as they do now, in that order. One that moves on while
-- somebody reads page by page comes again later, and none is skipped.
select f.position, f.referral_id, f.version, f.at, f.type, f.body
from facts f join referrals r on r.id = f.referral_id and r.version = f.version
where f.{side} = $1 and r.{side} = $1 and f.position > $2 and f.position <= $3
  and ($4::text[] is null or r.state = any($4)) and ($5::timestamptz is null or f.at >= $5)
order by f.position limit $6
"""
    for side in ("referrer", "receiver")
}


class Found(NamedTuple):
    """A referral that a search found, with its place in the feed."""

    position: int
    referral: Referral


class Worklists:
    """What an organisation must do, and what it may look up."""

    def __init__(self, database: Database, clocks: ClockTable) -> None:
        self._database = database
        self._clocks = clocks

    async def items(self, organisation: str, name: WorklistName) -> WorkItems:
        """A worklist of an organisation, the most urgent first, at most so many."""
        kind = WORKLISTS[name]
        found: list[WorkItem] = []
        if name == DUPLICATES:
            for row in await self._database.pool.fetch(SUSPECTED, organisation, MOST + 1):
                suspected = SuspectedDuplicate.told_in(row["told"])
                shown = self._item_of(row, self._said(row), name)
                found.append(shown.model_copy(update={"due": suspected.due, "duplicate": suspected}))
            return WorkItems(name=name, role=kind.role, what=kind.sentence, items=found[:MOST], more=len(found) > MOST)
        arguments = organisation, states_of(name), name == "unanswered"
        async with self._database.pool.acquire() as connection, connection.transaction():
            async for row in connection.cursor(ITEMS[kind.side], *arguments, prefetch=MOST + 1):
                item = self._item(row, name)
                if item is not None:
                    found.append(item)
                if len(found) > MOST:
                    break
        return WorkItems(name=name, role=kind.role, what=kind.sentence, items=found[:MOST], more=len(found) > MOST)

    def _item(self, row: asyncpg.Record, name: WorklistName) -> WorkItem | None:
        said = self._said(row)
        if name != worklist_of(said.state, escalated=row["escalated"], to_clinician=said.why_unplaced == TO_CLINICIAN):
            return None
        return self._item_of(row, said, name)

    def _said(self, row: asyncpg.Record) -> ReferralState:
        said = state_said_by(fact_in(row["body"].encode(), row["type"]), self._clocks)
        assert said is not None
        return said

    def _item_of(self, row: asyncpg.Record, said: ReferralState, name: WorklistName) -> WorkItem:
        kind = WORKLISTS[name]
        return WorkItem(
            referral_id=row["id"],
            version=row["version"],
            state=said.state,
            acuity=said.acuity,
            owner=said.owner,
            role=kind.role,
            due=said.due,
            next_step=said.next_step,
            clears=[action for action in kind.clears if transition_of(action, said.state)],
            service=said.service,
            escalations=said.escalations,
        )

    async def counts(self, organisation: str, now: datetime) -> list[WorklistCount]:
        """How much an organisation has on each of its lists, those without any included."""
        totals: dict[WorklistName, tuple[int, int]] = dict.fromkeys(NAMES, (0, 0))
        for row in await self._database.pool.fetch(COUNTS, organisation, now):
            name = worklist_of(row["state"], escalated=row["escalated"], to_clinician=row["to_clinician"])
            if name is not None and WORKLISTS[name].side == row["side"]:
                referrals, overdue = totals[name]
                totals[name] = referrals + row["referrals"], overdue + row["overdue"]
        (suspected,) = await self._database.pool.fetch(COUNT_SUSPECTED, organisation, now)
        totals[DUPLICATES] = suspected["referrals"], suspected["overdue"]
        return [
            WorklistCount(
                name=name,
                role=WORKLISTS[name].role,
                what=WORKLISTS[name].sentence,
                referrals=referrals,
                overdue=overdue,
            )
            for name, (referrals, overdue) in totals.items()
        ]

    async def changed(
        self,
        organisation: str,
        after: int,
        until: int,
        *,
        states: Sequence[State] | None,
        since: datetime | None,
        limit: int,
    ) -> list[Found]:
        """At most so many referrals of an organisation, by the positions after `after` since which they stand so."""
        arguments: tuple[Any, ...] = organisation, after, until, states, since, limit
        rows = [row for side in CHANGED.values() for row in await self._database.pool.fetch(side, *arguments)]
        # Who refers to itself finds a referral on both sides.
        by_position = {row["position"]: row for row in rows}
        return [self._found(by_position[position]) for position in sorted(by_position)[:limit]]

    def _found(self, row: asyncpg.Record) -> Found:
        fact = fact_in(row["body"].encode(), row["type"])
        referral = read_version(row["referral_id"], row["version"], row["at"], fact, self._clocks)
        return Found(row["position"], referral)
