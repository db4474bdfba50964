"""The outcome of a placement, as it is told: where, when and why, who owns it, and what happens next. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from contracts.bookings import (
    BookingConfirmed,
    BookingConfirmedData,
    BookingExhausted,
    BookingExhaustedData,
    HeldHour,
    WhyExhausted,
)
from contracts.envelope import Event
from contracts.opening_hours import LONDON
from contracts.people import Desk
from contracts.placements import Alternative, BookingRequested
from services.booking.diary import Given, Refused
from services.chassis.lean import lean

LeanConfirmed, LeanConfirmedData = lean(BookingConfirmed), lean(BookingConfirmedData)
LeanExhausted, LeanExhaustedData = lean(BookingExhausted), lean(BookingExhaustedData)
LeanAlternative = lean(Alternative)

SOURCE = "onward/booking"
ALTERNATIVES = 5
DELIVERED_LOOK_AGAIN = timedelta(minutes=30)
UNPLACED_LOOK_AGAIN = timedelta(minutes=15)
"""Unverified defaults: when the owner must look again if nothing is heard."""

NOBODY_NEAR = "Nobody who is accepted, fit and open is within the search distance."
NOBODY_AT_ALL = "Nobody is within the search distance, not even an emergency department: confirm where the patient is."


def outcome_of(request: BookingRequested, decision: Given | Refused, *, reference: str, now: datetime) -> Event:
    """The one event that ends the placement. Until a receiver accepts, the referrer's desk owns the patient."""
    if isinstance(decision, Given):
        return _effect(LeanConfirmed, request, _confirmed(request, decision, reference, now), now)
    return _effect(LeanExhausted, request, _exhausted(request, decision, now), now)


def _effect(
    contract: type[Event], request: BookingRequested, data: BookingConfirmedData | BookingExhaustedData, now: datetime
) -> Event:
    # The effect key is empty: a placement ends at most once, and its request is the cause.
    return contract.effect_of(request, data, source=SOURCE, time=now)


def _confirmed(request: BookingRequested, given: Given, reference: str, now: datetime) -> BookingConfirmedData:
    brief, service = request.data.brief, given.service
    outcome: Literal["slot_held", "place_held", "delivered"]
    starts_at, slot_minutes = (given.starts_at, given.slot_minutes) if given.hour is None else (None, None)
    if starts_at is not None:
        outcome, due = "slot_held", starts_at + timedelta(minutes=slot_minutes or 0)
        step = f"The patient is expected at {service.name}. If they cannot be there, telephone {service.telephone}."
    elif given.acceptance_due is not None:
        outcome, due = "place_held", given.acceptance_due
        step = f"{service.name} must accept in time. If nothing is heard, telephone {service.telephone}."
    else:
        outcome, due = "delivered", now + DELIVERED_LOOK_AGAIN
        step = f"{service.name} has it; nobody has answered yet. Pre-alert them: telephone {service.telephone}."
    if given.hour is not None:
        step = f"{_in_words(given.hour, service.name, now)} {step}"
    return LeanConfirmedData(
        brief=brief,
        outcome=outcome,
        service=service,
        starts_at=starts_at,
        slot_minutes=slot_minutes,
        acceptance_due=given.acceptance_due,
        hour=given.hour,
        reference=reference,
        receiver_reference=given.receiver_reference,
        tried=given.tried,
        alternatives=tuple(map(LeanAlternative.of, request.data.candidates[given.place + 1 :][:ALTERNATIVES])),
        owner=brief.desk,
        due=due,
        next_step=f"{step} {_owned_by(brief.desk)}",
    )


def _exhausted(request: BookingRequested, refused: Refused, now: datetime) -> BookingExhaustedData:
    brief, proposal = request.data.brief, request.data.catch_all
    why: WhyExhausted
    if refused.why is not None:
        why = refused.why
    elif now > brief.answer_by:
        why = "past answer_by"
    elif brief.to_clinician:
        why = "to a clinician"
    elif request.data.candidates:
        why = "none could take the patient"
    else:
        why = "no candidate"
    step = _owned_by(brief.desk)
    if why == "no candidate":
        step = f"{NOBODY_NEAR if proposal else NOBODY_AT_ALL} {step}"
    if proposal is not None:
        where = f"{proposal.name}, {proposal.distance_km:.1f} km, telephone {proposal.telephone}"
        step = f"{step} Proposed, not booked: {where}."
    return LeanExhaustedData(
        brief=brief,
        outcome="unplaced",
        why=why,
        tried=refused.tried,
        proposal=proposal,
        owner=brief.desk,
        due=now + UNPLACED_LOOK_AGAIN,
        next_step=step,
    )


def _in_words(hour: HeldHour, name: str, now: datetime) -> str:
    """Which hour is held, how full it is, and by when somebody should have come."""
    begins, come_by = _clock(hour.begins, now), _clock(hour.come_by, now)
    return (
        f"{name} holds a place in the hour from {begins}; {hour.taken} of {hour.patients} taken. "
        f"Somebody should have come by {come_by}."
    )


def _clock(at: datetime, now: datetime) -> str:
    """A time of London's clock, with the day where it is another."""
    at, now = at.astimezone(LONDON), now.astimezone(LONDON)
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%H:%M on %d %B}"


def _owned_by(desk: Desk) -> str:
    return f"{desk.name} looks after the referral: telephone {desk.telephone}."
