"""The simulated device: incidents by seed, the journal, the crew's screen."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from contracts.people import Position
from services.device import sender
from services.device.incidents import scenarios, shift
from services.device.journal import Journal
from services.device.screen import lines_of
from services.device.sender import Answered, refer
from services.gateway.nhs_number import check_digit_holds
from services.triage.decision import decide
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import TriageSettings

MIDDLE = Position(latitude=52.9, longitude=-1.2)


def test_one_seed_makes_one_shift() -> None:
    """The same seed makes the same incidents, keys included; another seed makes others."""
    first, again, other = (list(islice(shift(seed, MIDDLE), 20)) for seed in (3, 3, 4))

    assert first == again
    assert {one.key for one in first}.isdisjoint(one.key for one in other)


def test_every_scenario_is_triaged_as_its_table_says() -> None:
    """A thousand draws of the scenarios: acuity and first service type are those of the committed table."""
    rules = Rules(load(TriageSettings.read({}).rule_pack))

    for incident in islice(shift(5, MIDDLE), 1000):
        decision = decide(incident.submission, rules, datetime(2026, 3, 2, 16, 40, tzinfo=UTC))

        assert incident.expect.acuity == decision.acuity, incident.scenario
        assert incident.expect.service_type == decision.service_types[0], incident.scenario


def test_nhs_numbers_are_made_up_and_sound() -> None:
    """Made-up NHS numbers are of the range for tests, and their check digit is right."""
    numbers = [one.submission.patient.nhs_number for one in islice(shift(6, MIDDLE), 500)]

    assert all(number is not None and number.startswith("9") and check_digit_holds(number) for number in numbers)


def test_the_scenarios_are_those_that_the_demo_promises() -> None:
    """Stroke, cardiac arrest, fall, sepsis, chest pain, mental-health crisis, palliative and blocked catheter."""
    promised = {
        "stroke",
        "cardiac-arrest",
        "fall",
        "sepsis",
        "low-risk-chest-pain",
        "mental-health-crisis",
        "palliative",
        "blocked-catheter",
    }

    assert promised == set(scenarios())


def test_a_journal_survives_a_power_cut(tmp_path: Path) -> None:
    """What was written whole is there again; a line that was cut off is left out."""
    file = tmp_path / "journal.jsonl"
    answered, unanswered = uuid4(), uuid4()
    journal = Journal(file)
    journal.intend(answered, "fall", datetime.now(UTC))
    journal.answered(answered, 201, "a-referral", "slot_held")
    journal.intend(unanswered, "stroke", datetime.now(UTC))
    journal.close()
    file.write_text(file.read_text() + '{"key": "' + str(unanswered) + '", "sta')

    entries = Journal(file).entries

    assert {answered: 201, unanswered: None} == {key: entry.status for key, entry in entries.items()}


async def test_a_device_sends_the_same_key_until_it_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost connections, 503 and 202 are followed by the same key and the same body; 201 ends it."""
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.0)
    replies = [
        httpx.ConnectError("gone"),
        httpx.Response(503),
        httpx.Response(202, json={}),
        httpx.Response(201, json={}),
    ]
    seen: list[tuple[str, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["idempotency-key"], request.content))
        reply = replies[len(seen) - 1]
        if isinstance(reply, Exception):
            raise reply
        return reply

    key = uuid4()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://onward") as client:
        answered = await refer(client, key, b"{}", "token")

    assert (201, 4) == (answered.status, answered.tries)
    assert [(str(key), b"{}")] * 4 == seen


async def test_a_refusal_is_not_sent_again() -> None:
    """A 422 is final: the crew must mend it."""
    calls = 0

    def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return httpx.Response(422, json={"title": "no"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://onward") as client:
        answered = await refer(client, uuid4(), b"{}", "token")

    assert (422, 1, False) == (answered.status, calls, answered.settled)


def test_the_screen_shows_each_fault_of_a_refusal() -> None:
    """The crew sees where each fault is and what it is."""
    incident = next(shift(1, MIDDLE))
    body = {
        "title": "The submission does not hold",
        "detail": "Mend it.",
        "faults": [{"pointer": "/patient/age", "message": "wrong unit"}],
    }

    lines = lines_of(incident, Answered(422, body, 1, 0.1))

    assert "stroke: REFUSED (422) The submission does not hold. Mend it." == lines[0]
    assert ["   /patient/age: wrong unit"] == lines[1:]
