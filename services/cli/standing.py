"""Where a referral stands, for people: who owns it, until when, what comes next, and by when the service answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.device.screen import LONDON

UNDECIDED = ("placed", "received", "information_wanted")
CLOCKS = {
    "acknowledge_by": ("say that they have it", ("placed",)),
    "answer_by": ("accept or reject", UNDECIDED),
    "outcome_by": ("say what came of it", (*UNDECIDED, "accepted", "in_progress", "seen")),
}
"""What the receiving service does by each of its clocks, and in which states that clock still runs."""


def standing_lines(said: Mapping[str, Any]) -> list[str]:
    """Lines that every answer about a referral has in common, in Europe/London time."""
    lines = [
        f"   state  {said['state'].replace('_', ' ')}, version {said['version']}",
        f"   owner  {said['owner']['name']}, {said['owner']['telephone']}, looks again by {clock(said['due'])}",
        f"   next   {said['next_step']}",
    ]
    for name, (do, states) in CLOCKS.items():
        if said["state"] in states and (by := said.get("clocks", {}).get(name)):
            lines.append(f"   clock  they {do} by {clock(by)}")
    return lines


def lines_of_place(place: Mapping[str, Any], before: str) -> list[str]:
    """Where the patient is expected, or was: the service, when, and the reference."""
    service = place["service"]
    return [f"   {before:5}  {service['name']}, {service['telephone']}, {when(place)}, reference {place['reference']}"]


def when(place: Mapping[str, Any]) -> str:
    """The slot, or the time by which the service must accept."""
    if place["starts_at"]:
        return f"at {clock(place['starts_at'])}"
    hour = f"comes by {clock(place['hour']['come_by'])}, " if place.get("hour") else ""
    return hour + (f"accepts by {clock(place['acceptance_due'])}" if place["acceptance_due"] else "now")


def clock(instant: str) -> str:
    """A time of London's clock, with the day where it is another than today's."""
    at = datetime.fromisoformat(instant).astimezone(LONDON)
    return f"{at:%H:%M}" if at.date() == datetime.now(LONDON).date() else f"{at:%a %d %b %H:%M}"
