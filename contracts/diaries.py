"""The topic `diaries`, written by booking: compacted, no personal data."""

from pydantic import Field

from contracts.envelope import Data, Event, Instant, Version
from contracts.submissions import ServiceId, SlotMinutes
from contracts.topics import Topic

MOST_FREE_SLOTS = 5


class FreeSlot(Data):
    """A slot that somebody can still be given."""

    begins: Instant
    minutes: SlotMinutes
    free: int = Field(ge=1, description="how many patients more it takes")


class DiaryReportedData(Data):
    """The next free slots or hours of a service that has some, and its version. Readers keep the highest version."""

    version: Version
    service_id: ServiceId
    as_of: Instant = Field(description="when it was so; told again only when it changes")
    next_free: tuple[FreeSlot, ...] = Field(max_length=MOST_FREE_SLOTS, description="the earliest first; none: full")
    free: int = Field(ge=0, description="patients that all its slots up to `until` still take")
    until: Instant


class DiaryReported(Event, type="diary.reported", topic=Topic.DIARIES, classification="operational"):
    """A diary has these next free slots: to be shown, never held. What is free is decided where a slot is held."""

    data: DiaryReportedData
