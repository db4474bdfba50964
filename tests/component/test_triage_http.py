"""`POST /triage`, as the process serves it: the dry run, its refusals, and that nothing is told."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.triage.rule_pack import UnsoundRulePack
from services.triage.service import build
from services.triage.settings import SHIPPED

JSON = {"content-type": "application/json"}
FALL: dict[str, Any] = {
    "patient": {"age": {"value": 84}},
    "position": {"latitude": 54.0, "longitude": -1.5},
    "presentation": "fall",
    "observations": {
        "respiration_per_min": 17,
        "oxygen_saturation_percent": 97,
        "on_oxygen": False,
        "systolic_mmhg": 134,
        "pulse_per_min": 78,
        "consciousness": "alert",
        "temperature_celsius": 36.6,
    },
    "accept": [{"service_type": 146}],
}


def settings(folder: Path) -> Settings:
    """Settings of a process whose Kafka and PostgreSQL nobody asks."""
    return Settings(kafka=Kafka("127.0.0.1:9"), database_url="", keys_file=folder / "keys.json")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def anyone(keys: tuple[Path, Path], tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    app = create_app([build(settings(tmp_path), {})], Verifier.from_file(keys[1]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://onward") as client:
        yield client


@pytest.fixture
def crew(anyone: httpx.AsyncClient, keys: tuple[Path, Path]) -> httpx.AsyncClient:
    """The same client with a crew's token."""
    token = sign(keys[0], organisation="RX1", practitioner="P123", role="paramedic", now=datetime.now(UTC))
    anyone.headers["Authorization"] = f"Bearer {token}"
    return anyone


async def test_the_dry_run_says_what_would_be_decided(crew: httpx.AsyncClient) -> None:
    """Acuity, disposition, service types by name, score, reasons with sources, and the pack that decides."""
    answer = await crew.post("/triage", json=FALL)
    said = answer.json()
    assert 200 == answer.status_code
    assert ("standard", False, [], "onward-default 2.0.0") == (
        said["acuity"],
        said["to_clinician"],
        said["marks"],
        said["rule_pack"],
    )
    assert {"code": "UCR-2H", "name": "Urgent community response within 2 hours", "minutes": 120} == said["disposition"]
    assert [
        {"service_type": 146, "name": "urgent community response"},
        {"service_type": 135, "name": "urgent treatment centre"},
    ] == said["service_types"]
    assert (0, True, "low") == tuple(said["scores"]["news2"][name] for name in ("total", "complete", "band"))
    [reason] = said["reasons"]
    assert "fall" == reason["rule"]
    assert reason["source"].startswith("NHS England")


async def test_the_dry_run_of_what_is_unknown(crew: httpx.AsyncClient) -> None:
    """An unknown presentation is answered, not refused: a clinician decides, and the mark says where."""
    said = (await crew.post("/triage", json=FALL | {"presentation": "purple-spots"})).json()
    assert (True, [], ["/presentation"]) == (
        said["to_clinician"],
        said["service_types"],
        [mark["pointer"] for mark in said["marks"]],
    )


async def test_without_a_token(anyone: httpx.AsyncClient) -> None:
    """401, as a problem."""
    answer = await anyone.post("/triage", json=FALL)
    assert (401, "application/problem+json") == (answer.status_code, answer.headers["content-type"])


async def test_every_fault_of_the_body_is_named(crew: httpx.AsyncClient) -> None:
    """422 with a JSON pointer for each: missing, misspelt, out of range and of the wrong type, all at once."""
    body = {
        "patient": {"age": {"value": 84}},
        "presentation": "fall",
        "observations": {"pulse_per_min": "78", "temperature_celsius": 366, "respirations": 17},
        "accept": [{"service_type": 146}],
    }
    answer = await crew.post("/triage", json=body)
    assert 422 == answer.status_code
    assert {
        "/position",
        "/observations/pulse_per_min",
        "/observations/temperature_celsius",
        "/observations/respirations",
    } == {fault["pointer"] for fault in answer.json()["faults"]}


async def test_a_refusal_repeats_no_value(crew: httpx.AsyncClient) -> None:
    """What was sent of a patient is not sent back, not even where it is at fault."""
    answer = await crew.post("/triage", json=FALL | {"patient": {"name": "Invented Person", "nhs_number": "90000000"}})
    assert 422 == answer.status_code
    assert "Invented" not in answer.text
    assert "90000000" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"fall"])
