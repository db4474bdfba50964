"""Referrals, their facts and the feed. What stores a batch in one round trip is in the migrations."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from contracts.submissions import ReferralSubmitted
from services.chassis.database import Database
from services.referrals.clocks import ClockTable
from services.referrals.duplicates import SuspectedDuplicate
from services.referrals.facts import Fact, Submitted, fact_in
from services.referrals.history import History
from services.referrals.state import (
    DECIDED,
    OUTCOME,
    RANK,
    Referral,
    ReferralState,
    read_version,
    state_said_by,
)

STORE_FACTS = """
-- Store facts that say where their referral stands, and give them positions in the feed.
select store_facts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""

STORE_RECEIPTS = """
-- Store receipts, and give positions to those whose outcome is known.
select store_receipts($1, $2, $3, $4, $5, $6)
"""

KNOWN = """
-- Which of these facts are stored, and how far along their referrals are.
select k.referral_id, k.event_id, f.event_id is not null as stored, coalesce(r.rank, 0) as rank
from unnest($1::uuid[], $2::uuid[]) k (referral_id, event_id)
left join facts f using (referral_id, event_id)
left join referrals r on r.id = k.referral_id
"""

READ = """
-- The facts that made the versions of a referral, who may see it, and the search that is under way.
select r.referrer, r.receiver, f.version, f.at, f.type, f.body, s.id as asked
from referrals r
join facts f on f.referral_id = r.id
left join searches s on s.referral_id = r.id and s.state = 'open'
where r.id = $1 and f.version is not null
order by f.version
"""

SUBMISSION = """
-- What was submitted: the first fact of a referral, though not always the first to be stored.
select body from facts where referral_id = $1 and type = $2
"""

SUSPICIONS = """
-- What is suspected of a referral and was not ruled out by its desk, while neither of the two is finished.
select f.body from suspicions s
join referrals r on r.id = s.referral_id join referrals o on o.id = s.other_id
join facts f on f.referral_id = s.referral_id and f.event_id = s.told
where s.referral_id = $1 and not s.ruled_out and not r.finished and not o.finished
order by s.due, s.other_id
"""

END = """
-- Where the feed ends.
select epoch, last from feed
"""

OVERDUE = """
-- Unfinished referrals whose owner should have looked again, and how many owners they have; enough of them to say that
-- it is bad.
select count(*) as referrals, count(distinct owner) as owners
from due_by($1::timestamptz - interval '1 microsecond', 10000)
"""

TOLD = """
-- What an organisation may see of the feed after one position and up to another, in order.
select * from told_to($1, $2, $3, $4, $5, $6)
"""

TOLD_OF_REFERRAL = """
-- The same of one referral: its few facts are found first, by its own index.
with own as materialized (
  select position, referral_id, type, body, service_id from facts
  where referral_id = $7 and (referrer = $1 or receiver = $1)
)
select position, referral_id, type, body from own
where position > $2 and position <= $3
  and ($4::text[] is null or type = any($4)) and ($5::text is null or service_id = $5)
order by position limit $6
"""

STANDINGS = """
-- Where referrals stood at these positions of the feed, for an organisation that may read them now.
select t.position, f.version, f.at, f.type, f.body
from unnest($2::uuid[], $3::bigint[]) t (referral_id, position)
join referrals r on r.id = t.referral_id and (r.referrer = $1 or r.receiver = $1)
cross join lateral (
  select version, at, type, body from facts
  where referral_id = t.referral_id and version is not null and position <= t.position
  order by version desc limit 1
) f
order by t.position
"""

Key = tuple[UUID, UUID]
"""A fact's referral and its own id."""


class Wanted(NamedTuple):
    """Which facts of the feed a reader wants: None is all that its organisation may see."""

    organisation: str
    types: Sequence[str] | None = None
    referral: UUID | None = None
    service_id: str | None = None
    standings: bool = False
    """Where each referral stands, too, as reads say it."""


class Told(NamedTuple):
    """A fact as the feed has it."""

    position: int
    referral_id: UUID
    type: str
    body: str


