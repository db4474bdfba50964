"""The envelope: CloudEvents 1.0, structured JSON, one event a Kafka message."""

import secrets
import time
from datetime import UTC, datetime
from hashlib import sha1
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

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


FIRST_INSTANT = datetime(1, 12, 31, tzinfo=UTC)
LAST_INSTANT = datetime(9999, 1, 2, tzinfo=UTC)

Instant = Annotated[AwareDatetime, Field(ge=FIRST_INSTANT, le=LAST_INSTANT)]
"""A time with its offset from UTC, of the years 2 to 9998 anywhere on earth: so the same time in UTC exists too, and
what is counted from it."""

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Which version of something, from 1; a database's `integer` holds it."""

ReferralId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")]
"""A referral's id: a UUID in lower case, with hyphens."""


class Event(Data):
    """A fact in the past tense, in its CloudEvents envelope. Each subclass is one type of fact on one topic.

    Subclasses are declared as `class BookingConfirmed(Event, type="booking.confirmed", topic=..., data=...)`
    and narrow `data`. `subject` is what the fact is about: the referral's id, or a service's or organisation's. A class
    without a type is no contract, but what several have in common.
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
    time: Instant = Field(description="when the fact became one, RFC 3339")
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
        type: str = "",
        topic: Topic | None = None,
        classification: Classification | None = None,
        version: str = "1.0",
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if not type:
            return
        if topic is None or classification is None:
            raise TypeError(f"{type} does not say its topic and its classification")
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


class ReferralEvent(Event):
    """A fact about a referral."""

    subject: ReferralId = Field(description="the referral's id")


_keep = object.__setattr__


def new_id() -> UUID:
    """Id of what begins something, version 7 (RFC 9562): the time in milliseconds, then 74 random bits.

    What is made together lies together in an index. With random ids each insert finds a page of its own, and the more
    is stored the more each costs.
    """
    random = secrets.randbits(74)
    return UUID(int=time.time_ns() // 1_000_000 << 80 | 7 << 76 | random >> 62 << 64 | 2 << 62 | random & (1 << 62) - 1)


def effect_id(cause: UUID, type: str, effect_key: str = "") -> UUID:
    """Id of an effect: `uuid5(cause, type/effect key)`. A type has no slash, so no two pairs meet."""
    digest = sha1(cause.bytes + f"{type}/{effect_key}".encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)  # as the library's uuid5, which takes twice the time
