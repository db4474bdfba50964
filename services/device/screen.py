"""What the crew sees: where, when and why, and what to do if nothing is heard; or that a referral was NOT SENT."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.device.clock import Clock
from services.device.queue import Entry

LONDON = ZoneInfo("Europe/London")
BECAUSE = {"no candidate": "nobody suitable is within the search distance"}
"""Where the answer's own words would not do for a crew."""

HEADLINES = {
    "slot_held": "HELD",
    "place_held": "PLACE HELD",
    "delivered": "DELIVERED",
    "unplaced": "NOT PLACED",
}


def lines_of(entry: Entry, because: str, clock: Clock) -> list[str]:
    """The crew's screen for a referral as it stands on the device, in Europe/London time."""
    match entry.state:
        case "answered":
            return answer_lines(entry.scenario, entry.status or 0, entry.answer or {})
        case "queued":
            return [
                f"{entry.scenario}: NOT SENT, {because}",
                f"   kept   on this device, and sent by itself when it can be, within {_left(entry, clock)}",
                "   then   you are asked again. If it cannot wait, telephone your desk.",
            ]
        case "sent":
            return [
                f"{entry.scenario}: NOT KNOWN whether it was received, {because}",
                "   kept   on this device, and asked for until there is an answer. It is never made twice.",
            ]
        case "received":
            return [
                f"{entry.scenario}: RECEIVED, not settled yet, {because}",
                "   kept   on this device until the answer is here. If it cannot wait, telephone your desk.",
            ]
        case "expired":
            return [
                f"{entry.scenario}: NOT SENT, {because}",
                "   ask    Look at the patient again: is this still right? Then send it, or give it up.",
            ]
        case "dropped":
            return [f"{entry.scenario}: NOT SENT and given up. Nothing was referred."]


def short_line_of(entry: Entry) -> str:
    """The same of an answer, in a line."""
    body = entry.answer or {}
    if "outcome" not in body:
        return answer_lines(entry.scenario, entry.status or 0, body)[0]
    name = body["service"]["name"] if body["service"] else "nowhere yet"
    return f"{_headline(entry.scenario, body)}; {name}, {when(body)}"


def clock_lines(wrong_by: timedelta, clock: Clock) -> list[str]:
    """That the clock of the device is wrong, or right again."""
    if not wrong_by:
        return ["The clock of this device agrees with the server's again."]
    shown = clock.now()
    return [
        f"THE CLOCK OF THIS DEVICE IS WRONG: {_long(abs(wrong_by))} {'ahead' if wrong_by > timedelta() else 'behind'}.",
        f"   it shows {_clock(shown)}, and it is {_clock(shown - wrong_by)}. Times in answers are right. What waits to",
        "   be sent is timed without this clock. Set the clock before you write down a time.",
    ]


def answer_lines(scenario: str, status: int, body: dict[str, Any]) -> list[str]:
    """The lines of one answer, under what it was asked for."""
    if "outcome" not in body:
        faults = [f"   {fault['pointer']}: {fault['message']}" for fault in body.get("faults", [])]
        return [f"{scenario}: REFUSED ({status}) {body.get('title')}. {body.get('detail')}", *faults]
    lines = [_headline(scenario, body)]
    lines.append(f"   where  {where(body)}")
    lines.append(f"   when   {when(body)}")
    lines += [f"   why    {reason['text']}" for reason in body["reasons"][:2]]
    if body["service"] is not None:
        lines.append(f"          {body['service']['why']}")
    lines += [f"   tried  {one['name']}: {one['why']}" for one in body["tried"]]
    lines += [f"   check  {mark['text']}" for mark in body["marks"]]
    lines.append(f"   next   {body['next_step']}")
    lines.append(f"   else   {if_nothing_is_heard(body)}")
    return lines


def _headline(scenario: str, body: dict[str, Any]) -> str:
    return f"{scenario}: {HEADLINES[body['outcome']]}, {body['acuity'].replace('_', ' ')}"


def where(body: dict[str, Any]) -> str:
    """The service, or that there is none, and what is proposed."""
    service = body["service"]
    if service is not None:
        return f"{service['name']} ({service['type_name']}), {service['distance_km']:.1f} km, {service['telephone']}"
    proposal = body["proposal"]
    because = BECAUSE.get(body["unplaced_because"], body["unplaced_because"])
    return f"nowhere yet: {because}" + (f"; proposed: {proposal['name']}" if proposal else "")


def when(body: dict[str, Any]) -> str:
    """The slot, or the time by which somebody must answer."""
    if body["starts_at"]:
        return f"{_at(body['starts_at'])}, reference {body['reference']}"
    hour = f"they come by {_at(body['hour']['come_by'])}, " if body.get("hour") else ""
    if body["acceptance_due"]:
        return f"{hour}they accept by {_at(body['acceptance_due'])}, reference {body['reference']}"
    if body["outcome"] == "delivered":
        return f"{hour or 'now, '}reference {body['reference']}"
    return f"{body['owner']['name']} decides by {_at(body['due'])}, {body['owner']['telephone']}"


def if_nothing_is_heard(body: dict[str, Any]) -> str:
    """Whom to telephone, and from when on."""
    owner = f"{body['owner']['name']}, {body['owner']['telephone']}"
    service = body["service"]
    if service is None:
        return f"nothing heard by {_at(body['due'])}? Telephone {owner}."
    return f"nothing heard by {_at(body['due'])}? Telephone {service['telephone']}, then {owner}."


def _left(entry: Entry, clock: Clock) -> str:
    return _long(timedelta(seconds=max(0.0, entry.expires - clock.elapsed())))


def _long(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"


def _at(instant: str) -> str:
    return _clock(datetime.fromisoformat(instant))


def _clock(instant: datetime) -> str:
    return instant.astimezone(LONDON).strftime("%H:%M")
