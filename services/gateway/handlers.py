"""The single transaction: remember the attempt, tell its event, wait for its answer; and remember the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from contracts.envelope import Event
from contracts.submissions import referral_id
from services.chassis.failures import is_transient
from services.chassis.log import logger
from services.chassis.metrics import REFUSED
from services.chassis.publishing import Publisher
from services.gateway.admission import Admission
from services.gateway.answered import Answered
from services.gateway.gathering import Gathering
from services.gateway.outcomes import Seen
from services.gateway.outstanding import Outstanding
from services.gateway.overload import Refusal
from services.gateway.store import Attempts, Kind, NewAttempt
from services.gateway.waiters import Answering, Waiters

LEAST_SECONDS = 1.0
"""Even for one who does not wait, the log has so long to acknowledge before the answer is *unknown*."""

STAYING_SECONDS = 0.5
"""Most have their answer by then. Only later is it watched whether the caller is still there."""

LANES = 2
"""Tellings under way at a time: an acknowledgement takes milliseconds, and the next should not wait for it. With
more the batches are smaller here and at every hop after, each of which costs nearly as much for few as for many."""

LARGEST_TELLING = 500

GLANCE_SECONDS = 0.05
"""While too much is under way the database has so long to say that a key was used: whoever is told 429 is told soon."""

LATE_SECONDS = 10.0
"""What waits for so long may have an answer that this replica did not see come: the table says."""

LOOK_SECONDS = 1.0
MOST_RECALLED = 100_000

Gone = Callable[[], Awaitable[object]]
"""Returns when the caller has hung up."""


@dataclass(frozen=True, slots=True)
class Settled:
    """There is an answer."""

    referral: UUID
    answer: Answered


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The log has it, and there is no answer yet."""

    referral: UUID


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether the log has it."""


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """The key was used for another body. Nothing was told."""


Known = Settled | Unsettled | Unknown | KeyTaken
"""What came of an attempt that was let in."""

Result = Known | Refusal

Telling = Gathering[Event, None]
"""Publishing by the event: what comes while others are being told is told together next."""


def telling(publisher: Publisher) -> Telling:
    """Tell single events through a publisher of batches."""

    async def tell(events: Sequence[Event]) -> Sequence[None]:
        await publisher.tell(events)
        return [None] * len(events)

    return Gathering(tell, lanes=LANES, largest=LARGEST_TELLING)


@dataclass(frozen=True, slots=True)
class Transaction:
    """What attempts of one kind need on their way to an answer."""

    attempts: Attempts
    waiters: Waiters
    telling: Telling
    admission: Admission

    async def submit(self, attempt: NewAttempt, *, seconds: float, gone: Gone) -> Result:
        """Store the attempt, tell its event, and wait up to `seconds` for the answer.

        The waiter stands before anything is told or read, so it misses nothing. An attempt that was stored before is
        told again, exactly as it was stored, unless its answer is known: every service down the line answers a repeat
        as it did, so this also mends a telling that failed. While too much is under way only those are let in whose key
        was used: what was taken in must be answered. Raises what `Attempts.put` raises: then nothing was told.
        """
        until = asyncio.get_running_loop().time() + seconds
        if refusal := await self.refusal(attempt.organisation, attempt.key, seconds=seconds):
            return refusal
        with (
            self.waiters.waiting_for(attempt.event.id) as answer,
            self.admission.room_for(attempt.event.id) as room,
        ):
            room.taken = await self.attempts.put(attempt)
            if room.taken:
                return await self._told(attempt.event, answer, until, gone)
        try:
            stored = await self.attempts.read(attempt.organisation, attempt.key)
            if stored.digest != attempt.digest:
                return KeyTaken()
            with self.waiters.waiting_for(stored.event_id) as answer:
                if stored.answer is None:  # it may have come between the reading and the waiting
                    stored = await self.attempts.read(attempt.organisation, attempt.key)
                if stored.answer is not None:
                    return Settled(stored.referral_id, stored.answer)
                # One digest is of one kind.
                return await self._told(type(attempt.event).read(stored.event.encode()), answer, until, gone)
        except Exception as error:
            if not is_transient(error):
                raise
            return Unknown()  # whoever stored it may have told it

    def may_refuse(self) -> bool:
        """Whether there is no room for some: for whom, says `refusal`."""
        return self.admission.refusal(at_once=True) is not None

    async def refusal(self, organisation: str, key: UUID, *, seconds: float) -> Refusal | None:
        """Why there is no room for one more, if so: a used key needs none. Reads nothing while there is room."""
        refusal = self.admission.refusal(at_once=seconds == 0)
        if refusal is None or await self._was_used(organisation, key):
            return None
        REFUSED.labels("gateway").inc()
        return refusal

    async def _was_used(self, organisation: str, key: UUID) -> bool:
        try:
            return await self.attempts.stands_under(organisation, key, seconds=GLANCE_SECONDS)
        except Exception as error:
            if not is_transient(error):
                raise
            return False

    async def outcome(self, organisation: str, key: UUID) -> Settled | Unsettled | None:
        """What came of the attempt under a key; None when nothing was received under it. Tells nothing.

        One that is stored was received, even if the log does not have it: its sender asks again, which tells it.
        """
        stored = await self.attempts.find(organisation, key)
        if stored is None:
            return None
        if stored.answer is None:
            return Unsettled(stored.referral_id)
        return Settled(stored.referral_id, stored.answer)

    async def _told(self, event: Event, answer: "asyncio.Future[Answered] | None", until: float, gone: Gone) -> Result:
        now = asyncio.get_running_loop().time
        told = True
        self.admission.outstanding.begin(event.id)
        try:
            async with asyncio.timeout_at(max(until, now() + LEAST_SECONDS)):
                await self.telling.serve(event)
        except Exception as error:  # whatever it was, a part may have reached the log: the sender must ask again
            logger("gateway").warning("not_told", referral=event.subject, error=type(error).__name__)
            told = False
        if answer is not None and not answer.done() and told and now() < until:
            await asyncio.wait((answer,), timeout=min(until - now(), STAYING_SECONDS))
            if not answer.done() and now() < until:
                leaving = asyncio.ensure_future(gone())
                await asyncio.wait((answer, leaving), timeout=until - now(), return_when=asyncio.FIRST_COMPLETED)
                leaving.cancel()
        if answer is not None and answer.done():
            return Settled(referral_id(event), answer.result())
        return Unsettled(referral_id(event)) if told else Unknown()


async def keep_count(
    admission: Admission, attempts: Attempts, kind: Kind, *, within: timedelta, clock: Callable[[], datetime]
) -> None:
    """Keep what is known of a kind's attempts under way true, for ever: also after a restart, and of other replicas.

    Raises Kafka's and PostgreSQL's errors, and is begun again.
    """
    now = clock()
    left = await attempts.left(kind, now - within, now, MOST_RECALLED)
    admission.outstanding.recall(left)
    recalled = [transaction for transaction, _ in left]  # an answer may have been stored before they were
    admission.outstanding.drop(set(recalled) - await attempts.unanswered(kind, recalled))
    while True:
        await admission.backlog.look()
        late = admission.outstanding.older_than(LATE_SECONDS)
        if late:
            admission.outstanding.drop(set(late) - await attempts.unanswered(kind, late))
        await asyncio.sleep(LOOK_SECONDS)


async def remember(
    facts: Sequence[Seen],
    *,
    attempts: Attempts,
    kind: Kind,
    answering: Answering,
    outstanding: Outstanding,
    clock: Callable[[], datetime],
) -> Sequence[Event]:
    """Store the answers that our attempts of a kind wait for. What answers others' is none of ours.

    They are outstanding no longer: one that was recalled from the table may have been answered before this process
    began, and then nothing but this reader tells of it.
    """
    waiting = await attempts.unanswered(kind, [fact.correlationid for fact in facts])
    answers = {
        fact.correlationid: answering(fact)
        for fact in reversed(facts)  # of two, the first stands
        if fact.correlationid in waiting
    }
    if answers:
        await attempts.answer(answers, clock())
    outstanding.settle(facts)
    return ()
