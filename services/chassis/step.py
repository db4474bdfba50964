"""The step of every reader: decode, decide and store, bury what is poison, tell what was stored, commit.

One `Step` belongs to one FastStream batch subscriber. FastStream polls, FastStream calls the handler; the step stands
between as a middleware, and decides what a failure means. It lets no exception out to FastStream's acknowledgement and
commits explicit offsets of what was processed.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from contracts.envelope import Event
from contracts.topics import COMPACTED
from services.chassis import traces
from services.chassis.decoding import Readable, Record, Unreadable, decode
from services.chassis.failures import Poison, Unfinished, is_transient, where
from services.chassis.giving_way import GivingWay
from services.chassis.log import logger
from services.chassis.metrics import BURIED, BURIED_BECAUSE, READ, RETRIES, STEP_RECORDS, STEP_SECONDS
from services.chassis.publishing import Publisher

Handler = Callable[[Sequence[Any]], Awaitable[Sequence[Event]]]
"""Events in, events out. It may be called again with the same events."""

HANDLER_SECONDS = 60.0
"""A handler's deadline: below Kafka's max.poll.interval, past which its member would be expelled."""

REVOCATION_SECONDS = 4.0
"""How long a rebalance waits for the batch under way: below the session time-out, which bounds the rebalance."""

ALIVE_SECONDS = 5.0
"""A reader that has not polled for so long is not ready, unless a batch is under way."""

ATTEMPTS_ALONE = 3
"""How often a record that meets a bug is tried by itself before it is buried."""

BUGS = 5
BUGS_SECONDS = 60.0
"""So many records may a service bury for bugs in so many seconds: one more is the release's fault, not the records'."""

POLL_MS = 500
LOOKED_THROUGH = 2_000
"""Records at a time."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
LONGEST_PAUSE_UNFINISHED = 1.0
"""Where only a part of a batch waits, what comes after it can be processed: it is looked at more often."""


class Graveyard(Protocol):
    """Where records go that a reader can never use."""

    async def bury(self, dead: Sequence[tuple[Record, str]]) -> None:
        """Keep each record's original bytes, with why; return once that is acknowledged."""


