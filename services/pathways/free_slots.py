"""The next free slots of services, in memory, as booking tells them. To be shown; ranking does not ask."""

from collections.abc import Sequence

from contracts.diaries import DiaryReported, DiaryReportedData
from contracts.envelope import Event
from services.chassis.reader import Tombstone


class FreeSlots:
    """What was last told of each diary. The highest version wins, in whatever order they come."""

    def __init__(self) -> None:
        self._reported: dict[str, DiaryReportedData] = {}

    def learn(self, read: Sequence[Event | Tombstone]) -> None:
        """Take in what the topic says."""
        for one in read:
            match one:
                case DiaryReported(data=reported):
                    known = self._reported.get(reported.service_id)
                    if known is None or reported.version > known.version:
                        self._reported[reported.service_id] = reported
                case Tombstone(key=service_id):
                    self._reported.pop(service_id, None)

    def of(self, service_id: str) -> DiaryReportedData | None:
        """What was last told of a service; none where booking has told nothing of it."""
        return self._reported.get(service_id)
