"""Free slots in memory: the highest version counts."""

from itertools import permutations

import pytest

from contracts.topics import Topic
from services.chassis.reader import Tombstone
from services.pathways.free_slots import FreeSlots
from tests.pathways_examples import diary


@pytest.mark.parametrize("order", permutations((1, 2, 3)), ids=str)
def test_the_highest_version_counts_in_any_order(order: tuple[int, ...]) -> None:
    """Each service for itself."""
    slots = FreeSlots()
    slots.learn([diary("S1", version=version, free=version) for version in order])
    slots.learn([diary("S2", version=1, free=9)])
    assert (3, 9, None) == (free_of(slots, "S1"), free_of(slots, "S2"), slots.of("S3"))


def test_a_tombstone_forgets() -> None:
    """Nothing is known of the service any more."""
    slots = FreeSlots()
    slots.learn([diary("S1"), Tombstone(Topic.DIARIES, "S1"), Tombstone(Topic.DIARIES, "NOBODY")])
    assert slots.of("S1") is None


def free_of(slots: FreeSlots, service_id: str) -> int | None:
    """How many patients a service still takes."""
    reported = slots.of(service_id)
    return reported and reported.free
