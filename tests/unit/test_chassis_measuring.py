"""What is counted when somebody asks."""

import math
from uuid import uuid4

from prometheus_client import REGISTRY

from services.chassis.measuring import Measuring
from services.chassis.metrics import OUTBOX_OLDEST, OUTBOX_WAITING
from services.gateway.outcomes import Confirmed
from services.gateway.outstanding import Outstanding


def waiting(service: str) -> float | None:
    """What the registry has of a gauge."""
    return REGISTRY.get_sample_value("onward_outbox_waiting", {"service": service})


async def test_counted_when_asked_and_no_more_often_than_once_a_second() -> None:
    """The second question within a second is answered with the first count."""
    asked = 0

    async def count() -> tuple[float, float]:
        nonlocal asked
        asked += 1
        return 7, 1.5

    measuring = Measuring("measured")
    measuring.add([OUTBOX_WAITING, OUTBOX_OLDEST], count)
    assert 0 == asked
    await measuring.measure()
    await measuring.measure()
    assert (1, 7.0) == (asked, waiting("measured"))


async def test_what_cannot_be_counted_is_no_number() -> None:
    """It neither fails the scrape nor keeps an old number; what can be counted beside it is."""

    async def away() -> tuple[float, float]:
        raise OSError("Ada Example")

    async def count() -> tuple[float]:
        return (3,)

    measuring = Measuring("unmeasured")
    measuring.add([OUTBOX_WAITING], away)
    measuring.add([OUTBOX_OLDEST], count)
    OUTBOX_WAITING.labels("unmeasured").set(5)
    await measuring.measure()
    assert math.isnan(waiting("unmeasured") or 0.0)
    assert 3.0 == REGISTRY.get_sample_value("onward_outbox_oldest_seconds", {"service": "unmeasured"})


async def test_submissions_are_outstanding_until_their_outcome() -> None:
    """The oldest is the one told first, even if it is told again; an outcome of others' changes nothing."""
    now = 100.0
    ours = Outstanding(60, lambda: now)
    first, second = uuid4(), uuid4()

    def outcome(transaction: object) -> Confirmed:
        return Confirmed.model_construct(correlationid=transaction)

    assert (0, 0.0) == await ours.count()
    ours.begin(first)
    now = 103.0
    ours.begin(second)
    ours.begin(first)
    ours.settle([outcome(uuid4())])
    assert (2, 3.0) == await ours.count()
    ours.settle([outcome(first)])
    assert (1, 0.0) == await ours.count()
    ours.settle([outcome(second), outcome(second)])
    assert (0, 0.0) == await ours.count()
