"""The witness: which outcomes and messages came of referrals, and when. It reads the topics outside any group.

Along, each is timed when this process has it: what a reader downstream sees. Afterwards, only offsets are asked for
during the run and the log's own times are taken once it is over: reading along would take from the machine what is
measured.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.topics import PARTITIONS, Topic
from loadtests.journal import Entry
from services.chassis.kafka import Kafka

WATCHED = (Topic.BOOKINGS, Topic.NOTIFICATIONS)
LOOK_SECONDS = 0.05
STILL_SECONDS = 2.0
"""When nothing was told for so long, what there is is read."""

MOST_RECORDS = 5_000

OUTCOMES = frozenset((BookingConfirmed.TYPE, BookingExhausted.TYPE))
"""What the counted messages tell of. Half an hour later others come, where a receiver has not acknowledged in time."""


class _Told(msgspec.Struct):
    reason: str


class _Message(msgspec.Struct):
    data: _Told


_MESSAGE = msgspec.json.Decoder(_Message)


@dataclass(slots=True)
class Seen:
    """What was seen of one referral. Times in seconds since 1970."""

    outcomes: dict[str, float] = field(default_factory=dict)
    """The types that were told, and when first."""
    messages: dict[int, float] = field(default_factory=dict)
    """When each message of the outcome, by the hash of its record, was first told: told again it is the same bytes."""

    def wanted(self, *, reachable: bool) -> int:
        """How many messages its outcome wants: to the desk, and where it was placed to the service and the patient."""
        return 1 + (1 + reachable if BookingConfirmed.TYPE in self.outcomes else 0)

    @property
    def ended(self) -> float:
        """When the outcome was seen."""
        return min(self.outcomes.values())

    @property
    def told(self) -> float:
        """When the last of its messages was seen."""
        return max(self.messages.values())

    def whole(self, *, reachable: bool) -> bool:
        """Whether its outcome and all messages were seen."""
        return bool(self.outcomes) and len(self.messages) >= self.wanted(reachable=reachable)


class Witness:
    """Outcomes and messages by referral, from where the topics ended when it began."""

    def __init__(self, consumer: Any, how: Literal["along", "afterwards"], begins: dict[TopicPartition, int]) -> None:
        self._consumer = consumer
        self._how = how
        self._begins = begins
        self.seen: defaultdict[str, Seen] = defaultdict(Seen)
        self.records = 0
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def begin(cls, kafka: Kafka, prefix: str, how: Literal["along", "afterwards"]) -> Self:
        """From now on."""
        consumer = AIOKafkaConsumer(**kafka.client(), max_partition_fetch_bytes=8_000_000, fetch_max_wait_ms=50)
        await consumer.start()
        partitions = [TopicPartition(f"{prefix}{topic}", number) for topic in WATCHED for number in range(PARTITIONS)]
        begins = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        for partition, offset in begins.items():
            consumer.seek(partition, offset)
        witness = cls(consumer, how, begins)
        if how == "along":
            witness._reading = asyncio.create_task(witness._read_along())
        return witness

    async def _read_along(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=200, max_records=MOST_RECORDS)
            self._note(batches, time.time())

    async def catch_up(self) -> None:
        """Read all that the topics have now, where it is not read along."""
        if self._how == "along":
            return
        ends = await self._consumer.end_offsets(list(self._begins))
        while any([await self._consumer.position(partition) < end for partition, end in ends.items()]):
            self._note(await self._consumer.getmany(timeout_ms=200, max_records=MOST_RECORDS), None)

    def _note(self, batches: dict[Any, list[Any]], now: float | None) -> None:
        for partition, records in batches.items():
            self.records += len(records)
            for record in records:
                seen = self.seen[record.key.decode()]
                at = record.timestamp / 1000 if now is None else now
                if partition.topic.endswith(Topic.BOOKINGS):
                    seen.outcomes.setdefault(dict(record.headers)["type"].decode(), at)
                elif _MESSAGE.decode(record.value).data.reason in OUTCOMES:
                    seen.messages.setdefault(hash(record.value), at)

    async def count(self) -> int:
        """How many records were added since it began, read or not."""
        ends = await self._consumer.end_offsets(list(self._begins))
        return sum(ends.values()) - sum(self._begins.values())

    def missing(self, entries: Iterable[Entry]) -> list[Entry]:
        """Of these, whose referrals are known, those whose outcome or messages were not seen."""
        return [one for one in entries if not self._whole(one)]

    def _whole(self, entry: Entry) -> bool:
        seen = self.seen.get(entry.referral)
        return seen is not None and seen.whole(reachable=entry.reachable)

    async def wait_for(self, entries: Sequence[Entry], *, patience: float) -> list[Entry]:
        """Wait until everything is seen of these, or nothing more has come for so many seconds. Returns what misses.

        What is read afterwards is read when as much was told as there can be, or when nothing comes any more.
        """
        left = self.missing(entries)
        most = sum(3 + one.reachable for one in left)
        records, changed_at = -1, time.monotonic()
        while left:
            if self._reading is not None and self._reading.done():
                self._reading.result()  # raises why it ended
            now = await self.count()
            still = time.monotonic() - changed_at
            if self._how == "along" or now >= most or still > STILL_SECONDS:
                await self.catch_up()
                left = self.missing(left)
            if now != records:
                records, changed_at = now, time.monotonic()
            elif still > patience:
                break
            await asyncio.sleep(LOOK_SECONDS)
        return left

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        await self._consumer.stop()
