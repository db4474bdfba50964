"""What a dead letter means to people: whose it is, until when, what is wrong with it, and what to do."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.envelope import Event
from contracts.people import Desk
from services.chassis.dead_letters import DeadLetter
from services.chassis.decoding import Record, Unreadable, decode

LOOK_WITHIN = timedelta(minutes=15)
"""How soon an owner must look at what could not be read: as soon as a submission must be answered."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter as this service keeps it."""

    number: int
    letter: DeadLetter
    referral_id: UUID | None
    replayed_at: datetime | None


class Header(BaseModel):
    """A header of a record. A value that is no text is shown in base64, and said to be."""

    name: str
    value: str | None
    base64: bool = False


class DeathShown(BaseModel):
    """One time that a reader could not use the record."""

    why: str
    origin: Annotated[str, Field(description="where it was read: topic/partition/offset")]


class Listed(BaseModel):
    """A dead letter without its content."""

    number: Annotated[int, Field(description="what it is called by")]
    reader: Annotated[str, Field(description="the service that could not use it")]
    topic: Annotated[str, Field(description="the topic that it first came on")]
    at: Annotated[AwareDatetime, Field(description="when it was put aside")]
    due: Annotated[AwareDatetime, Field(description="when somebody must have looked")]
    why: Annotated[str, Field(description="the latest reason; it quotes nothing of the record")]
    origin: Annotated[str, Field(description="where it was read last: topic/partition/offset")]
    deaths: Annotated[int, Field(description="how often it could not be used; more than one when it was sent again")]
    referral_id: UUID | None
    replayed_at: AwareDatetime | None


class Shown(Listed):
    """A dead letter with its content, its history, and what to do."""

    key: str | None
    value: Annotated[str | None, Field(description="as text, or in base64; none for a tombstone")]
    value_is_base64: bool
    headers: list[Header]
    history: Annotated[list[DeathShown], Field(description="each time that it could not be used, the first one first")]
    fault: Annotated[str | None, Field(description="what of its contract it breaks as contracts stand now, if any")]
    advice: str


class UnreadableReferral(BaseModel):
    """A referral of which a service could not read something: its owner must see to the patient."""

    referral_id: UUID
    reader: Annotated[str, Field(description="the service that could not read it, and so has not done its part")]
    topic: str
    at: AwareDatetime
    owner: Desk
    due: AwareDatetime
    next_step: str


class UnreadableReferrals(BaseModel):
    """The worklist of an organisation's desk, the most urgent first."""

    items: list[UnreadableReferral]


class DeadLetterList(BaseModel):
    """Dead letters in the order in which they came."""

    dead_letters: list[Listed]
    more_after: Annotated[int | None, Field(description="ask again with `after` of this for the rest")] = None


NOT_DONE: Mapping[str, str] = {
    "gateway": "The sender may wait for an answer: tell them by telephone.",
    "triage": "It has not been triaged: a clinician decides how urgent it is and where the patient goes.",
    "pathways": "No service has been searched for: a clinician decides where the patient goes.",
    "booking": "No place has been booked: book one by telephone, or decide where the patient goes.",
    "notification": "Somebody has not been told: tell the patient and the receiving service by telephone.",
    "referrals": "What is shown of it here may be out of date: ask the receiving service.",
}
"""What the desk does when a service could not do its part."""


def due_of(at: datetime, otherwise: datetime | None = None) -> datetime:
    """When the owner must have looked: within a quarter of an hour, or when the referral itself is due if sooner."""
    own = at + LOOK_WITHIN
    return own if otherwise is None else min(own, otherwise)


def referral_of(key: bytes | None) -> UUID | None:
    """The referral that a record is keyed by, if it is keyed by one."""
    try:
        return UUID((key or b"").decode())
    except ValueError:
        return None


def listed(kept: Kept) -> Listed:
    """A dead letter without its content."""
    return Listed(**_listed(kept))


def shown(kept: Kept, prefix: str) -> Shown:
    """A dead letter with its content; `prefix` stands before the names of topics."""
    letter = kept.letter
    fault = fault_of(letter, prefix)
    value, is_base64 = _text(letter.value)
    return Shown(
        **_listed(kept),
        key=_text(letter.key)[0],
        value=value,
        value_is_base64=is_base64,
        headers=[Header(name=name, **_header(raw)) for name, raw in letter.headers],
        history=[DeathShown(why=death.why, origin=death.origin) for death in letter.deaths],
        fault=fault,
        advice=advice(letter, fault),
    )


def fault_of(letter: DeadLetter, prefix: str) -> str | None:
    """What the record breaks of the contracts of its topic as they stand now; none when it holds."""
    topic = letter.topic.removeprefix(prefix)
    contracts = {name: contract for name, contract in Event.KNOWN.items() if topic == contract.TOPIC}
    if not contracts:
        return f"no contract is told on the topic {topic}" if topic else "nothing says which topic it came on"
    try:
        event = decode(Record(topic, 0, 0, letter.key, letter.value, letter.headers), contracts)
    except Unreadable as error:
        return str(error)
    return None if event is not None else f"its type is none of {', '.join(sorted(contracts))}"


def advice(letter: DeadLetter, fault: str | None) -> str:
    """What to do about a dead letter."""
    if fault is not None:
        return (
            "It breaks its contract, and would again: mend what wrote it and have the fact told anew. "
            "Send it again only when the contract is to blame and has been mended."
        )
    if letter.deaths[-1].why.startswith("a bug"):
        return f"It holds against its contract; {letter.reader} failed on it. Send it again when that is mended."
    return f"It holds against its contract. Send it again when what {letter.reader} said is no longer so."


def _listed(kept: Kept) -> dict[str, object]:
    letter = kept.letter
    last = letter.deaths[-1] if letter.deaths else None
    return {
        "number": kept.number,
        "reader": letter.reader,
        "topic": letter.topic,
        "at": letter.at,
        "due": due_of(letter.at),
        "why": last.why if last else "nothing says why",
        "origin": last.origin if last else "",
        "deaths": len(letter.deaths),
        "referral_id": kept.referral_id,
        "replayed_at": kept.replayed_at,
    }


def _text(raw: bytes | None) -> tuple[str | None, bool]:
    if raw is None:
        return None, False
    try:
        return raw.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode(), True


def _header(raw: bytes | None) -> dict[str, object]:
    value, is_base64 = _text(raw)
    return {"value": value, "base64": is_base64}
