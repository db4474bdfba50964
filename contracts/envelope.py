"""The envelope: CloudEvents 1.0, structured JSON, one event a Kafka message."""

from datetime import UTC, datetime
from hashlib import sha1
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from contracts.topics import Topic

Classification = Literal["clinical", "personal", "operational"]


class Data(BaseModel):
    """A typed, frozen value. Unknown attributes are kept when it is passed on, and ignored when it is read."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the NUL character, which no database can store")
    return text


Text = Annotated[str, AfterValidator(_without_nul)]


def _in_utc(instant: datetime) -> datetime:
    try:
        instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC too") from None
    return instant


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time that a stranger names: its offset may push it out of the calendar."""


class Event(Data):
    """A fact in the past tense, in its CloudEvents envelope. Each subclass is one type of fact on one topic.

    Subclasses are declared as `class BookingConfirmed(Event, type="booking.confirmed", topic=..., data=...)`
    and narrow `data`. `subject` is what the fact is about: the referral's id, or a service's or organisation's.
    """

    TYPE: ClassVar[str] = ""
    TOPIC: ClassVar[Topic]
    CLASSIFICATION: ClassVar[Classification]
    SCHEMA_VERSION: ClassVar[str] = "1.0"
    KNOWN: ClassVar[dict[str, type["Event"]]] = {}

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    type: str
    source: str = Field(description="which service, and for which organisation")
    subject: str = Field(max_length=200)
    time: AwareDatetime = Field(description="when the fact became one, RFC 3339")
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str = Field(description="address and version of the schema in contracts/schemas")
    partitionkey: str = Field(max_length=200, description="the Kafka key")
    causationid: UUID | None = Field(default=None, description="the event that caused this one")
    correlationid: UUID = Field(
        description="the transaction that it belongs to: the id of the event that began it, a submission or an action"
    )
    traceparent: str | None = Field(default=None, description="W3C trace context")
    dataclassification: Classification
    data: Data

    __slots__ = ("_kept",)  # the JSON as it was read or first made; a private attribute of pydantic costs 3 µs an event

    def __init_subclass__(
        cls,
        *,
        type: str,
        topic: Topic,
        classification: Classification,
        version: str = "1.0",
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.TYPE = type
        cls.TOPIC = topic
        cls.CLASSIFICATION = classification
        cls.SCHEMA_VERSION = version
        if type in Event.KNOWN:
            raise TypeError(f"two contracts claim the type {type}")
        Event.KNOWN[type] = cls

    @classmethod
    def schema_address(cls) -> str:
        """Address of this contract's frozen schema: type and version, as in contracts/schemas."""
        return f"urn:onward:contracts:{cls.TYPE}:{cls.SCHEMA_VERSION}"

    @classmethod
    def first(cls, data: Data, *, id: UUID, source: str, subject: str, time: datetime, key: str | None = None) -> Self:
        """A fact without a cause on the log: it begins its own transaction."""
        return cls(
            id=id,
            type=cls.TYPE,
            source=source,
            subject=subject,
            time=time,
            dataschema=cls.schema_address(),
            partitionkey=key or subject,
            correlationid=id,
            dataclassification=cls.CLASSIFICATION,
            data=data,
        )

    @classmethod
    def effect_of(cls, cause: "Event", data: Data, *, source: str, time: datetime, effect_key: str = "") -> Self:
        """The fact that follows from `cause`.

        Its id is made of the cause's id, the type and the effect key, so a repeated step makes the same id. The
        effect key names the individual where one cause has several effects of a type (recipient and reason).
        """
        return cls(
            id=effect_id(cause.id, cls.TYPE, effect_key),
            type=cls.TYPE,
            source=source,
            subject=cause.subject,
            time=time,
            dataschema=cls.schema_address(),
            partitionkey=cause.partitionkey,
            causationid=cause.id,
            correlationid=cause.correlationid,
            traceparent=cause.traceparent,
            dataclassification=cls.CLASSIFICATION,
            data=data,
        )

    @classmethod
    def read(cls, value: bytes) -> Self:
        """The event in a Kafka value, which is kept as it came. Raises pydantic's ValidationError."""
        event = cls.model_validate_json(value)
        _keep(event, "_kept", value)
        return event

    def to_json(self) -> bytes:
        """The Kafka value, UTF-8 JSON: as it was read, or made anew for a new event."""
        kept: bytes | None = getattr(self, "_kept", None)
        if kept is None:
            kept = self.__pydantic_serializer__.to_json(self)
            _keep(self, "_kept", kept)
        return kept


_keep = object.__setattr__


def effect_id(cause: UUID, type: str, effect_key: str = "") -> UUID:
    """Id of an effect: `uuid5(cause, type/effect key)`. A type has no slash, so no two pairs meet."""
    digest = sha1(cause.bytes + f"{type}/{effect_key}".encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)  # as the library's uuid5, which takes twice the time