class Referrals:
    """The tables of this service."""

    def __init__(self, database: Database, clock: Callable[[], datetime], clocks: ClockTable) -> None:
        self._database = database
        self._clock = clock
        self._clocks = clocks

    async def store(self, facts: Sequence[Fact]) -> list[Fact]:
        """Store each fact once and bring its referral up to date, in one transaction for each kind of fact.

        Returns the outcomes that come to a referral which has gone on without them: those are to be decided about,
        and are not stored here. Those that were decided about before are among them.
        """
        states: dict[Key, tuple[Fact, ReferralState]] = {}
        receipts: dict[Key, Fact] = {}
        for fact in facts:
            said = state_said_by(fact, self._clocks)
            if said is None:
                receipts.setdefault((fact.subject, fact.id), fact)
            else:
                states.setdefault((fact.subject, fact.id), (fact, said))
        late = await self._store(states, STORE_FACTS, _states)
        await self._store(receipts, STORE_RECEIPTS, _receipts)
        return [states[key][0] for key in late]

    async def _store(
        self, facts: Mapping[Key, Any], statement: str, arguments: Callable[[Mapping[Key, Any]], list[Any]]
    ) -> list[Key]:
        left, late = dict(facts), []
        while left:
            try:
                await self._database.pool.execute(statement, self._clock(), OUTCOME, *arguments(left))
                break
            except asyncpg.SerializationError:
                # Repeats are rare, so they are looked for only when the statement has met one.
                keys = [referral for referral, _ in left], [event for _, event in left]
                for referral, event, stored, rank in await self._database.pool.fetch(KNOWN, *keys):
                    key = referral, event
                    if _is_outcome(left[key]) and rank >= (DECIDED if stored else OUTCOME):
                        late.append(key)
                    elif not stored:
                        continue
                    del left[key]
        return late

    async def history(self, referral: UUID) -> History | None:
        """The versions of a referral; None while there is none."""
        rows = await self._database.pool.fetch(READ, referral)
        return History(referral, rows, self._clocks) if rows else None

    async def submission(self, referral: UUID) -> ReferralSubmitted | Submitted | None:
        """What was submitted; what was understood when it came, where its contract refuses it; None while that is not
        stored."""
        body = await self._database.pool.fetchval(SUBMISSION, referral, ReferralSubmitted.TYPE)
        if body is None:
            return None
        try:
            return ReferralSubmitted.read(body.encode())
        except ValidationError:
            return Submitted.read(body.encode())

    async def duplicates(self, referral: UUID) -> list[SuspectedDuplicate]:
        """Other referrals that may be of the same patient, the first due first."""
        rows = await self._database.pool.fetch(SUSPICIONS, referral)
        return [SuspectedDuplicate.told_in(row["body"]) for row in rows]

    async def end(self) -> tuple[int, int]:
        """The epoch of the feed and its last position."""
        (row,) = await self._database.pool.fetch(END)
        return row["epoch"], row["last"]

    async def overdue(self) -> tuple[float, float]:
        """How many unfinished referrals are overdue, at most 10,000, and how many owners they have."""
        (row,) = await self._database.pool.fetch(OVERDUE, self._clock())
        return row["referrals"], row["owners"]

    async def told(self, wanted: Wanted, after: int, until: int, limit: int) -> list[Told]:
        """At most `limit` facts of the feed with positions above `after`, up to and with `until`, in order."""
        arguments = [wanted.organisation, after, until, wanted.types, wanted.service_id, limit]
        if wanted.referral is None:
            rows = await self._database.pool.fetch(TOLD, *arguments)
        else:
            rows = await self._database.pool.fetch(TOLD_OF_REFERRAL, *arguments, wanted.referral)
        return [Told(*row) for row in rows]

    async def standings(self, organisation: str, told: Sequence[Told]) -> dict[int, Referral]:
        """Where the referrals stood after facts of the feed, by the position of the first fact that finds them so.

        Of those that the organisation may read: a fact that was once for it may be of a referral that is not any more.
        """
        places = {one.position: one.referral_id for one in told}
        found: dict[tuple[UUID, int], Referral] = {}
        first: dict[int, Referral] = {}
        for position, version, at, type, body in await self._database.pool.fetch(
            STANDINGS, organisation, list(places.values()), list(places)
        ):
            key = places[position], version
            if key not in found:
                found[key] = first[position] = read_version(
                    key[0], version, at, fact_in(body.encode(), type), self._clocks
                )
        return first


def _keys_types_bodies(keys: Mapping[Key, Any], facts: Sequence[Fact]) -> list[Any]:
    return [
        [referral for referral, _ in keys],
        [event for _, event in keys],
        [fact.type for fact in facts],
        [fact.to_json().decode() for fact in facts],
    ]


def _is_outcome(stored: Fact | tuple[Fact, ReferralState]) -> bool:
    return isinstance(stored, tuple) and RANK[stored[1].state] == OUTCOME


def _receipts(receipts: Mapping[Key, Fact]) -> list[Any]:
    """Arguments of STORE_RECEIPTS."""
    return _keys_types_bodies(receipts, list(receipts.values()))


def _states(states: Mapping[Key, tuple[Fact, ReferralState]]) -> list[Any]:
    """Arguments of STORE_FACTS. Of one referral only the furthest fact has a rank."""
    furthest: dict[UUID, tuple[int, UUID]] = {}
    for (referral, event), (_, said) in states.items():
        rank = RANK[said.state]
        if rank > furthest.get(referral, (0,))[0]:
            furthest[referral] = rank, event
    said_all = [said for _, said in states.values()]
    services = [said.service for said in said_all]
    return [
        *_keys_types_bodies(states, [fact for fact, _ in states.values()]),
        [said.referrer for said in said_all],
        [service and service.organisation for service in services],
        [service and service.service_id for service in services],
        [rank if event == own else None for (referral, own) in states for rank, event in (furthest[referral],)],
        [said.state for said in said_all],
        [said.owner.organisation for said in said_all],
        [said.due for said in said_all],
    ]