async def test_a_body_that_is_not_json(crew: httpx.AsyncClient, body: bytes) -> None:
    """400, as a problem."""
    answer = await crew.post("/triage", content=body, headers=JSON)
    assert (400, "application/problem+json") == (answer.status_code, answer.headers["content-type"])


async def test_a_body_that_is_too_large(crew: httpx.AsyncClient) -> None:
    """413: no submission is larger than 65,536 bytes."""
    answer = await crew.post("/triage", content=b" " * 65_537, headers=JSON)
    assert 413 == answer.status_code


async def test_another_rule_pack_is_named_in_the_environment(keys: tuple[Path, Path], tmp_path: Path) -> None:
    """The answer names it."""
    (tmp_path / "local.toml").write_text(SHIPPED.read_text().replace('version = "2.0.0"', 'version = "7"'))
    service = build(settings(tmp_path), {"ONWARD_RULE_PACK": str(tmp_path / "local.toml")})
    app = create_app([service], Verifier.from_file(keys[1]))
    token = sign(keys[0], organisation="RX1", practitioner="P123", role="paramedic", now=datetime.now(UTC))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://onward") as client:
        said = (await client.post("/triage", json=FALL, headers={"Authorization": f"Bearer {token}"})).json()
    assert "onward-default 7" == said["rule_pack"]


async def test_an_unsound_rule_pack_stops_the_start(tmp_path: Path) -> None:
    """Nothing is decided by rules with a fault."""
    (tmp_path / "local.toml").write_text(SHIPPED.read_text().replace("[50, 146, 155]", "[50, 146, 9]"))
    with pytest.raises(UnsoundRulePack, match=r"local.toml: rule palliative-medicines: .*unknown service type 9"):
        build(settings(tmp_path), {"ONWARD_RULE_PACK": str(tmp_path / "local.toml")})


async def test_what_each_presentation_asks(crew: httpx.AsyncClient) -> None:
    """Every presentation, each question with its kind, unit and the place of its answer: a device builds its form."""
    said = (await crew.get("/presentations")).json()
    stemi = next(one for one in said["presentations"] if one["presentation"] == "stemi")
    assert ("onward-default 2.0.0", 32) == (said["rule_pack"], len(said["presentations"]))
    assert {
        "question": "transfer_minutes",
        "asks": "How many minutes is the transfer to the specialist centre?",
        "kind": "number",
        "pointer": "/findings/answers/transfer_minutes",
        "unit": "minutes",
        "least": 0.0,
        "most": 600.0,
        "options": [],
        "source": "NICE NG185: 120 minutes (STEMI); 60 minutes (trauma) is an unverified default",
    } == stemi["asks"][-1]
    assert "/findings/fast/face" in [asked["pointer"] for asked in stemi["asks"]]
    assert [121, 105] == [one["service_type"] for one in stemi["service_types"]]
    cellulitis = next(one for one in said["presentations"] if one["presentation"] == "cellulitis")
    assert ["cellulitis-spreading", "news2-not-valid", "news2-medium", "news2-high"] == [
        reason["rule"] for reason in cellulitis["excluded_by"]
    ]


async def test_every_question_can_be_answered_where_it_points(crew: httpx.AsyncClient) -> None:
    """An answer of the kind that is asked, at its pointer, is taken: no fault, and no mark but for contradictions."""
    answers: dict[str, object] = {"true-false": False, "yes-no": "no", "time": "2026-03-02T16:40:00Z"}
    for presentation in (await crew.get("/presentations")).json()["presentations"]:
        body = json.loads(json.dumps(FALL | {"presentation": presentation["presentation"]}))
        for asked in presentation["asks"]:
            *way, last = asked["pointer"].split("/")[1:]
            place = body
            for part in way:
                place = place.setdefault(part, {})
            place[last] = (
                asked["options"][0]["word"] if asked["options"] else answers.get(asked["kind"], asked["least"])
            )
        said = await crew.post("/triage", json=body)
        assert 200 == said.status_code
        assert not {"question-unknown", "answer-unusable", "implausible-answer"} & {
            mark["code"] for mark in said.json()["marks"]
        }
        assert presentation["asks"] == said.json()["asks"]
