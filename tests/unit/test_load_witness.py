"""The witness: which messages of a referral count, and when."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from aiokafka import TopicPartition

from contracts.topics import Topic
from loadtests.witness import Witness
from tests.referrals_examples import placed, receipt

PARTITION = TopicPartition(Topic.NOTIFICATIONS, 0)


class Log:
    """A consumer of what the log has: values, each with the second when it was taken in."""

    def __init__(self, referral: str, told: list[tuple[bytes, int]]) -> None:
        self._end = len(told)
        self._left = [
            SimpleNamespace(key=referral.encode(), value=value, timestamp=second * 1000, headers=())
            for value, second in told
        ]

    async def end_offsets(self, _partitions: Any) -> dict[TopicPartition, int]:
        """How many there are."""
        return {PARTITION: self._end}

    async def position(self, _partition: TopicPartition) -> int:
        """How many were read."""
        return self._end - len(self._left)

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        """All that is left."""
        left, self._left = self._left, []
        return {PARTITION: left}


async def test_a_later_message_of_a_receiver_who_does_not_acknowledge_is_none_of_the_outcomes() -> None:
    """The last message of the outcome was told after two seconds, once, whatever was told half an hour later."""
    *_, outcome, _, _, _ = placed(referral := uuid4())
    to_service, to_desk = (receipt(outcome, audience) for audience in ("service", "referrer"))
    late = receipt(outcome, "referrer")
    late = late.model_copy(
        update={"id": uuid4(), "data": late.data.model_copy(update={"reason": "referral.escalated"})}
    )
    told = [(to_service.to_json(), 1), (to_desk.to_json(), 2), (to_desk.to_json(), 3), (late.to_json(), 1_800)]
    witness = Witness(Log(str(referral), told), "afterwards", {PARTITION: 0})
    await witness.catch_up()
    seen = witness.seen[str(referral)]
    assert (2, 2.0) == (len(seen.messages), seen.told)
