"""Deciding in PostgreSQL: the rows are locked, then read, then what was decided is stored with what is told of it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from contracts.actions import GiveOutcome, NotDuplicate, ReferralActionRequested
from contracts.bookings import BookingConfirmed, BookingDisplaced, BookingExhausted
from contracts.envelope import Event
from contracts.referrals import (
    FINISHED,
    ActionRefusedData,
    BookingWithdrawn,
    BookingWithdrawnData,
    DuplicateRuledOutData,
    DuplicateSuspectedData,
    Moved,
    PlacementRequestedData,
    ReferralDuplicateRuledOut,
)
from contracts.submissions import referral_id
from services.chassis.database import Connection, Database
from services.chassis.failures import Poison, Unfinished
from services.chassis.outbox import Outbox
from services.referrals.cases import Case, Search
from services.referrals.clocks import ClockTable
from services.referrals.deciding import UNWILLING, Cause, Decider
from services.referrals.escalating import escalated
from services.referrals.facts import Confirmed, Exhausted, Fact, fact_in
from services.referrals.lifecycle import IN_FLOW, transition_of
from services.referrals.standing import standing_of
from services.referrals.state import DECIDED, RANK

DUE = """
-- Unfinished referrals whose owner should have looked again, the longest ago first. Nothing is locked yet.
select id from due_by($1, $2)
"""

LOCK = """
-- From here to the commit nobody else decides about these referrals.
select id, version, receiver, service_id from referrals where id = any($1::uuid[]) and rank > 0 order by id for update
"""

NOW_KNOWN = """
-- Whether one of these referrals, which had no row to be locked, has come meanwhile.
select exists (select from referrals where id = any($1::uuid[]) and rank > 0)
"""

HISTORY = """
-- The facts of these referrals, with the bodies that a decision needs: of the causes at hand and what was told of them,
-- of where each stands, of outcomes, of what was given back, and of who asked for a search.
select f.referral_id, f.event_id, f.type, f.service_id, f.cause, f.version = r.version as stands,
       case when f.event_id = any($2::uuid[]) or f.cause = any($2::uuid[]) or f.version = r.version
              or f.type = any($3::text[]) or exists (select from searches s where s.cause = f.event_id)
            then f.body end as body