class Breaker:
    """Stops a service: a bad release must stop the service, not the patients. The host sees it and stops polling."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.tripped = asyncio.Event()
        self._bugs: deque[float] = deque(maxlen=BUGS)
        """When the latest records were buried for bugs, by the monotonic clock."""

    def withstands(self, more: int) -> bool:
        """Whether so many more records may be buried for bugs now."""
        lately = sum(at > time.monotonic() - BUGS_SECONDS for at in self._bugs)
        return lately + more <= BUGS

    def count(self, buried: int) -> None:
        """So many records were buried for bugs."""
        self._bugs.extend([time.monotonic()] * buried)

    def trip(self, reason: str) -> None:
        """Stop the service, for a reason that /health/ready repeats."""
        self.reason = self.reason or reason
        self.tripped.set()


class EffectsShareId(Exception):
    """A handler told two effects under one id: its effect key does not name the individual."""


class Step(ConsumerRebalanceListener):
    """One reader's step over batches of one topic."""

    def __init__(
        self,
        *,
        reader: str,
        topic: str,
        types: Sequence[type[Readable]],
        handler: Handler,
        publisher: Publisher,
        graveyard: Graveyard,
        breaker: Breaker,
        giving_way: GivingWay | None = None,
        waited_for: Sequence[type[Readable]] = (),
    ) -> None:
        self.reader = reader
        self.topic = topic
        self._compacted = topic in COMPACTED
        self._types: Mapping[str, type[Readable]] = {contract.TYPE: contract for contract in types}
        self.handler = handler
        self._publisher = publisher
        self._graveyard = graveyard
        self._breaker = breaker
        self._giving_way = giving_way
        self._waited_for = frozenset(contract.TYPE.encode() for contract in waited_for)
        if giving_way is not None:
            giving_way.joins(topic)
        self._log = logger(reader)
        self._running = asyncio.Lock()
        self.processed: dict[TopicPartition, int] = {}
        """Next offset of each partition: what may be committed."""
        self._again_from: dict[TopicPartition, int] = {}
        self._failures = 0
        self._resume_at = 0.0
        self.last_alive = time.monotonic()
        self.draining = False
        self._joined = False
        self.consumer: Any = None
        self._at_hand: tuple[int, int] | None = None
        # There from the start, for Prometheus takes a series that appears for one that always was so.
        RETRIES.labels(reader, topic)
        for reason in BURIED_BECAUSE:
            BURIED.labels(reader, topic, reason)

    # What the service's host asks

    @property
    def waiting_for(self) -> str | None:
        """Why nothing is being processed now, if so."""
        if not self._joined:
            return f"{self.topic}: joining its group"
        if self._failures:
            return f"{self.topic}: waiting to try again ({self._failures} times so far)"
        silent = time.monotonic() - self.last_alive
        if silent > (HANDLER_SECONDS if self._running.locked() else ALIVE_SECONDS):
            return f"{self.topic}: no poll for {silent:.0f} s"
        return None

    def ages_at_hand(self, now: float) -> tuple[float, float]:
        """Seconds since the log took the oldest and the newest record polled and not finished; zeros for none.

        `now` in seconds since 1970.
        """
        if self._at_hand is None:
            return 0.0, 0.0
        oldest, newest = self._at_hand
        return now - oldest / 1000, now - newest / 1000

    # One batch

    async def run(self, records: Sequence[Record], handle: Handler | None = None) -> None:
        """Process a batch: all of it is told or buried when this returns. Raises Transient; else it is a bug."""
        events, dead = self._decode(records)
        unreadable = len(dead)
        first_of_each: dict[UUID, tuple[Record, Readable]] = {}
        for record, event in events:
            first_of_each.setdefault(event.id, (record, event))
        try:
            told = await self._decide(list(first_of_each.values()), dead, handle or self.handler)
        except Unfinished as unfinished:
            await self._publisher.tell(unfinished.told)
            raise  # the dead are buried when the batch is whole, and so once
        if len({event.id for event in told}) < len(told):
            raise EffectsShareId(f"{self.reader} told two effects of {self.topic} under one id")
        if dead:
            await self._bury(dead, unreadable=unreadable, poison=len(dead) - unreadable)
        if told:
            await self._publisher.tell(told)
        READ.labels(self.reader, self.topic).inc(len(records))

    async def _bury(self, dead: Sequence[tuple[Record, str]], **of_reason: int) -> None:
        await self._graveyard.bury(dead)
        for reason, count in of_reason.items():
            BURIED.labels(self.reader, self.topic, reason).inc(count)
        for record, why in dead:
            self._log.warning(
                "buried", topic=record.topic, partition=record.partition, offset=record.offset, reason=why
            )

    def _decode(self, records: Sequence[Record]) -> tuple[list[tuple[Record, Readable]], list[tuple[Record, str]]]:
        events: list[tuple[Record, Readable]] = []
        dead: list[tuple[Record, str]] = []
        for record in records:
            if record.value is None and self._compacted:
                continue  # a tombstone follows long after the fact that says the same
            try:
                event = decode(record, self._types)
            except Unreadable as error:
                dead.append((record, str(error)))
            else:
                if event is not None:
                    events.append((record, event))
        return events, dead

    async def _decide(
        self, waiting: list[tuple[Record, Readable]], dead: list[tuple[Record, str]], handle: Handler
    ) -> Sequence[Event]:
        """What the handler tells of the events; those that it declares poison join the dead, and it is asked again."""
        while waiting:
            try:
                async with asyncio.timeout(HANDLER_SECONDS):
                    return await handle([event for _, event in waiting])
            except Poison as poison:
                left = [pair for pair in waiting if pair[1].id != poison.event_id]
                if len(left) == len(waiting):
                    raise RuntimeError(f"{self.reader} declared a record poison that is not in its batch") from poison
                dead.extend((record, poison.why) for record, event in waiting if event.id == poison.event_id)
                waiting = left
        return ()

    # Under FastStream

    async def consume(self, records: Sequence[Record], handle: Handler) -> None:
        """A polled batch. Never raises: a failure puts the batch off, or stops the service."""
        began = time.monotonic()
        async with self._running:
            if self._halted:
                return
            try:
                await self._survive(records, handle)
            except Exception as error:
                traces.failed(error)
                if is_transient(error):
                    RETRIES.labels(self.reader, self.topic).inc()
                    said = {"topic": self.topic, "error": type(error).__name__, "attempt": self._failures + 1}
                    self._log.warning("put_off", **said)
                else:
                    place = where(error)
                    self._log.error("stopped_by_a_bug", topic=self.topic, error=type(error).__name__, reason=place)
                    self._breaker.trip(f"{self.reader} failed on {self.topic}: {type(error).__name__} at {place}")
                self._put_off(records, LONGEST_PAUSE_UNFINISHED if isinstance(error, Unfinished) else LONGEST_PAUSE)
                return
            self._failures = 0
            self._resume_at = 0.0
            self._at_hand = None
            ends = {(record.topic, record.partition): record.offset + 1 for record in records}
            self.processed.update((TopicPartition(*partition), end) for partition, end in ends.items())
            STEP_SECONDS.labels(self.reader, self.topic).observe(time.monotonic() - began)
            STEP_RECORDS.labels(self.reader, self.topic).observe(len(records))

    async def _survive(self, records: Sequence[Record], handle: Handler) -> None:
        """Process a batch in spite of bugs: bury what fails alone. Raises the bug when that would be too many."""
        failing: list[tuple[Record, str]] = []
        await self._run_or_halve(records, handle, failing)
        if failing:
            await self._bury(failing, bug=len(failing))  # last: of a batch that stops the service none is buried
            self._breaker.count(len(failing))

    async def _run_or_halve(
        self, records: Sequence[Record], handle: Handler, failing: list[tuple[Record, str]], attempt: int = 1
    ) -> None:
        """Run a batch; after a bug each of its halves, in order, until what fails is alone and joins the failing."""
        self.last_alive = time.monotonic()
        try:
            await self.run(records, handle)
            return
        except Exception as error:
            if is_transient(error):
                raise
            kind, place = type(error).__name__, where(error)
            self._log.error("bug", topic=self.topic, error=kind, reason=place, count=len(records))
            if len(records) == 1 and attempt == ATTEMPTS_ALONE:
                if not self._breaker.withstands(len(failing) + 1):
                    raise
                failing.append((records[0], f"a bug, {attempt} times alone: {kind} at {place}"))
                return
        if len(records) == 1:
            await self._run_or_halve(records, handle, failing, attempt + 1)
        else:
            half = len(records) // 2
            await self._run_or_halve(records[:half], handle, failing)
            await self._run_or_halve(records[half:], handle, failing)

    def _put_off(self, records: Sequence[Record], longest: float) -> None:
        self._read_again(records)
        doublings = min(self._failures, 10)  # a long outage must not overflow a float
        pause = min(longest, FIRST_PAUSE * 2**doublings) * random.uniform(0.5, 1.0)  # noqa: S311 a jitter
        self._resume_at = time.monotonic() + pause
        self._failures += 1

    def _read_again(self, records: Sequence[Record]) -> None:
        """Read on from the first of these records in each partition, once it is time."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._again_from[partition] = min(record.offset, self._again_from.get(partition, record.offset))

    async def poll(self, consumer: Any, max_records: int) -> tuple[Any, ...]:
        """Stands in for FastStream's `get_msg`, which sleeps after each empty poll.

        After a failure the partitions are paused, and polled all the same so that the group keeps this member, until
        it is time to begin again at the first record that was not processed. While this reader stands back nothing is
        processed.
        """
        self.last_alive = time.monotonic()
        wait_ms = POLL_MS
        if self._halted:
            consumer.pause(*consumer.assignment())
        elif self._giving_way is not None and self._giving_way.stands_back and not self._failures:
            await self._look_ahead(self._giving_way, consumer)
            return ()
        elif self._again_from:
            left = self._resume_at - time.monotonic()
            if left > 0:
                consumer.pause(*consumer.assignment())
                wait_ms = min(POLL_MS, int(left * 1000) + 1)
            else:
                self._rewind(consumer)
        # While paused, this returns what a rebalance brought meanwhile: it is read once, so it must be processed.
        batches = await consumer.getmany(timeout_ms=wait_ms, max_records=max_records)
        self.last_alive = time.monotonic()
        for records in batches.values():
            oldest, newest = self._at_hand or (records[0].timestamp, 0)
            self._at_hand = min(oldest, records[0].timestamp), max(newest, records[-1].timestamp)
        polled = tuple(record for records in batches.values() for record in records)
        if self._giving_way is not None:
            seconds_old = time.time() - self._at_hand[0] / 1000 if self._at_hand is not None else None
            self._giving_way.has_read(self.topic, seconds_old, more_waits=len(polled) == max_records)
            self._notice(self._giving_way, polled)
        return polled

    async def _look_ahead(self, giving_way: GivingWay, consumer: Any) -> None:
        """While the readers stand back: wait; or look through what came for something that somebody waits for. What
        is looked through is read again when it is this reader's turn."""
        if not self._waited_for:
            await giving_way.turn(POLL_MS / 1000)
            return
        for records in (await consumer.getmany(timeout_ms=POLL_MS, max_records=LOOKED_THROUGH)).values():
            self._read_again(records[:1])
            self._notice(giving_way, records)

    def _notice(self, giving_way: GivingWay, records: Sequence[Record]) -> None:
        """Say so where somebody waits for what follows from one of the records."""
        wanted = self._waited_for
        if wanted and any(name == "type" and value in wanted for one in records for name, value in one.headers):
            giving_way.is_waited_for()

    @property
    def _halted(self) -> bool:
        """No batch is begun any more: the next member of the group gets what is left."""
        return self.draining or self._breaker.tripped.is_set()

    def _rewind(self, consumer: Any) -> None:
        assigned = consumer.assignment()
        for partition, offset in self._again_from.items():
            if partition in assigned:
                consumer.seek(partition, offset)
        self._again_from.clear()
        consumer.resume(*consumer.paused())

    async def commit(self) -> None:
        """Commit what was processed of the partitions that are still ours."""
        if self.consumer is None:
            return
        assigned = self.consumer.assignment()
        offsets = {partition: offset for partition, offset in self.processed.items() if partition in assigned}
        self.processed.clear()
        if not offsets:
            return
        try:
            await self.consumer.commit(offsets)
        except KafkaError as error:
            # Not lost: the records come again, and the step finds what it stored. Later offsets commit over it.
            self._log.warning("commit_failed", topic=self.topic, error=type(error).__name__)
            for partition, offset in offsets.items():
                self.processed.setdefault(partition, offset)

    async def flush(self) -> None:
        """Wait for the batch under way, then commit."""
        async with self._running:
            await self.commit()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """A rebalance: finish the batch under way, within a bound, and commit, so that nothing is repeated."""
        try:
            async with asyncio.timeout(REVOCATION_SECONDS):
                await self.flush()
        except TimeoutError:
            self._log.warning("revoked_in_mid_batch", topic=self.topic, count=len(revoked))

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Pauses vanish at a rebalance, and offsets are the group's again: what was put off is read anew."""
        self._joined = True
        self._again_from.clear()
        self._at_hand = None
        self._failures = 0
        self.processed.clear()
        self.last_alive = time.monotonic()
