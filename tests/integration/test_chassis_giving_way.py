"""A service that stands back on a real Kafka, while another's group is behind."""

from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY

from contracts.directory import DeskListed
from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis import giving_way
from services.chassis.giving_way import MANY
from services.chassis.kafka import Kafka
from services.chassis.service import MAX_RECORDS, Service
from tests.chassis_examples import committed, hosted, make_topics, settings, until
from tests.chassis_reading import booking, tell_desks

pytestmark = pytest.mark.backing

COUNT = MANY + 1_500


async def test_a_reader_stands_back_until_the_other_has_read(
    topics: None, kafka: Kafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first batch is full, so that it asks; it ends only when the answer is there."""
    monkeypatch.setattr(giving_way, "LONGEST_SECONDS", 60.0)
    await make_topics(kafka, prefix, "referrals.dlq")
    await tell_desks(kafka, prefix, COUNT)
    kept: list[int] = []
    history = Service("referrals", settings(kafka, prefix=prefix).model_copy(update={"gives_way": True}))

    async def keep(desks: Sequence[DeskListed]) -> Sequence[Event]:
        if not kept:
            await until(_stands_back)
        kept.extend(desk.data.version for desk in desks)
        return []

    history.reads(Topic.DESKS, keep, DeskListed, giving_way=history.gives_way(("booking", Topic.DESKS)))
    kept_at: list[int] = []

    async def read(desks: Sequence[DeskListed]) -> Sequence[Event]:
        kept_at.append(len(kept))
        return []

    async with hosted(history):
        await committed(kafka, history.group(Topic.DESKS), at_least=MAX_RECORDS)
        async with hosted(booking(kafka, prefix, read)) as other:
            await committed(kafka, other.group(Topic.DESKS), at_least=COUNT)
        await until(lambda: len(kept) == COUNT)
    assert kept_at[0] == MAX_RECORDS
    assert sorted(kept) == list(range(1, COUNT + 1))


def _stands_back() -> bool:
    return REGISTRY.get_sample_value("onward_standing_back", {"service": "referrals"}) == 1
