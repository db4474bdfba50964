"""Everything in one process, with something of every kind to ask for; its memory and its log are watched."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer

from services.chassis.kafka import Kafka
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.composition import SERVICES
from tests.handover_examples import HANDOVER, WORDS
from tests.journeys.conftest import make_topics
from tests.running import System

OTHER = "ONW07"
"""An organisation of the directory that is not on the referral."""
OPERATOR = "ONWARD"
EDITOR = "directory-editor"
PATIENCE_SECONDS = 30.0

SUBMISSION: dict[str, Any] = {
    "patient": {
        "nhs_number": "9000000009",
        "contact": {"mobile": "07700 900123", "email": "ada@example.org", "prefers": "sms"},
        "name": "Ada Example",
        "age": {"value": 81, "unit": "years"},
        "gender": "female",
        "pregnant": False,
        "surgery": "ONW08",
    },
    "position": {"latitude": 52.9, "longitude": -1.2},
    "presentation": "stroke",
    "findings": {"fast": {"face": True, "arm": True, "speech": False}, "answers": {"bleeding": "no"}},
    "observations": {"respiration_per_min": 18, "temperature_celsius": 36.9, "consciousness": "alert"},
    "observed_at": "2026-03-02T11:58:00Z",
    "earlier_observations": [{"at": "2026-03-02T11:30:00Z", "pulse_per_min": 101}],
    "accept": [{"service_type": 122}, {"service": "elverbridge-stroke"}],
    "narrative": "Narrative-words: found on the kitchen floor.",
    "handover": HANDOVER,
}
OPTIONS = {"plan_in_place", "self_neglect"}
"""Words of the contract, which a refusal lists."""
PATIENT = ("Ada Example", "9000000009", "900123", "ada@example.org", "Narrative-words", *(set(WORDS) - OPTIONS))
"""What says who the patient is, or how they are."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Whole:
    """The process, where it answers, and what may be asked of it."""

    system: System
    values: dict[str, str]
    """What stands for a parameter of a path, by its name."""
    log: Path
    database: str
    prefix: str
    """What stands before the names of its topics."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.system.url("all")

    @cache  # noqa: B019 one for the session, and signing takes longer than asking
    def token(self, organisation: str, role: str) -> str:
        """A token that the system accepts."""
        return self.system.token(organisation, role)

    def peak_bytes(self) -> int:
        """The most memory that it has had since its peak was forgotten."""
        found = re.search(r"VmHWM:\s+(\d+) kB", self._told_of("status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def forget_peak(self) -> int:
        """Watch its memory anew from now on; returns what it has now."""
        self._told_of("clear_refs").write_text("5")
        return self.peak_bytes()

    def _told_of(self, name: str) -> Path:
        return Path(f"/proc/{self.system.pid('all')}/{name}")


@contextmanager
def whole_system(kafka: Kafka, database: str, prefix: str, folder: Path) -> Iterator[Whole]:
    """Every service in one process, the small directory, a referral that is settled and told, and its dead letters."""
    system = System.prepare(kafka, database, prefix, folder)
    make_topics(kafka, prefix)
    try:
        system.start("all", *SERVICES)
        system.wait_until_ready(except_for="the directory is empty")
        load(Connection(system.url("all"), system.token(TRUST, EDITOR)), SHIPPED)
        system.wait_until_ready()
        values = _filled(system, lambda topic, key: asyncio.run(_poison(kafka, f"{prefix}{topic}", key)))
        yield Whole(system, values, folder / "all.log", database, prefix)
    finally:
        system.stop()


def _filled(system: System, poison: Callable[[str, str], None]) -> dict[str, str]:
    """Refer a patient, wait until everybody was told, and spoil a record; returns what may be asked for."""

    def ask(method: str, path: str, organisation: str = TRUST, role: str = "paramedic", **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {system.token(organisation, role)}"} | more.pop("headers", {})
        answer = httpx.request(method, f"{system.url('all')}{path}", headers=headers, timeout=PATIENCE_SECONDS, **more)
        assert answer.is_success, answer.text
        return answer.json()

    key = str(uuid4())
    answer = ask("POST", "/referrals", json=SUBMISSION, headers={"Idempotency-Key": key})
    referral = answer["referral_id"]
    message = _until(lambda: _message_to(system, referral))
    about = {"Idempotency-Key": str(uuid4()), "Document-Title": "Letter", "Content-Type": "text/plain"}
    document = ask("POST", f"/referrals/{referral}/documents", content=b"Narrative-words: in a letter.", headers=about)
    poison("submissions", referral)
    letters = _until(lambda: ask("GET", "/dead-letters", OPERATOR, "operator")["dead_letters"])
    return {
        "key": key,
        "referral_id": referral,
        "message_id": message,
        "document_id": document["document_id"],
        "service_id": answer["service"]["id"],
        "number": str(letters[0]["number"]),
    }


def _message_to(system: System, referral: str) -> str | None:
    """The message to the referrer, once the feed has told of it."""
    headers = {"Authorization": f"Bearer {system.token(TRUST, 'clinical-hub')}"}
    params = {"referral": referral, "type": "notification.sent"}
    with httpx.stream("GET", f"{system.url('all')}/events", headers=headers, params=params, timeout=30.0) as told:
        for line in told.iter_lines():
            if line.startswith("data:") and (said := json.loads(line[5:])["data"])["audience"] == "referrer":
                return str(said["message_id"])
    return None


async def _poison(kafka: Kafka, topic: str, key: str) -> None:
    async with AIOKafkaProducer(**kafka.client()) as producer:
        await producer.send_and_wait(topic, b"{", key=key.encode())


def _until(fact: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := fact()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
