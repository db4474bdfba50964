"""A service that reads desks from a real Kafka, and what it told."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from contracts.directory import CapacityReported, DeskListed
from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.step import Step
from tests.chassis_examples import desk, effect, everything_on, hosted, settings, tell_effects

Handle = Callable[[Sequence[DeskListed]], Awaitable[Sequence[Event]]]


def booking(kafka: Kafka, prefix: str, handler: Handle = tell_effects, *, replica: str = "") -> Service:
    """A service that reads desks and tells capacities."""
    service = Service("booking", settings(kafka, prefix=prefix).model_copy(update={"replica": replica}))
    service.reads(Topic.DESKS, handler, DeskListed)
    return service


async def tell_desks(kafka: Kafka, prefix: str, count: int, *, first: int = 1) -> list[UUID]:
    """Desks of 50 keys, numbered in order. Returns the ids of their effects."""
    async with hosted(Service("pathways", settings(kafka, prefix=prefix))) as service:
        events = [desk(f"key-{n % 50}", version=n) for n in range(first, first + count)]
        await service.publisher.tell(events)
    return [effect(event).id for event in events]


async def told(kafka: Kafka, prefix: str) -> Counter[UUID]:
    """How often each effect was told."""
    records = await everything_on(kafka, f"{prefix}capacity")
    return Counter(CapacityReported.read(record.value).id for record in records)


async def versions_by_key(kafka: Kafka, prefix: str) -> dict[bytes, list[int]]:
    """The versions of the effects of each key, as told."""
    versions: dict[bytes, list[int]] = {}
    for record in await everything_on(kafka, f"{prefix}capacity"):
        versions.setdefault(record.key, []).append(CapacityReported.read(record.value).data.version)
    return versions


def count_assignments(step: Step, into: Counter[str]) -> None:
    """Count how often a step is assigned partitions from now on."""
    assigned = step.on_partitions_assigned

    async def counted(partitions: object) -> None:
        into[step.topic] += 1
        await assigned(partitions)

    step.on_partitions_assigned = counted  # type: ignore[method-assign]
