"""Those who ask receivers, outside any transaction: a few of each receiver at a time, each within a deadline."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable

import stamina

from services.booking.answers import Got, NotGot, Offers, Wanted
from services.booking.asking import Asking
from services.booking.leases import Asked, GivenUp, Leases
from services.booking.receivers import AnsweredWrongly, HttpReceivers, Receivers, Unanswered
from services.chassis.failures import is_transient, where
from services.chassis.log import logger

LOOK_SECONDS = 0.5
"""How often to look for what others let ask; what this process lets ask is asked for at once."""
AGAIN_SECONDS = 5.0
"""How often to look for who waits and may ask again."""
SLOTS_TRIED = 3
"""So many slots of a receiver are asked for, one after the other, where it says that each was taken meanwhile."""


class Askers:
    """Ask receivers for what is due, in this process."""

    def __init__(self, asking: Asking, leases: Leases, receivers: Receivers) -> None:
        self._asking = asking
        self._leases = leases
        self._receivers = receivers
        self._log = logger("booking")

    async def work(self) -> None:
        """Take what is due and ask, for ever. Who asks goes on while the database is away for others."""
        woken = self._asking.woken
        async with asyncio.TaskGroup() as group:
            while True:
                woken.clear()
                async for attempt in stamina.retry_context(on=is_transient, attempts=None, timeout=None, wait_max=5.0):
                    with attempt:
                        begun = await self.begin(group)
                if not begun:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await woken.wait()

    async def begin(self, group: asyncio.TaskGroup) -> bool:
        """Take what is due, and begin to ask. False when nothing was due."""
        taken = await self._leases.take()
        if taken.ended:
            group.create_task(self._bounded(self._asking.finish(taken.ended)))
        for asked in taken.asked:
            group.create_task(self._bounded(self.pursue(asked)))
        for one in taken.given_up:
            group.create_task(self._bounded(self.give_back(one)))
        return any(taken)

    async def _bounded(self, work: Awaitable[None]) -> None:
        """Where the database is away, the lease runs out and the work is done again; a bug stops the service."""
        try:
            await work
        except Exception as error:
            if not is_transient(error):
                raise
            self._log.warning("failed", part="askers", error=type(error).__name__, reason=where(error))
        finally:
            self._asking.woken.set()

    async def pursue(self, asked: Asked) -> None:
        """Ask its receiver until it is booked, refused, or given up; then end the placement or let it go on."""
        attempt = _Attempt(asked, self._asking, self._receivers)
        try:
            async with asyncio.timeout(self._asking.seconds_for(asked)):
                found = await attempt.run()
        except (TimeoutError, Unanswered) as error:
            found = self._failed(asked, NotGot("its diary did not answer", attempt.wanted), error)
        except AnsweredWrongly as error:
            found = self._failed(asked, NotGot("its diary answered wrongly", attempt.wanted), error)
        if isinstance(found, NotGot) and found.why != "no free slot in time":
            await self._leases.failed(asked.receiver)
        else:
            await self._leases.answered(asked.receiver)
        await self._asking.finish([(asked, found)])

    def _failed(self, asked: Asked, found: NotGot, error: Exception) -> NotGot:
        reason = str(error) if isinstance(error, AnsweredWrongly) else type(error).__name__
        self._log.warning(
            "receiver_failed",
            url=asked.receiver,
            service_id=asked.service_id,
            placement=str(asked.placement_id),
            reason=f"{found.why}: {reason}",
        )
        return found

    async def give_back(self, one: GivenUp) -> None:
        """Have its receiver give it back; where that is not sure, again later."""
        try:
            await self._receivers.give_back(one.address, one.key)
        except (Unanswered, AnsweredWrongly) as error:
            self._log.warning("not_given_back", url=one.receiver, attempt=one.tries, error=type(error).__name__)
            await self._leases.failed(one.receiver)
            await self._leases.not_given_back(one)
        else:
            await self._leases.answered(one.receiver)
            await self._leases.given_back(one)


class _Attempt:
    """One placement's questions to one receiver."""

    def __init__(self, asked: Asked, asking: Asking, receivers: Receivers) -> None:
        self._asked = asked
        self._asking = asking
        self._receivers = receivers
        self.wanted = asked.wanted
        """What was asked for last."""

    async def run(self) -> Got | NotGot:
        """Raises Unanswered, AnsweredWrongly and TimeoutError; what was asked for then may be booked or not."""
        if self.wanted is not None and (got := await self._book(self.wanted, unknown=True)):
            return got
        for _ in range(SLOTS_TRIED):
            offers = await self._offers()
            self.wanted, before = await self._asking.choose(self._asked, offers, self.wanted), self.wanted
            if self.wanted is None:
                return NotGot("no free slot in time", before)
            if got := await self._book(self.wanted, unknown=False):
                return got
        return NotGot("no free slot in time", self.wanted)

    async def _offers(self) -> Offers:
        asked = self._asked
        async for attempt in _patient():
            with attempt:
                begin = self._asking.earliest()
                offers = await self._receivers.offers(asked.address, asked.service_id, begin, asked.latest_start)
        return offers

    async def _book(self, wanted: Wanted, *, unknown: bool) -> Got | None:
        """None where it is refused. Where a call may have booked it, it is asked for by its key before it is booked
        again."""
        address = self._asked.address
        async for attempt in _patient():
            with attempt:
                reference = await self._receivers.booked(address, wanted) if unknown else None
                if reference is None:
                    unknown = True
                    reference = await self._receivers.book(address, wanted)
        return None if reference is None else Got(wanted, reference)


def _patient() -> AsyncIterator[stamina.Attempt]:
    """Again and again, until the deadline of whoever asks."""
    return stamina.retry_context(on=Unanswered, attempts=None, timeout=None, wait_initial=0.1, wait_max=1.0)


async def ask(asking: Asking, leases: Leases, call_seconds: float) -> None:
    """Ask receivers over HTTP, for ever."""
    async with contextlib.aclosing(HttpReceivers(call_seconds)) as receivers:
        await Askers(asking, leases, receivers).work()


async def ask_again(asking: Asking) -> None:
    """Let those who wait ask again, for ever."""
    while True:
        while await asking.ask_again():
            pass
        await asyncio.sleep(AGAIN_SECONDS)
