"""A fact of the feed for people: in a line, and in the cells of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts import referrals
from contracts.envelope import Event
from services.device.screen import LONDON

DECIDED = tuple(
    fact.TYPE
    for fact in vars(referrals).values()
    if isinstance(fact, type) and issubclass(fact, Event) and fact.TYPE.startswith("referral.")
)
"""What becomes of a referral after its placement."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the feed: its cursor, its type, the event."""

    cursor: str
    type: str
    event: dict[str, Any]

    @property
    def referral(self) -> str:
        """The referral's id, as short as a line shows it."""
        return str(self.event["subject"])[:8]

    @property
    def told_at(self) -> str:
        """When it was told, by London's clock."""
        return _clock(self.event["time"])


def line_of(fact: Fact) -> str:
    """A fact in a line."""
    return f"{fact.referral}  {_said_by(fact)}"


def _said_by(fact: Fact) -> str:
    data = fact.event["data"]
    match fact.type:
        case "booking.confirmed":
            return f"{_outcome_of(data):11} {data['service']['name']} {_when(data)} ref {data['reference']}"
        case "booking.exhausted":
            return f"unplaced    {data['why']}; {data['owner']['name']} decides"
        case "notification.sent":
            whom = data.get("organisation") or "the patient"
            return f"told        {data['audience']} {whom} by {data['channel']}: {data['template']}"
    if fact.type not in DECIDED:
        return fact.type
    return f"{_name_of(fact.type):11} {_what_became(fact.type, data)}"


def cells_of(fact: Fact) -> tuple[str, str, str] | None:
    """What is true of a referral, where, and when; none where the fact does not say."""
    data = fact.event["data"]
    if fact.type == "booking.confirmed":
        return _outcome_of(data), data["service"]["name"], _when(data)
    if fact.type == "booking.exhausted":
        return "unplaced", f"{data['why']}; {data['owner']['name']} decides", f"by {_clock(data['due'])}"
    if fact.type not in DECIDED or not data.get("standing"):
        return None
    standing = data["standing"]
    place = standing.get("place")
    where = place["service"]["name"] if place else f"{standing['owner']['name']} decides"
    return standing["state"].replace("_", " "), where, _when(place) if place else f"by {_clock(standing['due'])}"


def _what_became(type: str, data: Mapping[str, Any]) -> str:
    """The rest of the line of what referrals decided."""
    if type == "referral.action-refused":
        return f"{data['action'].replace('_', ' ')} by {data['by']['organisation']}: {data['why']}"
    standing = data["standing"]
    owner = f"{standing['owner']['name']} by {_clock(standing['due'])}"
    left = data.get("place") or data.get("old")
    there = _name_in(left or standing.get("place"))
    match type:
        case "referral.rejected" | "referral.cancelled":
            return f"{there}{data['reason']}; {owner}"
        case "referral.withdrawn":
            return f"{there}{data['why']}; {owner}"
        case "referral.rebooked":
            place = standing["place"]
            before = f", before {left['service']['name']}" if left else ""
            return f"{place['service']['name']} {_when(place)} ref {place['reference']}{before}"
        case "referral.outcome-given":
            return f"{there}{data['kind']}"
        case "referral.escalated":
            return f"no {data['missed']} by {_clock(data['was_due'])}; {owner}"
        case "referral.contact-recorded":
            return f"{there}{'the patient was reached' if data['reached'] else 'the patient was not reached'}"
        case "referral.message-left" | "referral.document-attached":
            return f"by {data['by']['organisation']}"
        case "referral.duplicate-suspected":
            return f"with {data['other_desk']['name']}, {data['other_desk']['telephone']}"
        case "referral.duplicate-ruled-out":
            return f"with {data['other_referral']}"
    return f"{there}{owner}"


def _name_in(place: Mapping[str, Any] | None) -> str:
    return f"{place['service']['name']}; " if place else ""


def _name_of(type: str) -> str:
    return type.removeprefix("referral.").replace("-", " ")


def _outcome_of(data: Mapping[str, Any]) -> str:
    """The outcome in words."""
    return str(data["outcome"]).replace("_", " ")


def _when(data: Mapping[str, Any]) -> str:
    if data.get("starts_at"):
        return f"at {_clock(data['starts_at'])}"
    hour = f"to come by {_clock(data['hour']['come_by'])}, " if data.get("hour") else ""
    return hour + (f"to accept by {_clock(data['acceptance_due'])}" if data.get("acceptance_due") else "now")


def _clock(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone(LONDON).strftime("%H:%M")
