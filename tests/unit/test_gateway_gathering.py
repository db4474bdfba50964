"""Serving together what waits."""

import asyncio
from collections.abc import Sequence

import pytest

from services.chassis.failures import Transient
from services.gateway.gathering import Gathering


class Counter:
    """Serves numbers, each by its double, and notes the batches. Waits at the gate where there is one."""

    def __init__(self, *, gate: asyncio.Event | None = None) -> None:
        self.batches: list[list[int]] = []
        self._gate = gate

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        """Each item's double. Refuses 13 for good, and 7 for now."""
        self.batches.append(list(items))
        if self._gate is not None:
            await self._gate.wait()
        if 13 in items:
            raise ValueError("13")
        if 7 in items:
            raise Transient("7")
        return [2 * item for item in items]


async def test_what_comes_while_all_lanes_are_busy_is_served_together() -> None:
    """One batch for all who waited, in the order in which they came."""
    gate = asyncio.Event()
    counter = Counter(gate=gate)
    gathering = Gathering(counter, lanes=1, largest=100)
    first = asyncio.create_task(gathering.serve(1))
    while not counter.batches:
        await asyncio.sleep(0)
    rest = [asyncio.create_task(gathering.serve(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    gate.set()
    assert [2, 4, 6, 8] == await asyncio.gather(first, *rest)
    assert [[1], [2, 3, 4]] == counter.batches


async def test_a_free_lane_serves_at_once() -> None:
    """Nothing waits for a timer or for company."""
    gate = asyncio.Event()
    counter = Counter(gate=gate)
    gathering = Gathering(counter, lanes=2, largest=100)
    tasks = []
    for number in (1, 2):
        tasks.append(asyncio.create_task(gathering.serve(number)))
        while len(counter.batches) < number:
            await asyncio.sleep(0)
    assert [[1], [2]] == counter.batches
    gate.set()
    await asyncio.gather(*tasks)


async def test_a_batch_is_no_larger_than_said() -> None:
    """The rest is the next batch."""
    counter = Counter()
    gathering = Gathering(counter, lanes=1, largest=2)
    assert [2, 4, 6] == await asyncio.gather(*(gathering.serve(number) for number in (1, 2, 3)))
    assert [[1, 2], [3]] == counter.batches


async def test_one_bad_item_fails_alone() -> None:
    """The others of its batch are served one by one."""
    gathering = Gathering(Counter(), lanes=1, largest=100)
    results = await asyncio.gather(*(gathering.serve(number) for number in (1, 13, 3)), return_exceptions=True)
    assert [2, ValueError, 6] == [type(one) if isinstance(one, Exception) else one for one in results]


async def test_a_failure_that_may_pass_is_not_tried_one_by_one() -> None:
    """A database that is away is not asked once more for each who waits."""
    counter = Counter()
    gathering = Gathering(counter, lanes=1, largest=100)
    results = await asyncio.gather(*(gathering.serve(number) for number in (1, 7)), return_exceptions=True)
    assert ([Transient, Transient], 1) == ([type(one) for one in results], len(counter.batches))


async def test_lanes_are_free_again_after_a_failure() -> None:
    """One failure does not end the service."""
    gathering = Gathering(Counter(), lanes=1, largest=100)
    with pytest.raises(Transient):
        await gathering.serve(7)
    assert 4 == await gathering.serve(2)


async def test_one_who_leaves_harms_nobody() -> None:
    """A request that is given up is served with its batch all the same."""
    gate = asyncio.Event()
    counter = Counter(gate=gate)
    gathering = Gathering(counter, lanes=1, largest=100)
    leaving = asyncio.create_task(gathering.serve(1))
    while not counter.batches:
        await asyncio.sleep(0)
    staying = asyncio.create_task(gathering.serve(2))
    leaving.cancel()
    gate.set()
    assert 4 == await staying