from facts f left join referrals r on r.id = f.referral_id
where f.referral_id = any($1::uuid[])
order by f.referral_id, f.position
"""

SEARCHES = """
select id, referral_id, why, cause, state, place_lost from searches where referral_id = any($1::uuid[])
"""

SUSPECTED = """
-- The referrals that may be of the same patient, and were not ruled out.
select other_id from suspicions where referral_id = $1 and not ruled_out
"""

DOCUMENTS = """
select id from documents where referral_id = $1
"""

RULE_OUT = """
-- What a desk said of two referrals.
update suspicions s set ruled_out = true from unnest($1::uuid[], $2::uuid[]) said (referral_id, other_id)
where s.referral_id = said.referral_id and s.other_id = said.other_id
"""

STORE = """
-- Where the referrals stand, their searches, and every fact with its place in the feed.
select store_decided($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                     $22, $23, $24, $25, $26)
"""

OUTCOMES = (BookingConfirmed.TYPE, BookingExhausted.TYPE)

CONFIRMATION_MAY_COME = timedelta(seconds=4)
"""How long an action waits at least whose organisation is not on the referral while a place is looked for: the place
may be theirs, and booking have told of it on a topic that is read a moment later. As long as that topic is behind, it
waits on, and so does what would be in the wrong state."""

ASKED_FOR_MUST_COME = timedelta(seconds=30)
"""How long the outcome of a further placement waits for what asked for it, where that is not known."""

MOST_WAITING = 10_000

AT_ONCE = 500
"""Referrals that are escalated in one transaction."""


class _Row(NamedTuple):
    """A fact as it is stored."""

    referral: UUID
    event: Event
    version: int | None
    cause: UUID | None
    referrer: str
    receiver: str | None
    service_id: str | None


@dataclass(slots=True)
class _Batch:
    """What is known of the referrals of a batch, and what was decided about them so far."""

    cases: dict[UUID, Case] = field(default_factory=dict)
    stored: set[UUID] = field(default_factory=set)
    """Ids of every fact of them."""
    known: set[UUID] = field(default_factory=set)
    """Ids of causes that were decided before."""
    told: dict[UUID, list[Event]] = field(default_factory=lambda: defaultdict(list))
    """What was told of each of them."""
    moved: dict[UUID, Case] = field(default_factory=dict)
    rows: list[_Row] = field(default_factory=list)


class Decisions:
    """Decides, once, about each action and each outcome that is not simply the flow's."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        clocks: ClockTable,
        outbox: Outbox,
        outcomes_read_until: Callable[[datetime], Awaitable[bool]] | None = None,
    ) -> None:
        """Through the outbox goes what is told without a cause on the log.

        `outcomes_read_until`: whether all that booking had told before a moment is stored; if not given, it is.
        """
        self._database = database
        self._clock = clock
        self._clocks = clocks
        self._outbox = outbox
        self._outcomes_read_until = outcomes_read_until
        self._waiting_since: dict[UUID, datetime] = {}
        """Actions that wait for a confirmation, and since when."""

    async def decide(self, causes: Sequence[Cause]) -> list[Event]:
        """What is told of each cause: decided now, or before. In the order of the causes.

        Raises Unfinished, with what is told of the rest, while an action may be by somebody whose place has not been
        read of yet, and Poison for a session that was withdrawn of a placement that is not known here.
        """
        by_id: dict[UUID, Cause] = {}
        for cause in causes:
            by_id.setdefault(cause.id, cause)
        while by_id:
            try:
                async with self.transaction() as connection:
                    told, waiting = await self._decide(connection, list(by_id.values()))
            except asyncpg.SerializationError:
                continue  # another decided some of it meanwhile: what is stored is told
            if waiting:
                raise Unfinished(told, f"{waiting} actions wait for a confirmation that has not been read yet")
            return told
        return []

    async def escalate(self, until: datetime) -> int:
        """Give back to its desk each unfinished referral that was due by then, and tell it.

        Returns how many were looked at: call again while there are as many as are looked at at once.

        `until`: up to here everything that was told to this service has been read, so nobody's answer is overlooked.
        """
        due = [row["id"] for row in await self._database.pool.fetch(DUE, until, AT_ONCE)]
        if not due:
            return 0
        async with self.transaction() as connection:
            await self.tell(connection, due, lambda cases, now: self._escalated(cases, until, now))
        self.wake()
        return len(due)

    def _escalated(self, cases: Mapping[UUID, Case], until: datetime, now: datetime) -> list[tuple[Case, Event]]:
        return [
            escalated(case, now=now, clocks=self._clocks)
            for case in cases.values()
            if case.standing.due <= until and case.standing.state not in FINISHED  # since it was found
        ]

    async def tell(
        self,
        connection: Connection,
        referrals: Sequence[UUID],
        told_of: Callable[[Mapping[UUID, Case], datetime], Sequence[tuple[Case, Event]]],
    ) -> list[Event]:
        """Keep what is told of these referrals, as they stand under their locks, without a cause on the log.

        It goes through the outbox: `wake` it once the transaction has committed. Returns what is told.
        """
        batch = await self._read(connection, referrals, frozenset())
        now = self._clock()
        told = told_of(batch.cases.copy(), now)
        for case, event in told:
            _keep(batch, event, case, ())
        await self._store(connection, batch, now)
        await self._outbox.put(connection, [event for _, event in told])
        return [event for _, event in told]

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._outbox.wake()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction in which what is read after a lock is what others have committed."""
        # Said, because a server may have another default.
        async with self._database.pool.acquire() as connection, connection.transaction(isolation="read_committed"):
            yield connection

    async def _decide(self, connection: Connection, causes: Sequence[Cause]) -> tuple[list[Event], int]:
        batch = await self._read(
            connection, sorted({referral_id(cause) for cause in causes}), {cause.id for cause in causes}
        )
        await self._read_named(connection, batch, causes)
        now = self._clock()
        decider = Decider(self._clocks, now)
        told: list[Event] = []
        waiting: set[str] = set()
        waiting_for = 0
        for cause in causes:
            if cause.id in batch.known:
                told += batch.told[cause.id]
                continue
            case = batch.cases.get(referral_id(cause))
            if cause.subject in waiting or await self._must_wait(batch, case, cause, now):
                waiting.add(cause.subject)
                waiting_for += 1
                continue
            if case is None and isinstance(cause, BookingDisplaced):
                raise Poison(cause.id, "nothing is known here of the placement whose session was withdrawn")
            after, effects = decider.decide(case, cause)
            _keep(batch, cause, after, effects)
            told += effects
            self._waiting_since.pop(cause.id, None)
        await self._store(connection, batch, now)
        return told, waiting_for

    async def _store(self, connection: Connection, batch: _Batch, now: datetime) -> None:
        if batch.rows:
            await connection.execute(STORE, now, DECIDED, *_moved(batch), *_searches(batch), *_facts(batch))
            # Whoever stores from here on has later positions in the feed: only what came before counts.
            unknown = {row.referral for row in batch.rows} - batch.cases.keys()
            if unknown and await connection.fetchval(NOW_KNOWN, list(unknown)):
                raise asyncpg.SerializationError("what was refused as unknown has come meanwhile")
        ruled_out = [row.event for row in batch.rows if isinstance(row.event, ReferralDuplicateRuledOut)]
        if ruled_out:
            others = [event.data.other_referral for event in ruled_out]
            await connection.execute(RULE_OUT, [referral_id(event) for event in ruled_out], others)

    async def _read_named(self, connection: Connection, batch: _Batch, causes: Sequence[Cause]) -> None:
        """What is known of what some actions name: documents, and referrals that may be of the same patient."""
        naming = {
            referral_id(cause)
            for cause in causes
            if isinstance(cause, ReferralActionRequested) and isinstance(cause.data.action, NotDuplicate | GiveOutcome)
        }
        for referral in naming & batch.cases.keys():
            batch.cases[referral] = replace(
                batch.cases[referral],
                suspected=frozenset(row[0] for row in await connection.fetch(SUSPECTED, referral)),
                documents=frozenset(row[0] for row in await connection.fetch(DOCUMENTS, referral)),
            )

    async def _must_wait(self, batch: _Batch, case: Case | None, cause: Cause, now: datetime) -> bool:
        """Whether what it is about was told on another topic, and was not read of yet."""
        if isinstance(cause, BookingConfirmed | BookingExhausted):
            if cause.correlationid == cause.data.brief.placement_id:  # of the first one
                return False
            # What asked for the search has the outcome's correlation. After a restore all is read again, and the topic
            # of outcomes may be ahead.
            return cause.correlationid not in batch.stored and self._waits(cause, now, ASKED_FOR_MUST_COME)
        if not isinstance(cause, ReferralActionRequested) or case is None or not case.may_have_another_receiver:
            return False
        if not case.concerns(cause.data.by.organisation):
            if self._waits(cause, now, CONFIRMATION_MAY_COME):
                return True
        elif transition_of(cause.data.action.action, case.standing.state) is not None:
            return False
        return self._outcomes_read_until is not None and not await self._outcomes_read_until(cause.time)

    def _waits(self, cause: Cause, now: datetime, most: timedelta) -> bool:
        if len(self._waiting_since) >= MOST_WAITING:  # of partitions that went to another process meanwhile
            self._waiting_since.clear()
        return now - self._waiting_since.setdefault(cause.id, now) < most

    async def _read(self, connection: Connection, referrals: Sequence[UUID], ids: Collection[UUID]) -> _Batch:
        """Lock the referrals, then read what is known of them, and of the causes of these ids."""
        locked = await connection.fetch(LOCK, referrals)
        facts = await connection.fetch(HISTORY, referrals, list(ids), (*OUTCOMES, BookingWithdrawn.TYPE))
        searches = await connection.fetch(SEARCHES, referrals)
        batch = _Batch()
        of_referral: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
        for fact in facts:
            of_referral[fact["referral_id"]].append(fact)
            batch.stored.add(fact["event_id"])
            if fact["event_id"] in ids:
                batch.known.add(fact["event_id"])
            if fact["cause"] in ids:
                batch.told[fact["cause"]].append(Event.KNOWN[fact["type"]].read(fact["body"].encode()))
        searches_of: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
        for search in searches:
            searches_of[search["referral_id"]].append(search)
        for row in locked:
            batch.cases[row["id"]] = self._case(row, of_referral[row["id"]], searches_of[row["id"]])
        return batch

    def _case(self, row: asyncpg.Record, facts: list[asyncpg.Record], searches: list[asyncpg.Record]) -> Case:
        by_id = {fact["event_id"]: fact for fact in facts}
        found: dict[UUID, Search] = {}
        for search in searches:
            cause = _read(by_id[search["cause"]])
            found[search["id"]] = Search(
                id=search["id"],
                why=search["why"],
                cause=search["cause"],
                request=cause if isinstance(cause, ReferralActionRequested) else None,
                state=search["state"],
                place_lost=search["place_lost"],
            )
        asked = next((search.id for search in found.values() if search.state == "open"), None)
        (stands,) = (fact for fact in facts if fact["stands"])
        standing = standing_of(_read(stands), version=row["version"], asked=asked, clocks=self._clocks)
        place = standing.place and standing.place.placement_id
        ended = [_read(fact) for fact in facts if fact["type"] in OUTCOMES]
        briefs = [one.data.brief for one in ended if isinstance(one, Confirmed | Exhausted)]
        given_back = [
            BookingWithdrawn.read(fact["body"].encode()).data for fact in facts if fact["type"] == BookingWithdrawn.TYPE
        ]
        return Case(
            referral=row["id"],
            standing=standing,
            receiver=row["receiver"],
            service_id=row["service_id"],
            brief=next((one for one in briefs if one.placement_id == place), briefs[-1] if briefs else None),
            unwilling=frozenset(one.service_id for one in given_back if one.why in UNWILLING),
            searches=found,
        )


def _read(fact: Mapping[str, Any] | asyncpg.Record) -> Fact | Event:
    return fact_in(fact["body"].encode(), fact["type"])


def _keep(batch: _Batch, cause: Event, case: Case | None, effects: Sequence[Event]) -> None:
    """Take in what was decided about a cause, or by itself."""
    referral = referral_id(cause)
    before = batch.cases.get(referral)
    if case is not None and case != before:
        batch.cases[referral] = batch.moved[referral] = case
    batch.stored.add(cause.id)
    batch.rows.append(_row(cause, case, before))
    batch.rows += (_row(effect, case, before, cause.id) for effect in effects)


def _row(event: Event, case: Case | None, before: Case | None, cause: UUID | None = None) -> _Row:
    """The fact with those who may see it: who refers, and the receiver that it concerns."""
    data: Any = event.data
    version = data.standing.version if isinstance(data, Moved) else None
    referrer = case.standing.referrer.organisation if case is not None else None
    receiver, service_id = (case.receiver, case.service_id) if case is not None else (None, None)
    match data:
        case BookingWithdrawnData():
            receiver, service_id = data.organisation, data.service_id
        case PlacementRequestedData():  # as with the search before the first place
            receiver = service_id = None
        case DuplicateSuspectedData() | DuplicateRuledOutData():  # between the desks of those who referred
            receiver = service_id = None
        case ActionRefusedData(standing=None):
            referrer, receiver, service_id = data.by.organisation, None, None
    match event:
        case ReferralActionRequested() if case is None or before is None or not before.concerns(data.by.organisation):
            referrer, receiver, service_id = data.by.organisation, None, None
        case BookingConfirmed():
            receiver, service_id = data.service.organisation, data.service.service_id
        case BookingExhausted():
            receiver = service_id = None
    if referrer is None:
        referrer = data.brief.referrer.organisation
    return _Row(referral_id(event), event, version, cause, referrer, receiver, service_id)


def _moved(batch: _Batch) -> list[list[Any]]:
    cases = batch.moved
    return [
        list(cases),
        [case.standing.version for case in cases.values()],
        [case.standing.state for case in cases.values()],
        [case.standing.owner.organisation for case in cases.values()],
        [case.standing.due for case in cases.values()],
        [case.receiver for case in cases.values()],
        [case.service_id for case in cases.values()],
        # A fact of the flow still moves one that is in the flow, however late it is.
        [RANK[case.standing.state] if case.standing.state in IN_FLOW else DECIDED for case in cases.values()],
        [case.escalated for case in cases.values()],
    ]


def _searches(batch: _Batch) -> list[list[Any]]:
    # Those that are open last: of a referral one may be, once those before it are not.
    searches = [(referral, search) for referral, case in batch.moved.items() for search in case.searches.values()]
    searches.sort(key=lambda one: one[1].state == "open")
    return [
        [search.id for _, search in searches],
        [referral for referral, _ in searches],
        [search.why for _, search in searches],
        [search.cause for _, search in searches],
        [search.state for _, search in searches],
        [search.place_lost for _, search in searches],
    ]


def _facts(batch: _Batch) -> list[list[Any]]:
    return [
        [row.referral for row in batch.rows],
        [row.event.id for row in batch.rows],
        [row.event.type for row in batch.rows],
        [row.version for row in batch.rows],
        [row.cause for row in batch.rows],
        [row.referrer for row in batch.rows],
        [row.receiver for row in batch.rows],
        [row.service_id for row in batch.rows],
        [row.event.to_json().decode() for row in batch.rows],
    ]
