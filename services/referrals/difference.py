"""What a version of a referral changed, who made it and why, in words that a person reads."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from contracts.people import Desk, Referrer
from contracts.placements import BookingRequested, Candidate
from contracts.submissions import ReferralSubmitted
from contracts.triage import ReferralTriaged
from services.referrals.state import Referral, ReferralState

_REASONS = ("reason", "kind", "missed", "why")
"""Where a fact that was decided says why, by its contract."""


def difference(before: Referral | None, after: Referral) -> list[str]:
    """A line for everything that is read of a referral and is not as it was in the version before."""
    old, new = {} if before is None else _read(before), _read(after)
    return [
        f"{name.replace('_', ' ')}: {_words(new[name])}" + ("" if before is None else f", was {_words(old[name])}")
        for name in new
        if new[name] != old.get(name)
    ]


def _read(referral: Referral) -> dict[str, Any]:
    return {field.name: getattr(referral, field.name) for field in fields(ReferralState)} | dict(referral.clocks)


def _words(value: Any) -> str:
    match value:
        case None:
            return "none"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case Desk():
            return f"{value.name}, {value.telephone}"
        case Candidate():
            return value.name
    return str(value).replace("_", " ")


def made_by(fact: Event) -> Referrer | None:
    """The person who brought a version about; none where a service did."""
    if isinstance(fact, ReferralSubmitted):
        return fact.data.referrer
    by: Referrer | None = getattr(fact.data, "by", None)
    return by


def reason_of(fact: Event) -> str | None:
    """Why a version came about, as far as its fact says."""
    match fact:
        case ReferralTriaged(data=data):
            return data.brief.reasons[0].text if data.brief.reasons else None
        case BookingConfirmed(data=data):
            return data.service.why
        case BookingExhausted(data=data):
            return data.why
        case ReferralSubmitted() | BookingRequested():
            return None
    said = [str(getattr(fact.data, name)).replace("-", " ") for name in _REASONS if getattr(fact.data, name, None)]
    words = getattr(fact.data, "words", None)
    return ": ".join([*said, words] if words else said) or None
