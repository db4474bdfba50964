"""What receivers answer that keep their own diaries, and what of it cannot be believed. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.bookings import Refusal
from contracts.envelope import Instant
from contracts.submissions import ServiceId

MOST_SLOTS = 500


class Said(BaseModel):
    """Something that a receiver said; what it says beyond is ignored."""

    model_config = ConfigDict(frozen=True)


class Offer(Said):
    """A slot that it would give."""

    starts_at: Instant
    minutes: int = Field(ge=5, le=480)
    capacity: int = Field(ge=1, le=1000)
    free: int = Field(ge=1, le=1000)


class Offers(Said):
    """Every slot that it would give within the times that it was asked for."""

    slots: tuple[Offer, ...] = Field(max_length=MOST_SLOTS)


class Booked(Said):
    """What it has booked under a key."""

    key: UUID
    service_id: ServiceId
    starts_at: Instant
    minutes: int
    reference: str = Field(pattern=r"^[A-Za-z0-9-]{1,40}$")


class Wanted(NamedTuple):
    """What a receiver is asked to book, and under which key. All that it is told: nothing of the patient."""

    key: UUID
    service_id: str
    starts_at: datetime
    minutes: int


class Got(NamedTuple):
    """What a receiver booked for us."""

    wanted: Wanted
    reference: str


class NotGot(NamedTuple):
    """It did not, and why. What was asked for last must be given back, whatever was answered."""

    why: Refusal
    wanted: Wanted | None = None


def fault_of_offers(offers: Offers, begin: datetime, until: datetime) -> str | None:
    """Why these cannot be slots that begin from `begin` to `until`; none where they can."""
    for offer in offers.slots:
        if not begin <= offer.starts_at <= until:
            return "it offers a slot outside the times that it was asked for"
        if offer.free > offer.capacity:
            return "it offers more places of a slot than the slot has"
    if len({offer.starts_at for offer in offers.slots}) < len(offers.slots):
        return "it offers one time twice"
    return None


def fault_of_booked(booked: Booked, wanted: Wanted) -> str | None:
    """Why this is not what was asked for; none where it is."""
    if booked.key != wanted.key:
        return "it booked under another key"
    if booked.service_id != wanted.service_id:
        return "it booked another service"
    if (booked.starts_at, booked.minutes) != (wanted.starts_at, wanted.minutes):
        return "it booked another slot"
    return None


class Ours(NamedTuple):
    """How many of our own patients are in a slot, or may be."""

    asked: int
    held: int


def choose(offers: Offers, ours: Mapping[datetime, Ours]) -> Offer | None:
    """The first slot that is offered and that our own patients, those that may yet be booked too, leave room in."""
    for offer in sorted(offers.slots, key=lambda one: one.starts_at):
        asked, held = ours.get(offer.starts_at, Ours(0, 0))
        if asked + held < offer.capacity and asked < offer.free:
            return offer
    return None


def double_booked(offers: Offers, ours: Mapping[datetime, Ours]) -> bool:
    """Whether it offers a slot that it has given to our own patients already, as many as it takes."""
    return any(ours[one.starts_at].held >= one.capacity for one in offers.slots if one.starts_at in ours)
