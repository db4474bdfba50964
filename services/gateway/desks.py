"""The desks of organisations, in memory: who may submit, and who owns what they submit."""

from collections.abc import Sequence

from contracts.directory import DeskListed
from contracts.envelope import Event
from contracts.people import Desk
from services.chassis.reader import Tombstone


class Desks:
    """Every organisation's desk, as `desk.listed` says. The highest version wins, in whatever order they come."""

    def __init__(self) -> None:
        self._listed: dict[str, tuple[int, Desk]] = {}

    def learn(self, facts: Sequence[Event | Tombstone]) -> None:
        """Take in what was listed, and forget what no longer stands."""
        for event in facts:
            if isinstance(event, Tombstone):
                self._listed.pop(event.key, None)
            elif isinstance(event, DeskListed):
                version, desk = event.data.version, event.data.desk
                if version >= self._listed.get(desk.organisation, (0, desk))[0]:
                    self._listed[desk.organisation] = (version, desk)

    def of(self, organisation: str) -> Desk | None:
        """The organisation's desk, or none where it has not listed one."""
        _, desk = self._listed.get(organisation, (0, None))
        return desk
