"""Topics as they are declared in deploy/topics.yaml: what is missing, what differs, and making them so."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pydantic import BaseModel, ConfigDict

DECLARED_IN = Path(__file__).parents[2] / "deploy" / "topics.yaml"
SETTLE_SECONDS = 30.0
EXISTS = 36
"""Kafka's error code for a topic that another made meanwhile."""


class _Defaults(BaseModel):
    model_config = ConfigDict(extra="forbid")
    partitions: int
    replication: int
    config: dict[str, str | int]


class _Topic(BaseModel):
    model_config = ConfigDict(extra="forbid")
    written_by: str
    read_by: list[str]
    lag_seen_by: list[str] = []
    config: dict[str, str | int] = {}


class _DeadLetters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    readers: list[str]
    read_by: list[str]
    sent_again_by: list[str]
    partitions: int
    config: dict[str, str | int] = {}


class Declaration(BaseModel):
    """The content of deploy/topics.yaml."""

    model_config = ConfigDict(extra="forbid")
    defaults: _Defaults
    topics: dict[str, _Topic]
    dead_letters: _DeadLetters


@dataclass(frozen=True, slots=True)
class DeclaredTopic:
    """A topic as it should be."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something about a topic that is not as declared."""

    topic: str
    what: str
    declared: str
    found: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `apply` would do."""

    missing: tuple[DeclaredTopic, ...]
    different: tuple[Difference, ...]
    as_declared: tuple[str, ...]


def read(file: Path = DECLARED_IN) -> Declaration:
    """What a file declares. Raises pydantic's ValidationError, with the place of each fault."""
    return Declaration.model_validate(yaml.safe_load(file.read_text()))


def declared(prefix: str = "", file: Path = DECLARED_IN) -> list[DeclaredTopic]:
    """The topics that a file declares. Raises pydantic's ValidationError, with the place of each fault."""
    declaration = read(file)
    defaults = declaration.defaults

    def topic(name: str, partitions: int, config: dict[str, str | int]) -> DeclaredTopic:
        whole = {key: str(value) for key, value in (defaults.config | config).items()}
        return DeclaredTopic(f"{prefix}{name}", partitions, defaults.replication, whole)

    of_facts = [topic(name, defaults.partitions, one.config) for name, one in declaration.topics.items()]
    dead = declaration.dead_letters
    return of_facts + [
        topic(f"{reader}.{kind}", dead.partitions, dead.config) for reader in dead.readers for kind in ("dlq", "replay")
    ]


def readers_with_dead_letters(file: Path = DECLARED_IN) -> list[str]:
    """The services that have dead letters."""
    return read(file).dead_letters.readers


def writers(file: Path = DECLARED_IN) -> dict[str, str]:
    """The service that writes each topic of facts."""
    topics = Declaration.model_validate(yaml.safe_load(file.read_text())).topics
    return {name: topic.written_by for name, topic in topics.items()}


async def plan(admin: AIOKafkaAdminClient, wanted: Sequence[DeclaredTopic]) -> Plan:
    """Compare what is declared with what the broker has."""
    there = set(await admin.list_topics())
    present = [topic for topic in wanted if topic.name in there]
    different = await _differences(admin, present) if present else []
    unlike = {difference.topic for difference in different}
    return Plan(
        missing=tuple(topic for topic in wanted if topic.name not in there),
        different=tuple(different),
        as_declared=tuple(topic.name for topic in present if topic.name not in unlike),
    )


async def _differences(admin: AIOKafkaAdminClient, present: Sequence[DeclaredTopic]) -> list[Difference]:
    different = []
    described: list[dict[str, Any]] = await admin.describe_topics([topic.name for topic in present])
    partitions = {one["topic"]: len(one["partitions"]) for one in described}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in present])
    configs = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
    for topic in present:
        if partitions[topic.name] != topic.partitions:
            found = str(partitions[topic.name])
            different.append(Difference(topic.name, "partitions", str(topic.partitions), found))
        for key, value in topic.config.items():
            found = str(configs[topic.name].get(key))
            if found != value:
                different.append(Difference(topic.name, key, value, found))
    return different


class TopicMissing(Exception):
    """A topic does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the topic {name} does not exist: run `onward topics apply`")


class PartitionsDiffer(Exception):
    """Partition counts never change, and a topic has another count than declared."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        shown = ", ".join(f"{one.topic} has {one.found} and not {one.declared}" for one in differences)
        super().__init__(f"{shown}: move its records to a new system, or change the declaration before it is used")


class TopicsRefused(Exception):
    """The broker would not make or mend some topics."""

    def __init__(self, refused: Sequence[str]) -> None:
        super().__init__("; ".join(refused))


async def apply(admin: AIOKafkaAdminClient, wanted: Sequence[DeclaredTopic]) -> Plan:
    """Make what is missing and mend what differs; return once all of it holds. Returns what it did.

    Raises PartitionsDiffer and TopicsRefused.
    """
    found = await plan(admin, wanted)
    wrong_count = [one for one in found.different if one.what == "partitions"]
    if wrong_count:
        raise PartitionsDiffer(wrong_count)
    if found.missing:
        brokers = len((await admin.describe_cluster())["brokers"])
        made = await admin.create_topics(
            [NewTopic(t.name, t.partitions, min(t.replication, brokers), topic_configs=t.config) for t in found.missing]
        )
        refused = [f"{name}: {message or code}" for name, code, message in made.topic_errors if code not in (0, EXISTS)]
        if refused:
            raise TopicsRefused(refused)
    unlike = {one.topic for one in found.different}
    if unlike:
        mended = await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, t.name, configs=t.config) for t in wanted if t.name in unlike]
        )
        refused = [f"{one[3]}: {one[1] or one[0]}" for answer in mended for one in answer.resources if one[0]]
        if refused:
            raise TopicsRefused(refused)
    await _hold(admin, wanted)
    return found


async def _hold(admin: AIOKafkaAdminClient, wanted: Sequence[DeclaredTopic]) -> None:
    """Wait until each partition has a leader and each setting holds: a broker learns of both some time after it agreed.

    A partition without a leader would refuse its first records. Raises TopicsRefused.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        described = await admin.describe_topics([topic.name for topic in wanted])
        led = {
            one["topic"] for one in described if one["partitions"] and all(p["leader"] >= 0 for p in one["partitions"])
        }
        lacking = [f"{topic.name}: a partition has no leader" for topic in wanted if topic.name not in led]
        if not lacking:
            lacking = [f"{one.topic}: {one.what} stays {one.found}" for one in await _differences(admin, wanted)]
        if not lacking:
            return
        if time.monotonic() > deadline:
            raise TopicsRefused(lacking)
        await asyncio.sleep(0.05)
