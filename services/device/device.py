"""A device: what is written down is sent when there is signal, until it is answered or the crew must be asked again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Literal, Protocol

from services.device.clock import TOLERANCE, Clock, ShiftClock
from services.device.incidents import Incident
from services.device.queue import Entry, Queue
from services.device.sender import Gateway, Reply
from services.device.signal import Signal

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
"""Seconds between tries: doubled from the first up to the longest, each shortened at random by up to a half."""

LONGEST_WAIT = 3600.0
"""Seconds after which a device that waits for nothing in particular looks again."""

AT_ONCE = 16
"""So many referrals of one device are on their way at a time: enough to catch up soon, too few to be a flood."""

Decision = Literal["send", "drop", "later"]
Ask = Callable[[Entry], Awaitable[Decision]]
"""Asks the crew whether a referral that is too old is still to be sent."""


class Screen(Protocol):
    """What the crew sees."""

    def referral(self, entry: Entry, because: str) -> None:
        """Where a referral on the device stands now, and why, where that is not an answer."""

    def clock(self, wrong_by: timedelta) -> None:
        """By how much the device's clock is ahead of the server's; zero once it is right again."""


class Device:
    """One device, with its file, its way to the gateway, its signal and its clocks."""

    def __init__(
        self,
        queue: Queue,
        gateway: Gateway,
        screen: Screen,
        *,
        clock: Clock,
        signal: Signal,
        shift_clock: ShiftClock,
        lasts_seconds: float,
        ask: Ask,
        chance: random.Random,
        at_once: int = AT_ONCE,
    ) -> None:
        """`lasts_seconds`: how long after it was written down a referral may be sent without asking the crew.

        `at_once`: most referrals that are on their way at a time.
        """
        self._queue = queue
        self._gateway = gateway
        self._screen = screen
        self._clock = clock
        self._signal = signal
        self._shift_clock = shift_clock
        self._lasts_seconds = lasts_seconds
        self._ask = ask
        self._chance = chance
        self._lanes = asyncio.Semaphore(at_once)
        self._under_way: set[asyncio.Task[None]] = set()
        self._clock_wrong_by = timedelta()

    async def refer(self, incidents: Sequence[Incident]) -> None:
        """Write incidents down, all or none, and see to each. What is over is left alone: a key is referred once."""
        new = [
            Entry(
                key=incident.key,
                scenario=incident.scenario,
                body=incident.submission.model_dump_json(exclude_none=True).encode(),
                written_at=self._clock.now(),
                boot=self._clock.boot,
                expires=self._clock.elapsed() + self._lasts_seconds,
            )
            for incident in incidents
            if incident.key not in self._queue.entries
        ]
        self._see_to(await self._queue.write(new))

    def resume(self) -> int:
        """See to everything that was left when the device last stopped; returns how many that is."""
        left = [entry for entry in self._queue.entries.values() if not entry.is_over]
        self._see_to(left)
        return len(left)

    def _see_to(self, entries: Sequence[Entry]) -> None:
        self._under_way |= {asyncio.create_task(self._settle(entry)) for entry in entries}

    async def rest(self) -> None:
        """Return once each referral is over, or waits for the crew. Raises what went wrong with one."""
        while self._under_way:
            done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_EXCEPTION)
            self._under_way -= done
            for task in done:
                task.result()

    async def stop(self) -> None:
        """Leave everything as it stands in the file."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _settle(self, entry: Entry) -> None:
        """See to one referral until it is over, or waits for the crew."""
        pause, said = FIRST_PAUSE, ""
        while not entry.is_over:
            if entry.state == "queued" and entry.is_late(self._clock):
                entry = await self._queue.change(entry, state="expired")
            if entry.state == "expired":
                entry = await self._asked(entry)
                if entry.state == "expired":
                    return
                continue
            there, for_seconds = self._signal.at(self._shift_clock.seconds())
            if not there:
                if said != "no signal":
                    said = "no signal"
                    self._screen.referral(entry, said)
                await self._until(entry, self._shift_clock.in_life(for_seconds))
                continue
            async with self._lanes:
                entry, reply = await self._try(entry)
            if reply is None or entry.is_over:
                continue
            if reply.why != said:
                said = reply.why
                self._screen.referral(entry, said)
            await self._until(entry, max(reply.retry_after, pause * self._chance.uniform(0.5, 1.0)))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _try(self, entry: Entry) -> tuple[Entry, Reply | None]:
        """One try, or none where the signal went or the time ran out while others were on their way."""
        there, for_seconds = self._signal.at(self._shift_clock.seconds())
        late = entry.state != "received" and entry.is_late(self._clock)
        if not there or (late and entry.state == "queued"):
            return entry, None
        within = self._shift_clock.in_life(for_seconds)
        if late:
            # Sending would refer the patient now, if the gateway never had it. Asking refers nobody.
            reply = await self._gateway.came_of(entry.key, within)
        else:
            entry = await self._queue.change(
                entry, state="received" if entry.state == "received" else "sent", tries=entry.tries + 1
            )
            reply = await self._gateway.refer(entry.key, entry.body, within)
        self._compare_clocks(reply)
        if late and reply.status == 404:
            entry = await self._queue.change(entry, state="expired")
            return entry, None
        if reply.status == 200 if late else reply.is_final:
            entry = await self._queue.change(
                entry,
                state="answered",
                status=reply.status,
                answer=reply.body,
                referral=reply.body.get("referral_id") or entry.referral,
            )
            self._screen.referral(entry, "")
        elif reply.received is not None and entry.state != "received":
            # The gateway has it, with its own time to answer by: the same key asks for the outcome, however late.
            entry = await self._queue.change(entry, state="received", referral=reply.received)
        return entry, reply

    async def _asked(self, entry: Entry) -> Entry:
        """Ask the crew about what is too old; what they decide. `later` leaves it as it is."""
        self._screen.referral(entry, "it is too old to be sent without asking")
        decision = await self._ask(entry)
        if decision == "later":
            return entry
        if decision == "drop":
            entry = await self._queue.change(entry, state="dropped")
            self._screen.referral(entry, "the crew gave it up")
            return entry
        return await self._queue.change(
            entry, state="queued", boot=self._clock.boot, expires=self._clock.elapsed() + self._lasts_seconds
        )

    async def _until(self, entry: Entry, seconds: float) -> None:
        """Wait so long, or until the referral is too old where that changes what is to be done."""
        if entry.state == "queued" or (entry.state == "sent" and not entry.is_late(self._clock)):
            seconds = min(seconds, max(0.0, entry.expires - self._clock.elapsed()))
        await self._clock.sleep(min(seconds, LONGEST_WAIT))

    def _compare_clocks(self, reply: Reply) -> None:
        """Compare the device's clock with the server's, which says whole seconds; say so when it is wrong."""
        if reply.date is None:
            return
        wrong_by = self._clock.now() - reply.date
        if abs(wrong_by) <= TOLERANCE:
            wrong_by = timedelta()
        if abs(wrong_by - self._clock_wrong_by) > TOLERANCE or (not wrong_by and self._clock_wrong_by):
            self._clock_wrong_by = wrong_by
            self._screen.clock(wrong_by)
