"""The demo: a system of its own, a crew's shift of referrals, what happens downstream, and a summary that adds up."""

import asyncio
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

from contracts.people import Position
from services.cli import local
from services.cli.afterwards import Desks, Heard, show
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.cli.facts import Fact, line_of
from services.cli.watching import BEGINNING, follow
from services.device.clock import Clock, ShiftClock, clock_of_this_machine
from services.device.device import Decision, Device
from services.device.incidents import Incident
from services.device.queue import Entry, Queue
from services.device.screen import clock_lines, lines_of, short_line_of
from services.device.sender import Gateway
from services.device.shift import shift
from services.device.signal import Gap, Signal

FOLDER = Path(".onward") / "demo"
MIDDLE = Position(latitude=52.90, longitude=-1.20)
"""The middle of the invented region."""
SEED = 20
SCENARIOS = (
    "stroke",
    "cardiac-arrest",
    "fall",
    "sepsis",
    "low-risk-chest-pain",
    "mental-health-crisis",
    "palliative",
    "blocked-catheter",
)
"""What the crews meet. Each is answered as `services/device/incidents.toml` expects, or the demo fails."""
CREWS = 2
"""How many crews refer at the same time."""
IN_THE_VALLEY = 2
"""How many referrals the last crew writes down where there is no signal."""
VALLEY_SECONDS = 3.0
LASTS_SECONDS = 2.0
"""How long a referral may be sent without asking the crew: minutes in life, and too short here for the first one."""
DOWNSTREAM_SECONDS = 30.0

Tell = Callable[[str], None]


