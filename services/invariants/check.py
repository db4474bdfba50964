"""Checking a system: each invariant, how much it looked at, and what breaks it."""

from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from contracts.topics import Topic
from services.chassis.kafka import Kafka
from services.invariants.log import Log, Logged, Origin, Seen, Unreadable, consumer
from services.invariants.stored import STORED
from services.invariants.told import FACTS, KEPT, LED, schemas_of

FLOW = (
    Topic.NOTIFICATIONS,
    Topic.BOOKINGS,
    Topic.PLACEMENTS,
    Topic.REFERRALS,
    Topic.TRIAGE,
    Topic.SUBMISSIONS,
)
"""From the last to the first: an effect is seen before its cause is looked at."""

_READ = (
    *((led.reader, led.topic, (led.type,)) for led in LED),
    *((kept.reader, kept.topic, kept.types) for kept in KEPT),
)
READERS = {
    (reader, topic): frozenset(type_ for one, read, types in _READ if (one, read) == (reader, topic) for type_ in types)
    for reader, topic, _ in _READ
}
"""Who reads what, and which types of it."""

EXAMPLES = 5
AT_HOME = "A fact is on the partition of its key, where every other client would look for it"
BURIED = "A record that is no fact stands among the dead letters of every reader of its type that is past it"


@dataclass
class Finding:
    """What came of one invariant."""

    sentence: str
    looked_at: int = 0
    """Facts; of tables, which are looked at whole, 0."""
    broken: int = 0
    examples: list[str] = field(default_factory=list)
    """Ids, never patient data."""
    unchecked: str | None = None
    """Why it could not be checked."""

    def breaks(self, ids: Sequence[object]) -> None:
        """These break it."""
        self.broken += len(ids)
        self.examples += [str(one) for one in ids[: EXAMPLES - len(self.examples)]]


@dataclass(frozen=True)
class Checked:
    """What came of a whole check."""

    findings: tuple[Finding, ...]
    behind: dict[str, int]
    """By group: how many records it has not committed. They are under way, and not asked for."""
    dead_letters: dict[str, int]
    """By reader."""

    @property
    def holds(self) -> bool:
        """Whether nothing is broken."""
        return not any(one.broken for one in self.findings)


async def check(kafka: Kafka, database_url: str, *, prefix: str = "", since: datetime | None = None) -> Checked:
    """Check every invariant, of facts told since a moment or of all that the log still has. Changes nothing.

    As the administrators, for nobody else may read everything.

    Raises aiokafka's and asyncpg's errors when Kafka or PostgreSQL does not answer, or refuses the reading.
    """
    reading = consumer(kafka.administrator)
    admin = AIOKafkaAdminClient(**kafka.administrator.client())
    await reading.start()
    try:
        await admin.start()
        log = await Log.now(reading, admin, prefix, [_group(*one) for one in READERS])
        # The snapshot is from after the offsets: what a group has committed is in it.
        async with _snapshot(database_url) as connection:
            return await _Check(log, connection, None if since is None else int(since.timestamp() * 1000)).run()
    finally:
        await reading.stop()
        await admin.close()


