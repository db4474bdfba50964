"""What deploy/topics.yaml declares, compared with what a Kafka holds: topics, and who may write and read them."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from services.chassis import access, topics
from services.chassis.kafka import Kafka


@dataclass(frozen=True)
class Compared:
    """What was missing or different."""

    topics: topics.Plan
    access: access.Plan | None
    """None for a Kafka that asks nobody who they are."""

    @property
    def holds(self) -> bool:
        """Nothing was."""
        held = not (self.topics.missing or self.topics.different)
        return held and (self.access is None or self.access.holds)


async def compare(kafka: Kafka, prefix: str, *, change: bool) -> Compared:
    """Compare as the administrator; with `change`, make it so, and return once it is. Raises NotTrusted."""
    await kafka.certificates_hold()
    admin = AIOKafkaAdminClient(**kafka.administrator.client())
    await admin.start()
    try:
        wanted = topics.declared(prefix)
        of_topics = await (topics.apply(admin, wanted) if change else topics.plan(admin, wanted))
    finally:
        await admin.close()
    if kafka.passwords is None:
        return Compared(of_topics, None)
    return Compared(of_topics, await asyncio.to_thread(access.apply if change else access.plan, kafka, prefix))


def described(compared: Compared, *, changed: bool) -> dict[str, Any]:
    """For programs."""
    found = compared.access
    return {
        "missing": [topic.name for topic in compared.topics.missing],
        "different": [asdict(one) for one in compared.topics.different],
        "as_declared": list(compared.topics.as_declared),
        "access": None
        if found is None
        else {
            "missing": list(map(access.sentence, found.missing)),
            "surplus": list(map(access.sentence, found.surplus)),
            "as_declared": list(map(access.sentence, found.as_declared)),
        },
        "applied": changed,
    }


def lines_of(compared: Compared, *, changed: bool) -> list[str]:
    """For people."""
    made, mended, taken = ("made", "mended", "taken back") if changed else ("to make", "to mend", "to take back")
    lines = [f"{made:8} {topic.name}, {topic.partitions} partitions" for topic in compared.topics.missing]
    lines += [f"{mended:8} {one.topic}: {one.what} {one.found} -> {one.declared}" for one in compared.topics.different]
    lines.append(f"{len(compared.topics.as_declared)} topics as declared")
    if compared.access is not None:
        lines += [f"{made:8} {access.sentence(rule)}" for rule in compared.access.missing]
        lines += [f"{taken:8} {access.sentence(rule)}" for rule in compared.access.surplus]
        lines.append(f"{len(compared.access.as_declared)} rules as declared")
    return lines