@dataclass
class Summary:
    """What the shift came to. `wrong` names every answer or message that is not as it must be."""

    sent: int = 0
    held: int = 0
    fell_through: int = 0
    proposed: int = 0
    kept_without_signal: int = 0
    asked_again: int = 0
    messages: int = 0
    lost: int = 0
    accepted: int = 0
    rebooked: int = 0
    freed: int = 0
    p50_ms: float = 0.0
    p90_ms: float = 0.0
    p99_ms: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every answer was as expected and all is accounted for."""
        return not self.wrong and self.lost == 0


def run(count: int, *, tell: Tell, port: int, folder: Path = FOLDER) -> Summary:
    """Start from nothing, run the shift, stop what was started."""
    local.stop(folder, say=tell, purge=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        system = local.start(folder, say=tell, port=port)
        editor = Connection(system.base_url, system.token(TRUST, "demo", "directory-editor"))
        loaded = load(editor, SHIPPED)
        local.wait_until_ready(system)
        tell(f"Ready at {system.base_url}: {loaded['services']['added']} services, {loaded['desks']['added']} desks")
        tell("What the crews see of each kind of incident, and who is told downstream (>):\n")
        return asyncio.run(_shift(system, count, tell, folder))
    finally:
        local.stop(folder, say=lambda _: None)


@dataclass
class Screens:
    """What the crews see: the first of each kind whole, the others in a line. Keeps what the summary counts."""

    tell: Tell
    clock_shown: Clock
    shown: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    began: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def referral(self, entry: Entry, because: str) -> None:
        """Show where a referral stands."""
        key = str(entry.key)
        if entry.state == "queued":
            self.kept.add(key)
        if entry.state == "expired":
            self.asked.add(key)
        if entry.state == "answered":
            self.seconds[key] = time.perf_counter() - self.began[key]
            if entry.scenario in self.shown and key not in self.kept:
                self.tell(short_line_of(entry))
                return
            self.shown.add(entry.scenario)
        self.tell("\n".join(lines_of(entry, because, self.clock_shown)))

    def clock(self, wrong_by: timedelta) -> None:
        """Show that the clock is wrong."""
        self.tell("\n".join(clock_lines(wrong_by, self.clock_shown)))

    async def ask(self, entry: Entry) -> Decision:
        """The crew looks at the patient again, and sends it."""
        self.tell(f"{entry.scenario}: the crew has looked at the patient again and says: send it.")
        return "send"


async def _shift(system: local.LocalSystem, count: int, tell: Tell, folder: Path) -> Summary:
    crew = Connection(system.base_url, system.token(TRUST, "demo-crew", "paramedic"))
    heard = Heard()
    listening = asyncio.create_task(_listen(crew, heard, tell))
    queues = [Queue(folder / f"device-{number}.sqlite") for number in range(1, CREWS + 1)]
    try:
        now = datetime.now(UTC)
        incidents = list(islice(shift(SEED, [MIDDLE], lambda _: now, SCENARIOS), count))
        screens = Screens(tell, clock_of_this_machine())
        await _refer_all(crew, incidents, queues, screens)
        answers = {key: entry for queue in queues for key, entry in queue.entries.items()}
        entries = [answers[one.key] for one in incidents]
        summary = await _account(incidents, entries, screens, heard)
        await _go_on(system, entries, heard, tell, summary)
        if listening.done():
            listening.result()
        return summary
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        for queue in queues:
            queue.close()


async def _go_on(system: local.LocalSystem, entries: list[Entry], heard: Heard, tell: Tell, summary: Summary) -> None:
    """Show what becomes of some of the referrals afterwards, and count it."""
    answered = [(one.scenario, one.answer) for one in entries if one.answer and one.outcome]
    tell("\nWhat becomes of three of them afterwards, as their receivers and the desk act:")
    async with httpx.AsyncClient(base_url=system.base_url) as client:
        desks = Desks(client, lambda organisation: system.token(organisation, "demo", "desk"), tell)
        found = await show(answered, heard, desks, tell, referrer=TRUST)
    summary.accepted, summary.rebooked, summary.freed = found.accepted, found.rebooked, found.freed
    summary.wrong += found.wrong


async def _listen(crew: Connection, heard: Heard, tell: Tell) -> None:
    """Keep every fact from the first on, and show what arrives downstream."""
    async for fact in follow(crew, since=BEGINNING):
        heard.facts.append(fact)
        heard.bell.set()
        if fact.type == "notification.sent":
            tell(f"                              > {line_of(fact)}")


async def _refer_all(crew: Connection, incidents: list[Incident], queues: list[Queue], screens: Screens) -> None:
    """Each crew refers and waits for the answer; the last one comes through a valley without signal first."""
    valley = incidents[-IN_THE_VALLEY:] if _has_a_valley(incidents) else []
    waiting = iter(incidents[: len(incidents) - len(valley)])
    async with httpx.AsyncClient(base_url=crew.url) as client:
        gateway = Gateway(client, crew.token)
        *others, last = queues
        await asyncio.gather(
            *(_work(_device(queue, gateway, screens), waiting, screens) for queue in others),
            _through_the_valley(last, gateway, valley, waiting, screens),
        )


def _has_a_valley(incidents: list[Incident]) -> bool:
    return len(incidents) > IN_THE_VALLEY * 2


def _device(queue: Queue, gateway: Gateway, screens: Screens, *gaps: Gap, lasts: float = 600.0) -> Device:
    return Device(
        queue,
        gateway,
        screens,
        clock=screens.clock_shown,
        signal=Signal(gaps),
        shift_clock=ShiftClock(screens.clock_shown),
        lasts_seconds=lasts,
        ask=screens.ask,
        chance=random.Random(SEED),  # noqa: S311 a simulation
    )


async def _through_the_valley(
    queue: Queue, gateway: Gateway, valley: list[Incident], waiting: Iterator[Incident], screens: Screens
) -> None:
    if valley:
        device = _device(queue, gateway, screens, Gap(0, VALLEY_SECONDS), lasts=LASTS_SECONDS)
        for number, incident in enumerate(valley):
            await asyncio.sleep(0 if number == 0 else VALLEY_SECONDS / len(valley))
            await _refer(device, incident, screens)
        await device.rest()
    await _work(_device(queue, gateway, screens), waiting, screens)


async def _work(device: Device, waiting: Iterator[Incident], screens: Screens) -> None:
    for incident in waiting:
        await _refer(device, incident, screens)
        await device.rest()


async def _refer(device: Device, incident: Incident, screens: Screens) -> None:
    screens.began[str(incident.key)] = time.perf_counter()
    await device.refer([incident])


async def _account(
    incidents: list[Incident],
    answers: list[Entry],
    screens: Screens,
    heard: Heard,
) -> Summary:
    summary = Summary(sent=len(incidents), kept_without_signal=len(screens.kept), asked_again=len(screens.asked))
    online = [seconds * 1000 for key, seconds in screens.seconds.items() if key not in screens.kept]
    cuts = quantiles(online, n=100, method="inclusive") if len(online) > 1 else online * 99
    summary.p50_ms, summary.p90_ms, summary.p99_ms = (round(cuts[at], 1) for at in (49, 89, 98))
    if _has_a_valley(incidents) and not (len(screens.kept) == IN_THE_VALLEY and screens.asked):
        summary.wrong.append("the crew without signal was not shown NOT SENT, or was not asked again")
    for incident, answer in zip(incidents, answers, strict=True):
        _count(summary, incident, answer)
    expected = Counter(
        {
            str(answer.referral): _messages(incident, answer.answer)
            for incident, answer in zip(incidents, answers, strict=True)
            if answer.answer and answer.outcome
        }
    )
    await heard.until(lambda facts: _facts_about(facts, "notification.sent") == expected, DOWNSTREAM_SECONDS)
    told = _facts_about(heard.facts, "notification.sent")
    outcomes = _facts_about(heard.facts, "booking.confirmed", "booking.exhausted")
    summary.messages = sum(told.values())
    summary.lost = sum(1 for referral in expected if outcomes[referral] != 1)
    summary.wrong += [
        f"referral {referral}: {told[referral]} messages and not {wanted}"
        for referral, wanted in expected.items()
        if told[referral] != wanted
    ]
    return summary


def _count(summary: Summary, incident: Incident, answer: Entry) -> None:
    body = answer.answer
    if body is None or answer.outcome is None:
        summary.wrong.append(f"{incident.scenario}: answered {answer.status}")
        summary.lost += 1
        return
    service = body["service"]
    summary.held += service is not None
    summary.fell_through += bool(body["tried"])
    summary.proposed += service is None and body["proposal"] is not None
    found = (body["acuity"], service["type"] if service else None)
    if found != (incident.expect.acuity, incident.expect.service_type):
        wanted = f"{incident.expect.acuity} at {incident.expect.service_type}"
        summary.wrong.append(f"{incident.scenario}: {found[0]} at {found[1]}, and not {wanted}")


def _messages(incident: Incident, answer: dict[str, Any]) -> int:
    """How many are to be told: the referrer; where there is a place the service, and a patient who can be reached."""
    return 1 if answer["service"] is None else 2 + (incident.submission.patient.contact.mobile is not None)


def _facts_about(facts: list[Fact], *types: str) -> Counter[str]:
    """How many facts of these types there are about each referral."""
    return Counter(fact.event["subject"] for fact in facts if fact.type in types)


def described(summary: Summary) -> dict[str, Any]:
    """The summary for programs."""
    return {**asdict(summary), "agrees": summary.agrees}


def lines(summary: Summary) -> list[str]:
    """The summary for people."""
    out = [
        f"sent {summary.sent}   held {summary.held}   fell through {summary.fell_through}   "
        f"proposed {summary.proposed}   messages {summary.messages}   lost {summary.lost}",
        f"afterwards: accepted and seen {summary.accepted}, rejected and rebooked {summary.rebooked}, "
        f"cancelled and the slot free again {summary.freed}",
        f"written down without signal {summary.kept_without_signal}, of which too old and asked again "
        f"{summary.asked_again}",
        f"with signal, from written down to answered: p50 {summary.p50_ms} ms, p90 {summary.p90_ms} ms, "
        f"p99 {summary.p99_ms} ms",
    ]
    return out + [f"NOT AS EXPECTED: {one}" for one in summary.wrong]
