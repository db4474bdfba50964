"""Topics on a real broker: made as declared, mended, and never repartitioned."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.chassis.kafka import Kafka
from services.chassis.topics import (
    DeclaredTopic,
    Difference,
    PartitionsDiffer,
    TopicsRefused,
    apply,
    declared,
    plan,
)
from tests.chassis_examples import admin_of

pytestmark = pytest.mark.backing


@pytest.fixture
async def admin(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """An administrator."""
    async with admin_of(kafka) as admin:
        yield admin


@pytest.fixture
def wanted(prefix: str) -> list[DeclaredTopic]:
    """A compacted topic, one of facts, and dead letters."""
    names = {f"{prefix}{name}" for name in ("desks", "triage", "triage.dlq")}
    return [topic for topic in declared(prefix) if topic.name in names]


async def test_what_is_missing_is_made_as_declared(admin: AIOKafkaAdminClient, wanted: list[DeclaredTopic]) -> None:
    """Afterwards nothing is left to do."""
    assert tuple(wanted) == (await apply(admin, wanted)).missing
    after = await plan(admin, wanted)
    assert ((), ()) == (after.missing, after.different)
    assert {topic.name for topic in wanted} == set(after.as_declared)


async def test_every_partition_is_led_when_they_are_made(
    admin: AIOKafkaAdminClient, wanted: list[DeclaredTopic]
) -> None:
    """The first record need not wait."""
    await apply(admin, wanted)
    described = await admin.describe_topics([topic.name for topic in wanted])
    assert [12, 12, 1] == sorted((len(one["partitions"]) for one in described), reverse=True)
    assert all(partition["leader"] >= 0 for one in described for partition in one["partitions"])


async def test_applying_twice_changes_nothing(admin: AIOKafkaAdminClient, wanted: list[DeclaredTopic]) -> None:
    """Every deployment may apply."""
    await apply(admin, wanted)
    again = await apply(admin, wanted)
    assert ((), ()) == (again.missing, again.different)


async def test_a_plan_makes_nothing(admin: AIOKafkaAdminClient, wanted: list[DeclaredTopic]) -> None:
    """It may be looked at first."""
    await plan(admin, wanted)
    assert not {topic.name for topic in wanted} & set(await admin.list_topics())


async def test_a_config_that_differs_is_mended(admin: AIOKafkaAdminClient, wanted: list[DeclaredTopic]) -> None:
    """The declaration is what holds, also for a topic that has been in use."""
    desks = next(topic for topic in wanted if topic.name.endswith("desks"))
    await apply(admin, [replace(desks, config={"cleanup.policy": "delete"})])
    found = await plan(admin, wanted)
    assert Difference(desks.name, "cleanup.policy", "compact", "delete") in found.different
    assert found.different == (await apply(admin, wanted)).different
    assert () == (await plan(admin, wanted)).different


async def test_another_partition_count_is_refused_by_name(
    admin: AIOKafkaAdminClient, wanted: list[DeclaredTopic]
) -> None:
    """Keys would move: nothing at all is done."""
    desks = next(topic for topic in wanted if topic.name.endswith("desks"))
    await apply(admin, [replace(desks, partitions=3)])
    with pytest.raises(PartitionsDiffer, match=rf"^{desks.name} has 3 and not 12: "):
        await apply(admin, wanted)
    assert [desks.name] == [name for name in await admin.list_topics() if name in {topic.name for topic in wanted}]


@pytest.mark.parametrize("made_before", [False, True])
async def test_a_config_that_the_broker_refuses_is_named(
    admin: AIOKafkaAdminClient, wanted: list[DeclaredTopic], made_before: bool
) -> None:
    """Whether a topic is made or mended, a refusal is not taken for success."""
    desks = next(topic for topic in wanted if topic.name.endswith("desks"))
    if made_before:
        await apply(admin, [desks])
    with pytest.raises(TopicsRefused, match=rf"{desks.name}: .*retention\.ms"):
        await apply(admin, [replace(desks, config=desks.config | {"retention.ms": "-7"})])


async def test_several_may_apply_at_once(kafka: Kafka, wanted: list[DeclaredTopic]) -> None:
    """Two deployments, or a demo beside a test: whoever comes second finds them made."""
    async with admin_of(kafka) as one, admin_of(kafka) as another, admin_of(kafka) as third:
        await asyncio.gather(*(apply(admin, wanted) for admin in (one, another, third)))
        after = await plan(one, wanted)
    assert ((), ()) == (after.missing, after.different)
