"""One service in a process: its broker, its readers, its routes, its background work."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MethodType
from typing import Any, Literal

import stamina
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from fastapi import APIRouter
from faststream import AckPolicy, BaseMiddleware
from faststream.kafka import KafkaBroker, KafkaRouter
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from opentelemetry.trace import SpanKind, Tracer
from prometheus_client import Gauge

from contracts.envelope import Event
from contracts.topics import PARTITIONS, Topic
from services.chassis import traces
from services.chassis.database import Database
from services.chassis.dead_letter_steps import DeadLetterStep, ReplayStep
from services.chassis.dead_letters import DeadLetters
from services.chassis.decoding import Readable
from services.chassis.failures import is_transient, where
from services.chassis.giving_way import GivingWay
from services.chassis.kafka_patches import pause_after_failed_metadata
from services.chassis.log import logger
from services.chassis.measuring import Count, Measuring
from services.chassis.metrics import (
    DEAD_LETTERS,
    LAG,
    NEWEST,
    OLDEST,
    POOL_BUSY,
    POOL_LIMIT,
    POOL_OPEN,
    READY,
    STANDING_BACK,
)
from services.chassis.partitions import partition_of
from services.chassis.publishing import MAX_BATCH_BYTES, KafkaPublisher
from services.chassis.reader import Apply, Reader
from services.chassis.settings import Settings
from services.chassis.step import ALIVE_SECONDS, HANDLER_SECONDS, Breaker, Handler, Step
from services.chassis.topics import Difference, PartitionsDiffer, TopicMissing

MAX_RECORDS = 500


@dataclass(frozen=True, slots=True)
class Patience:
    """How a topic is asked for more: the broker answers when it has so many bytes, or after so long."""

    longest_ms: int
    least_bytes: int = 1


AT_ONCE = Patience(200)
SOON = Patience(50, 65_536)
"""Where somebody waits, but not for most of what is read: at 50 records a second, batches of several."""

AT_LEISURE = Patience(150, 524_288)
RARELY = Patience(1_000)

COMMIT_SECONDS = 0.5
MAX_POLL_SECONDS = 5 * HANDLER_SECONDS
"""Kafka expels a member that does not poll for so long, although it heartbeats."""

START_SECONDS = 60.0
"""How long a start waits for Kafka and PostgreSQL to answer."""

GRACE_SECONDS = 10.0
"""How long a stop waits for the batches under way, and again for the connections to close."""


class _StepMiddleware(BaseMiddleware[Any, Any]):
    """Hands FastStream's batch to the step, and FastStream's call of the handler too."""

    def __init__(self, msg: Any, /, *, context: Any, step: Step, tracer: Tracer | None, group: str) -> None:
        super().__init__(msg, context=context)
        self._step = step
        self._tracer = tracer
        self._group = group

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """Run the step; the handler is called with the events that it finds."""

        async def handle(events: Sequence[Event]) -> Sequence[Event]:
            msg.body = events
            msg.clear_cache()
            told: Sequence[Event] = await call_next(msg)
            return told

        if self._tracer is None:
            await self._step.consume(msg.raw_message, handle)
            return
        topic = self._step.topic
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": self._group,
            "messaging.batch.message_count": len(msg.raw_message),
        }
        values = (record.value for record in msg.raw_message)
        with traces.over_batch(self._tracer, f"process {topic}", SpanKind.CONSUMER, values, attributes):
            await self._step.consume(msg.raw_message, handle)


@dataclass(frozen=True, slots=True)
class Reading:
    """That a service reads facts of these types from a topic: in a group that shares it, or each replica by itself."""

    topic: Topic
    types: tuple[str, ...]
    group: str | None


class Service:
    """A service as its process hosts it. What it reads, follows, serves and runs is said once, in its service.py."""

    def __init__(self, name: str, settings: Settings, *, database: Database | None = None) -> None:
        pause_after_failed_metadata()
        self.name = name
        self.settings = settings
        self.databases = [database] if database is not None else []
        self.routers: list[APIRouter] = []
        self._log = logger(name)
        self._breaker = Breaker()
        self._kafka = settings.kafka.client(settings.kafka_user(name))
        self._dead_letters = DeadLetters(name, settings)
        self.broker = KafkaBroker(
            settings.kafka.bootstrap_servers,
            security=settings.kafka.security(settings.kafka_user(name)),
            client_id=f"onward-{name}",
            enable_idempotence=False,  # docs/decisions/chassis-producer.md
            acks="all",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=10_000,
            graceful_timeout=GRACE_SECONDS,
            apply_types=False,
            allow_auto_create_topics=False,
            logger=None,
        )
        self.publisher = KafkaPublisher(name, self.broker, settings.topic_prefix)
        self.readings: list[Reading] = []
        self._steps: list[Step] = []
        self._ways: dict[str, Step] = {}
        """The step of each topic of facts that it reads, by the topic's name on the broker."""
        self._topics: set[str] = set()
        """Every topic that its groups read."""
        self._readers: list[Reader] = []
        self._work: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._checks: list[Callable[[], str | None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._measuring = Measuring(name)
        self._admin: Any = None
        self._answered: dict[str, float] = {}
        """When Kafka and each database last answered."""
        self._started = False
        self._reading = True

    # Said in service.py

    def reads(
        self,
        topic: Topic,
        handler: Handler,
        *types: type[Readable],
        patience: Patience = AT_ONCE,
        giving_way: GivingWay | None = None,
        waited_for: Sequence[type[Readable]] = (),
    ) -> None:
        """Read a topic in this service's group, in batches: what the handler returns is told, then offsets commit.

        With patience the broker is asked for more at a time, which spares it and this process most of the asking: SOON
        comes up to a twentieth of a second late, AT_LEISURE some tenths, where nobody waits for what follows. Giving
        way, it stands back while others are behind, unless there is something of which somebody waits for what follows.
        """
        name = f"{self.settings.topic_prefix}{topic}"
        self.readings.append(Reading(topic, tuple(one.TYPE for one in types), self.group(topic)))
        step = Step(
            topic=topic,
            types=types,
            handler=handler,
            giving_way=giving_way,
            waited_for=waited_for,
            **self._surroundings,
        )
        self._subscribe(step, [name], patience)
        if not self._ways:
            replay = ReplayStep(self._ways, **self._surroundings)
            self._subscribe(replay, [f"{self.settings.topic_prefix}{self.name}.replay"], RARELY)
        self._ways[name] = step

    def gives_way(self, *hops: tuple[str, Topic]) -> GivingWay | None:
        """Readers that nobody waits for may stand back for these, each a service and the topic that it reads.

        None where they have cores of their own.
        """
        STANDING_BACK.labels(self.name).set(0)
        if not self.settings.gives_way:
            return None

        async def behind() -> int:
            looks = await asyncio.gather(*(self.progress(*hop) for hop in hops))
            return sum(end - committed for end, committed in looks)

        giving_way = GivingWay(self.name, behind)
        self.runs("giving way", giving_way.watch)
        return giving_way

    def reads_dead_letters(self, handler: Handler, readers: Sequence[str]) -> None:
        """Read the dead letters of these readers, each as a `DeadLetter`."""
        of_topic = {f"{self.settings.topic_prefix}{reader}.dlq": reader for reader in readers}
        step = DeadLetterStep(of_topic, handler=handler, **self._surroundings)
        self._subscribe(step, list(of_topic), RARELY)

    @property
    def _surroundings(self) -> dict[str, Any]:
        """What all steps of this service share."""
        return {
            "reader": self.name,
            "publisher": self.publisher,
            "graveyard": self._dead_letters,
            "breaker": self._breaker,
        }

    def _subscribe(self, step: Step, topics: Sequence[str], patience: Patience) -> None:
        """Let FastStream poll these topics for the step, in a group of their own."""
        hand_over = partial(_StepMiddleware, step=step, tracer=traces.of(self.name), group=self.group(step.topic))
        router = KafkaRouter(middlewares=(hand_over,))
        subscriber = router.subscriber(
            *topics,
            group_id=self.group(step.topic),
            group_instance_id=f"{self.settings.replica}-{self.name}-{step.topic}" if self.settings.replica else None,
            batch=True,
            max_records=MAX_RECORDS,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=patience.longest_ms,
            fetch_min_bytes=patience.least_bytes,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_500,
            rebalance_timeout_ms=6_000,
            max_poll_interval_ms=int(MAX_POLL_SECONDS * 1000),
            no_reply=True,
            parser=_parse,
            decoder=_decoded,
            listener=step,
        )

        async def poll(_subscriber: Any, consumer: Any) -> tuple[Any, ...]:
            step.consumer = consumer
            return await step.poll(consumer, MAX_RECORDS)

        subscriber.get_msg = MethodType(poll, subscriber)  # type: ignore[method-assign]
        self.broker.include_router(router)

        # FastStream counts what a partial has bound as parameters too, and would spread the batch over them.
        async def whole_batch(events: Any) -> Sequence[Event]:
            return await step.handler(events)

        subscriber(whole_batch)
        self._steps.append(step)
        self._topics.update(topics)
        self._measuring.add([LAG], partial(self._lag, step, topics), step.topic)
        self._measuring.add([OLDEST, NEWEST], partial(_ages, step), step.topic)

    def follows(
        self,
        topics: Sequence[Topic],
        apply: Apply,
        *types: type[Readable],
        since: Literal["beginning", "now"],
    ) -> Reader:
        """Follow topics outside any group; not ready until the reader is complete. Started before the groups are.

        Without types, every contract of the topics.
        """
        types = types or tuple(contract for contract in Event.KNOWN.values() if contract.TOPIC in topics)
        reader = Reader(
            self.name,
            self._kafka,
            self.settings.topic_prefix,
            topics,
            types,
            apply,
            since=since,
        )
        self._readers.append(reader)
        for topic in topics:
            told = {name for name, contract in Event.KNOWN.items() if topic == contract.TOPIC}
            self.readings.append(Reading(topic, tuple(one.TYPE for one in types if one.TYPE in told), None))
        return reader

    def serves(self, router: APIRouter) -> None:
        """Answer these routes."""
        self.routers.append(router)

    def runs(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep this going in the background; begun again with growing pauses when something does not answer."""
        self._work.append((name, work))

    def keeps(self, database: Database) -> None:
        """Open and close another database with the service, such as an adapter's own."""
        self.databases.append(database)

    def ready_when(self, check: Callable[[], str | None]) -> None:
        """Ready only while this says nothing."""
        self._checks.append(check)

    def measures(self, gauges: Sequence[Gauge], count: Count) -> None:
        """Set these gauges to what `count` gives, whenever the metrics are asked for."""
        self._measuring.add(gauges, count)

    # Its life

    async def start(self, *, reading: bool = True) -> None:
        """Start: databases, readers to completeness, then the groups and the background work.

        Without `reading` it only answers its routes: another process reads its topics and does its work.
        Raises NotAnswering, NotTrusted, TopicMissing or PartitionsDiffer; stop it then too.
        """
        self._reading = reading
        for database in self.databases:
            await self._begin(f"PostgreSQL, schema {database.schema}", database.start)
        self._admin = AIOKafkaAdminClient(**self._kafka)
        await self._begin("Kafka", self._meet_kafka)
        await self._topics_exist()
        for reader in self._readers:
            await self._begin("Kafka", reader.start)
        works: list[tuple[str, Callable[[], Awaitable[None]]]] = [("watch", self._watch)]
        if reading:
            await self._dead_letters.start()
            self._measuring.add([DEAD_LETTERS], self._dead)
            await self.broker.start()
            works += [("commits", self._commit_regularly), *self._work]
        else:
            await self.broker.connect()
        for name, work in works:
            self._tasks.append(asyncio.create_task(self._keep_going(name, work), name=f"{self.name} {name}"))
        self._started = True

    async def _begin(self, what: str, start: Callable[[], Awaitable[None]]) -> None:
        """Start something that may not be up yet. Raises NotAnswering."""
        try:
            async for attempt in stamina.retry_context(
                on=is_transient, attempts=None, timeout=START_SECONDS, wait_max=1.0
            ):
                with attempt:
                    await start()
            self._answered[what] = time.monotonic()
        except Exception as error:
            if is_transient(error):
                raise NotAnswering(self.name, what, error) from error
            raise

    async def _meet_kafka(self) -> None:
        await self.settings.kafka.certificates_hold()
        await self._admin.start()

    async def _topics_exist(self) -> None:
        """A missing topic would block its first publish for a whole request time-out: say so at the start."""
        found = {one["topic"]: len(one["partitions"]) for one in await self._admin.describe_topics()}
        of_facts = set(self._ways).union(*(reader.topics for reader in self._readers))
        for name in sorted(of_facts | self._topics | ({self._dead_letters.topic} if self._steps else set())):
            if name not in found:
                raise TopicMissing(name)
            if name in of_facts and found[name] != PARTITIONS:
                raise PartitionsDiffer([Difference(name, "partitions", str(PARTITIONS), str(found[name]))])

    async def stop(self) -> None:
        """Finish and commit what is under way, then leave the groups; within bounds, whatever does not answer."""
        self._started = False
        for step in self._steps:
            step.draining = True
        await self._bounded("flush", *(step.flush() for step in self._steps))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        closing = [self.broker.stop(), self._dead_letters.stop(), *(reader.stop() for reader in self._readers)]
        if self._admin is not None:
            closing.append(self._admin.close())
        await self._bounded("close", *closing, *(database.stop() for database in self.databases))

    async def _bounded(self, what: str, *works: Awaitable[Any]) -> None:
        """What is not done in time is left: the next member of the group gets it, and finds what was stored."""
        outcomes: Sequence[Any]
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                outcomes = await asyncio.gather(*works, return_exceptions=True)
        except TimeoutError as error:
            outcomes = [error]
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                self._log.warning("stopped_roughly", part=what, error=type(outcome).__name__, reason=where(outcome))

    # What it keeps doing

    async def _keep_going(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                async for attempt in stamina.retry_context(on=is_transient, attempts=None, timeout=None, wait_max=5.0):
                    with attempt:
                        try:
                            await work()
                        except Exception as error:
                            self._log.warning("failed", part=name, error=type(error).__name__, reason=where(error))
                            raise
            except Exception as error:  # a bug: it stops the service, as in a step
                self._breaker.trip(f"{self.name}: {name} failed with {type(error).__name__} at {where(error)}")
                return

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            for step in self._steps:
                await step.commit()

    async def _watch(self) -> None:
        """Ask what we depend on whether it answers: a step that waits in publishing raises nothing."""
        while True:
            if await self.broker.ping(1.0):
                self._answered["Kafka"] = time.monotonic()
            for database in self.databases:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(1.0):
                        await database.pool.execute("select 1")
                    self._answered[f"PostgreSQL, schema {database.schema}"] = time.monotonic()
            await asyncio.sleep(1.0)

    # What it is asked

    def not_ready(self) -> list[str]:
        """Every reason why it is not ready, as sentences; none when it is."""
        reasons = [] if self._started else ["not started"]
        if self._breaker.reason:
            reasons.append(f"stopped: {self._breaker.reason}")
        reasons += [reason for reader in self._readers if (reason := reader.waiting_for)]
        if self._reading:
            reasons += [reason for step in self._steps if (reason := step.waiting_for)]
        for what, answered in self._answered.items():
            if (silent := time.monotonic() - answered) > ALIVE_SECONDS:
                reasons.append(f"{what} has not answered for {silent:.0f} s")
        reasons += [reason for check in self._checks if (reason := check())]
        READY.labels(self.name).set(0 if reasons else 1)
        return reasons

    async def measure(self) -> None:
        """Bring up to date the metrics that are counted when they are asked for."""
        self.not_ready()
        for database in self.databases:
            for gauge, value in zip((POOL_BUSY, POOL_OPEN, POOL_LIMIT), database.use, strict=True):
                gauge.labels(self.name, database.schema).set(value)
        if self._started and self._reading:
            await self._measuring.measure()

    async def _lag(self, step: Step, topics: Sequence[str]) -> tuple[float]:
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in step.consumer.partitions_for_topic(topic)
        ]
        committed, ends, begins = await asyncio.gather(
            self._admin.list_consumer_group_offsets(self.group(step.topic), partitions=partitions),
            step.consumer.end_offsets(partitions),
            step.consumer.beginning_offsets(partitions),
        )
        # Where nothing was committed yet the offset is -1, and the group begins at the beginning.
        return (sum(ends[one] - max(committed[one].offset, begins[one]) for one in partitions),)

    async def progress(self, reader: str, topic: Topic) -> tuple[int, int]:
        """Of another service's group: the end of its topic, and what it has committed, summed over partitions.

        Raises KafkaError.
        """
        partitions = [TopicPartition(f"{self.settings.topic_prefix}{topic}", number) for number in range(PARTITIONS)]
        group = f"{self.settings.topic_prefix}{reader}.{topic}"
        committed, ends = await asyncio.gather(
            self._admin.list_consumer_group_offsets(group, partitions=partitions),
            self._steps[0].consumer.end_offsets(partitions),
        )
        return sum(ends.values()), sum(max(committed[one].offset, 0) for one in partitions)

    async def _dead(self) -> tuple[float]:
        grave = TopicPartition(self._dead_letters.topic, 0)
        consumer = self._steps[0].consumer
        ends, begins = await asyncio.gather(consumer.end_offsets([grave]), consumer.beginning_offsets([grave]))
        return (ends[grave] - begins[grave],)

    async def end_offset(self, topic: Topic, key: str) -> int:
        """End of the partition that holds this key, now."""
        partition = TopicPartition(f"{self.settings.topic_prefix}{topic}", partition_of(key))
        consumer = AIOKafkaConsumer(**self._kafka)
        await consumer.start()
        try:
            return int((await consumer.end_offsets([partition]))[partition])
        finally:
            await consumer.stop()

    async def has_passed(self, topic: Topic, key: str, end: int) -> bool:
        """Whether this service's group has processed that key's partition of the topic up to an end offset."""
        partition = TopicPartition(f"{self.settings.topic_prefix}{topic}", partition_of(key))
        committed = await self._admin.list_consumer_group_offsets(self.group(topic), partitions=[partition])
        return bool(committed[partition].offset >= end) or end == 0

    async def has_read_until(self, at: datetime, *topics: Topic) -> bool:
        """Whether its groups have processed every fact that the log took before a moment. Raises KafkaError.

        Of these topics; of all that it reads if none is named.
        """
        milliseconds = int(at.timestamp() * 1000)
        ways = {name: step for name, step in self._ways.items() if not topics or step.topic in topics}
        for name, step in ways.items():
            if step.consumer is None:  # it has not begun
                return False
            partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]
            committed, later, ends = await asyncio.gather(
                self._admin.list_consumer_group_offsets(self.group(step.topic), partitions=partitions),
                step.consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds)),
                step.consumer.end_offsets(partitions),
            )
            for one in partitions:
                # Where nothing was taken since, all there is must have been processed.
                until = ends[one] if later[one] is None else later[one].offset
                if until and committed[one].offset < until:
                    return False
        return True

    def group(self, topic: str) -> str:
        """One group for each topic read: rebalances and lag of one never touch another."""
        return f"{self.settings.topic_prefix}{self.name}.{topic}"


async def _ages(step: Step) -> tuple[float, float]:
    return step.ages_at_hand(time.time())


class NotAnswering(Exception):
    """Something that a service depends on did not answer when it started."""

    def __init__(self, service: str, what: str, error: Exception) -> None:
        super().__init__(
            f"{service}: {what} did not answer for {START_SECONDS:.0f} s ({type(error).__name__}): start it"
        )


async def _parse(records: Any, _original: Any) -> KafkaMessage:
    """Never fails, whatever the records hold: a parser that raises would be skipped silently."""
    return KafkaMessage(
        body=[], headers={}, batch_headers=[], raw_message=records, message_id="", consumer=FAKE_CONSUMER
    )


async def _decoded(message: Any, _original: Any) -> Any:
    """The step has put the events there."""
    return message.body
