"""The single transaction: remember the attempt, tell its event, wait for its outcome; and remember the outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from contracts.envelope import Event
from contracts.submissions import ReferralSubmitted, referral_id
from services.chassis.failures import is_transient
from services.chassis.log import logger
from services.chassis.publishing import Publisher
from services.gateway.answer import body_of
from services.gateway.gathering import Gathering
from services.gateway.outcomes import Seen, whole
from services.gateway.outstanding import Outstanding
from services.gateway.store import Attempts, NewAttempt
from services.gateway.waiters import Waiters

LEAST_SECONDS = 1.0
"""Even for one who does not wait, the log has so long to acknowledge before the answer is *unknown*."""

LANES = 4
"""Tellings under way at a time: an acknowledgement takes milliseconds, and the next should not wait for it."""

LARGEST_TELLING = 500

Gone = Callable[[], Awaitable[object]]
"""Returns when the caller has hung up."""


@dataclass(frozen=True, slots=True)
class Settled:
    """There is an outcome: the body of its answer."""

    referral: UUID
    body: bytes


@dataclass(frozen=True, slots=True)
class Unsettled:
    """No outcome yet. Where it is not told, nobody knows whether the log has it."""

    referral: UUID | None
    told: bool


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """The key was used for another body. Nothing was told."""


Result = Settled | Unsettled | KeyTaken


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
    """What a submission needs on its way to an answer."""

    attempts: Attempts
    waiters: Waiters
    telling: Telling
    outstanding: Outstanding = field(default_factory=Outstanding)

    async def submit(self, attempt: NewAttempt, *, seconds: float, gone: Gone) -> Result:
        """Store the attempt, tell its event, and wait up to `seconds` for the outcome.

        The waiter stands before anything is told or read, so it misses nothing. An attempt that was stored before is
        told again, exactly as it was stored, unless its answer is known: every service down the line answers a repeat
        as it did, so this also mends a telling that failed. Raises what `Attempts.put` raises: then nothing was told.
        """
        until = asyncio.get_running_loop().time() + seconds
        with self.waiters.waiting_for(attempt.event.id) as answer:
            if await self.attempts.put(attempt):
                return await self._told(attempt.event, answer, until, gone)
        try:
            stored = await self.attempts.read(attempt.organisation, attempt.key)
            if stored.digest != attempt.digest:
                return KeyTaken()
            with self.waiters.waiting_for(stored.event_id) as answer:
                if stored.answer is None:  # it may have come between the reading and the waiting
                    stored = await self.attempts.read(attempt.organisation, attempt.key)
                if stored.answer is not None:
                    return Settled(stored.referral_id, stored.answer.encode())
                return await self._told(ReferralSubmitted.read(stored.event.encode()), answer, until, gone)
        except Exception as error:
            if not is_transient(error):
                raise
            return Unsettled(None, told=False)  # whoever stored it may have told it

    async def outcome(self, organisation: str, key: UUID) -> Settled | Unsettled | None:
        """What came of the attempt under a key; None when nothing was received under it. Tells nothing.

        One that is stored was received, even if the log does not have it: its sender asks again, which tells it.
        """
        stored = await self.attempts.find(organisation, key)
        if stored is None:
            return None
        if stored.answer is None:
            return Unsettled(stored.referral_id, told=True)
        return Settled(stored.referral_id, stored.answer.encode())

    async def _told(
        self, event: ReferralSubmitted, answer: "asyncio.Future[bytes] | None", until: float, gone: Gone
    ) -> Result:
        now = asyncio.get_running_loop().time
        told = True
        self.outstanding.begin(event.id)
        try:
            async with asyncio.timeout_at(max(until, now() + LEAST_SECONDS)):
                await self.telling.serve(event)
        except Exception as error:  # whatever it was, a part may have reached the log: the sender must ask again
            logger("gateway").warning("not_told", referral=event.subject, error=type(error).__name__)
            told = False
        if answer is not None and not answer.done() and told and now() < until:
            leaving = asyncio.ensure_future(gone())
            await asyncio.wait((answer, leaving), timeout=until - now(), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
        if answer is not None and answer.done():
            return Settled(referral_id(event), answer.result())
        return Unsettled(referral_id(event), told)


async def remember(outcomes: Sequence[Seen], *, attempts: Attempts, clock: Callable[[], datetime]) -> Sequence[Event]:
    """Store the answers that our attempts wait for. Outcomes of what others began are none of ours."""
    waiting = await attempts.unanswered([outcome.correlationid for outcome in outcomes])
    answers = {
        outcome.correlationid: body_of(whole(outcome)).decode()
        for outcome in reversed(outcomes)  # of two, the first stands
        if outcome.correlationid in waiting
    }
    if answers:
        await attempts.answer(answers, clock())
    return ()
