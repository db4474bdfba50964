"""The demo: a system of its own, a crew's shift of referrals, what happens downstream, and a summary that adds up."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

from contracts.people import Position
from services.cli import local
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.cli.watching import BEGINNING, Fact, follow, line_of
from services.device.incidents import Incident, shift
from services.device.screen import lines_of
from services.device.sender import Answered, refer

FOLDER = Path(".onward") / "demo"
MIDDLE = Position(latitude=52.90, longitude=-1.20)
"""The middle of the invented region."""
SEED = 20
CREWS = 2
"""How many crews refer at the same time."""
DOWNSTREAM_SECONDS = 30.0

Tell = Callable[[str], None]


@dataclass
class Summary:
    """What the shift came to. `wrong` names every answer or message that is not as it must be."""

    sent: int = 0
    held: int = 0
    fell_through: int = 0
    proposed: int = 0
    messages: int = 0
    lost: int = 0
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
        tell(f"Ready at {system.base_url}: {loaded['services']['added']} services, {loaded['desks']['added']} desks\n")
        crew = Connection(system.base_url, system.token(TRUST, "demo-crew", "paramedic"))
        return asyncio.run(_shift(crew, count, tell))
    finally:
        local.stop(folder, say=lambda _: None)


async def _shift(crew: Connection, count: int, tell: Tell) -> Summary:
    facts: list[Fact] = []
    heard = asyncio.Event()
    listening = asyncio.create_task(_listen(crew, facts, heard, tell))
    try:
        incidents = list(islice(shift(SEED, MIDDLE), count))
        answers = await _refer_all(crew, incidents, tell)
        summary = await _account(incidents, answers, facts, heard)
        if listening.done():
            listening.result()
        return summary
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(crew: Connection, facts: list[Fact], heard: asyncio.Event, tell: Tell) -> None:
    """Keep every fact from the first on, and show what arrives downstream."""
    async for fact in follow(crew, since=BEGINNING):
        facts.append(fact)
        heard.set()
        if fact.type == "notification.sent":
            tell(f"                              > {line_of(fact)}")


async def _refer_all(crew: Connection, incidents: list[Incident], tell: Tell) -> list[Answered]:
    answers: dict[int, Answered] = {}
    waiting = iter(enumerate(incidents))

    async def one_crew(client: httpx.AsyncClient) -> None:
        for number, incident in waiting:
            body = incident.submission.model_dump_json(exclude_none=True).encode()
            answers[number] = await refer(client, incident.key, body, crew.token)
            tell("\n".join(lines_of(incident, answers[number])))

    async with httpx.AsyncClient(base_url=crew.url) as client:
        await asyncio.gather(*(one_crew(client) for _ in range(CREWS)))
    return [answers[number] for number in range(len(incidents))]


async def _account(
    incidents: list[Incident],
    answers: list[Answered],
    facts: list[Fact],
    heard: asyncio.Event,
) -> Summary:
    summary = Summary(sent=len(incidents))
    seconds = [answer.seconds * 1000 for answer in answers]
    cuts = quantiles(seconds, n=100, method="inclusive")
    summary.p50_ms, summary.p90_ms, summary.p99_ms = (round(cuts[at], 1) for at in (49, 89, 98))
    for incident, answer in zip(incidents, answers, strict=True):
        _count(summary, incident, answer)
    settled = [(i, answer) for i, answer in zip(incidents, answers, strict=True) if answer.settled]
    expected = Counter({answer.body["referral_id"]: _messages(incident, answer) for incident, answer in settled})
    told = await _messages_seen(facts, heard, expected)
    outcomes = _facts_about(facts, "booking.confirmed", "booking.exhausted")
    summary.messages = sum(told.values())
    summary.lost = sum(1 for referral in expected if outcomes[referral] != 1)
    summary.wrong += [
        f"referral {referral}: {told[referral]} messages and not {wanted}"
        for referral, wanted in expected.items()
        if told[referral] != wanted
    ]
    return summary


async def _messages_seen(facts: list[Fact], heard: asyncio.Event, expected: Counter[str]) -> Counter[str]:
    """How many messages each referral led to, once they are all there, or the time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DOWNSTREAM_SECONDS):
            while _facts_about(facts, "notification.sent") != expected:
                heard.clear()
                await heard.wait()
    return _facts_about(facts, "notification.sent")


def _count(summary: Summary, incident: Incident, answer: Answered) -> None:
    body = answer.body
    if not answer.settled:
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


def _messages(incident: Incident, answer: Answered) -> int:
    """How many are to be told: the service where there is one, the referrer, the patient where a channel is known."""
    return 1 + (answer.body["service"] is not None) + (incident.submission.patient.contact.mobile is not None)


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
        f"one transaction: p50 {summary.p50_ms} ms, p90 {summary.p90_ms} ms, p99 {summary.p99_ms} ms",
    ]
    return out + [f"NOT AS EXPECTED: {one}" for one in summary.wrong]
