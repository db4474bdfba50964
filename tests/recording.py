"""A publisher and a graveyard that keep what they are given, for tests of one service without Kafka."""

from collections.abc import Sequence
from typing import Any

from contracts.envelope import Event
from services.chassis.decoding import Record


def read_again(event: Event) -> Any:
    """What was told, as its contract reads it. Raises pydantic's ValidationError where it is not what that says."""
    return Event.KNOWN[type(event).TYPE].read(event.to_json())


class RecordingPublisher:
    """Keeps what is told. Raises `failure` first, where one is set, and then forgets it."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.failure: Exception | None = None

    async def tell(self, events: Sequence[Event]) -> None:
        """Keep the events, as their contracts read what would be told."""
        self._fail_once()
        self.told.extend(map(read_again, events))

    async def tell_json(self, events: Sequence[tuple[type[Event], str, bytes]]) -> None:
        """Keep stored events, (contract, key, value) each."""
        self._fail_once()
        self.told.extend(contract.read(value) for contract, _, value in events)

    def _fail_once(self) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure


class RecordingGraveyard:
    """Keeps what is buried."""

    def __init__(self) -> None:
        self.dead: list[tuple[Record, str]] = []

    async def bury(self, dead: Sequence[tuple[Record, str]]) -> None:
        """Keep the dead records, each with why."""
        self.dead.extend(dead)


def record_of(event: Event, *, offset: int = 0) -> Record:
    """The Kafka record that an event becomes."""
    return Record(
        type(event).TOPIC,
        0,
        offset,
        event.partitionkey.encode(),
        event.to_json(),
        (("type", type(event).TYPE.encode()),),
    )
