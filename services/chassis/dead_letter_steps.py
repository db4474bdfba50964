"""Two steps of another kind: over records that a person sent again, and over the dead letters of every reader."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from contracts.envelope import Event
from services.chassis.dead_letters import dead_letter_in, first_origin
from services.chassis.decoding import Record
from services.chassis.metrics import READ
from services.chassis.step import Handler, Step


class ReplayStep(Step):
    """Records that a person sent again to this reader alone: each goes the way of the topic that it first came on."""

    def __init__(self, ways: Mapping[str, Step], **step: Any) -> None:
        """`ways` is the step of each topic, by its name on the broker; what comes from no such topic is buried."""
        super().__init__(topic="replay", types=(), handler=_tell_nothing, **step)
        self._ways = ways

    async def run(self, records: Sequence[Record], handle: Handler | None = None) -> None:
        """Process them a topic at a time, in order. What cannot be used becomes a new dead letter, with its history."""
        for origin, group in groupby(records, key=first_origin):
            part = list(group)
            if origin in self._ways:
                await self._ways[origin].run(part)
            else:
                astray = [(record, f"sent again to {self.reader}, which never read it") for record in part]
                await self._bury(astray, unreadable=len(astray))


class DeadLetterStep(Step):
    """Dead letters of every reader, whatever they hold. None of them makes another one: a bug stops the service."""

    def __init__(self, readers: Mapping[str, str], **step: Any) -> None:
        """`readers` says whose dead letters each topic has, by its name on the broker."""
        super().__init__(topic="dead-letters", types=(), **step)
        self._readers = readers

    async def run(self, records: Sequence[Record], handle: Handler | None = None) -> None:
        """Hand them over as they are."""
        await (handle or self.handler)([dead_letter_in(record, self._readers[record.topic]) for record in records])
        READ.labels(self.reader, self.topic).inc(len(records))

    async def _survive(self, records: Sequence[Record], handle: Handler) -> None:
        await self.run(records, handle)


async def _tell_nothing(_events: Sequence[Any]) -> Sequence[Event]:
    return ()
