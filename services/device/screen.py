"""What the crew sees: where, when and why, and what to do if nothing is heard."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.device.incidents import Incident
from services.device.sender import Answered

LONDON = ZoneInfo("Europe/London")
HEADLINES = {
    "slot_held": "HELD",
    "place_held": "PLACE HELD",
    "delivered": "DELIVERED",
    "unplaced": "NOT PLACED",
}


def lines_of(incident: Incident, answered: Answered) -> list[str]:
    """The crew's screen for one answer, in Europe/London time."""
    body = answered.body
    if not answered.settled:
        faults = [f"   {fault['pointer']}: {fault['message']}" for fault in body.get("faults", [])]
        return [f"{incident.scenario}: REFUSED ({answered.status}) {body.get('title')}. {body.get('detail')}", *faults]
    lines = [f"{incident.scenario}: {HEADLINES[body['outcome']]}, {body['acuity'].replace('_', ' ')}"]
    lines.append(f"   where  {where(body)}")
    lines.append(f"   when   {when(body)}")
    lines += [f"   why    {reason['text']}" for reason in body["reasons"][:2]]
    if body["service"] is not None:
        lines.append(f"          {body['service']['why']}")
    lines += [f"   tried  {one['name']}: {one['why']}" for one in body["tried"]]
    lines.append(f"   next   {body['next_step']}")
    return lines


def where(body: dict[str, Any]) -> str:
    """The service, or that there is none, and what is proposed."""
    service = body["service"]
    if service is not None:
        return f"{service['name']} ({service['type_name']}), {service['distance_km']:.1f} km, {service['telephone']}"
    proposal = body["proposal"]
    return f"nowhere yet: {body['unplaced_because']}" + (f"; proposed: {proposal['name']}" if proposal else "")


def when(body: dict[str, Any]) -> str:
    """The slot, or the time by which somebody must answer."""
    if body["starts_at"]:
        return f"{_clock(body['starts_at'])}, reference {body['reference']}"
    if body["acceptance_due"]:
        return f"they accept by {_clock(body['acceptance_due'])}, reference {body['reference']}"
    if body["outcome"] == "delivered":
        return f"now, reference {body['reference']}"
    return f"{body['owner']['name']} decides by {_clock(body['due'])}, {body['owner']['telephone']}"


def _clock(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone(LONDON).strftime("%H:%M")