@asynccontextmanager
async def _snapshot(database_url: str) -> Any:
    connection = await asyncpg.connect(database_url, server_settings={"jit": "off"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        await connection.close()


def _group(reader: str, topic: str) -> str:
    return f"{reader}.{topic}"


class _Check:
    """One walk over everything."""

    def __init__(self, log: Log, connection: Any, since_ms: int | None) -> None:
        self._log = log
        self._connection = connection
        self._since_ms = since_ms
        self._seen = Seen()
        self._schemas: set[str] = set()
        self._buried: dict[str, set[Origin]] = {}
        self._at_home = Finding(AT_HOME)
        self._unreadable = Finding(BURIED)
        self._led = {one: Finding(one.sentence) for one in LED}
        self._kept = {one: Finding(one.sentence) for one in KEPT}

    async def run(self) -> Checked:
        """Every finding."""
        try:
            self._schemas = {row[0] for row in await self._connection.fetch("select nspname from pg_namespace")}
            stored = [await self._of_tables(one.sentence, one.broken) for one in STORED]
            for reader in {reader for reader, _ in READERS}:
                self._buried[reader] = await self._log.buried(reader)
            for topic in FLOW:
                async for chunk in self._log.facts(topic, self._since_ms):
                    await self._look_at(topic, chunk)
        finally:
            self._seen.close()
        return Checked(
            findings=(*stored, self._at_home, self._unreadable, *self._led.values(), *self._kept.values()),
            behind={_group(reader, topic): self._log.behind(_group(reader, topic), topic) for reader, topic in READERS},
            dead_letters={reader: len(origins) for reader, origins in sorted(self._buried.items())},
        )

    async def _of_tables(self, sentence: str, broken: str) -> Finding:
        finding = Finding(sentence, unchecked=self._without(broken))
        if finding.unchecked is None:
            finding.breaks([row[0] for row in await self._connection.fetch(broken)])
        return finding

    def _without(self, query: str) -> str | None:
        missing = sorted(schemas_of(query) - self._schemas)
        return f"this database has no schema {', '.join(missing)}" if missing else None

    async def _look_at(self, topic: Topic, chunk: Sequence[Logged | Unreadable]) -> None:
        logged = [one for one in chunk if isinstance(one, Logged)]
        self._at_home.looked_at += len(logged)
        self._at_home.breaks([one.id for one in logged if not one.at_home])
        # The log may hold a fact more than once.
        facts = list({one.id: one for one in logged}.values())
        self._seen.add(topic, facts)
        self._look_at_unreadable(topic, [one for one in chunk if isinstance(one, Unreadable)])
        for led, finding in self._led.items():
            if led.topic == topic:
                causes = {one.id: one for one in self._asked_of(led.reader, topic, facts) if one.type == led.type}
                finding.looked_at += len(causes)
                alone = self._seen.without_effect(list(causes), led.onto, led.effects)
                if alone and led.not_yet is not None and self._without(led.not_yet) is None:
                    known = await self._ids(led.not_yet, [causes[one] for one in alone])
                    alone = [one for one in alone if one not in known]
                finding.breaks(alone)
        for kept, finding in self._kept.items():
            if kept.topic == topic:
                asked = [one for one in self._asked_of(kept.reader, topic, facts) if one.type in kept.types]
                await self._look_at_kept(kept.missing, asked, finding)

    def _asked_of(self, reader: str, topic: str, facts: Sequence[Logged]) -> Iterator[Logged]:
        """Facts that a reader is past, and that it did not bury."""
        group, buried = _group(reader, topic), self._buried[reader]
        return (one for one in facts if self._log.has_committed(group, one.origin) and one.origin not in buried)

    def _look_at_unreadable(self, topic: str, records: Sequence[Unreadable]) -> None:
        for (reader, read), types in READERS.items():
            if read == topic:
                past = [
                    one.origin
                    for one in records
                    if (one.type is None or one.type in types)
                    and self._log.has_committed(_group(reader, topic), one.origin)
                ]
                self._unreadable.looked_at += len(past)
                self._unreadable.breaks(
                    [f"{reader}: {'/'.join(map(str, one))}" for one in past if one not in self._buried[reader]]
                )

    async def _look_at_kept(self, missing: str, asked: Sequence[Logged], finding: Finding) -> None:
        finding.unchecked = self._without(missing)
        if finding.unchecked is None and asked:
            finding.looked_at += len(asked)
            finding.breaks(await self._ids(missing, asked))

    async def _ids(self, query: str, facts: Sequence[Logged]) -> list[Any]:
        """What a query over these facts finds."""
        columns: list[list[UUID | bytes | None]] = [
            [one.id for one in facts],
            [one.referral for one in facts],
            [one.transaction for one in facts],
            [one.placement for one in facts],
            [one.digest for one in facts],
        ]
        return [row[0] for row in await self._connection.fetch(FACTS + query, *columns)]
