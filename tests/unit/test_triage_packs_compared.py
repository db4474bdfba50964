"""Two rule packs side by side: explained, compared, replayed on past submissions, and one as the other's shadow."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.submissions import ReferralSubmitted
from services.chassis.kafka import Kafka
from services.chassis.metrics import SHADOWED
from services.chassis.settings import Settings
from services.cli import rules as command
from services.triage import shadow as shadowing
from services.triage.comparison import changes
from services.triage.decision import decide
from services.triage.explaining import ExplainedPresentation, ExplainedRule, NothingOfThatName, explain
from services.triage.handlers import triage
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.service import build
from services.triage.settings import SHIPPED
from services.triage.shadow import Shadow
from tests.triage_examples import NOW, submitted

RULES = Rules(load(SHIPPED))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A pack in which a fall is less urgent, a blocked catheter more, dental goes elsewhere, and one rule is gone."""
    text = SHIPPED.read_text(encoding="utf-8").replace('version = "2.0.0"', 'version = "2.1"')

    def within(id: str, before: str, after: str) -> None:
        nonlocal text
        start = text.index(before, text.index(f'id = "{id}"\n'))
        text = text[:start] + after + text[start + len(before) :]

    within("fall", '"standard"', '"low"')
    within("blocked-catheter", '"urgent"', '"very_urgent"')
    within("dental", "[156, 135]", "[156]")
    start = text.rindex("[[", 0, text.index('id = "stemi-far"'))
    text = text[:start] + text[text.index("\n\n", start) + 2 :]
    file = tmp_path / "newer.toml"
    file.write_text(text, encoding="utf-8")
    return file


PAST = [submitted(1, "fall"), submitted(2, "blocked-catheter"), submitted(3, "dental"), submitted(4, "frailty")]


def test_a_presentation_in_words() -> None:
    """All that can decide it, in order, each with a combination in which it does."""
    explained = explain("hypoglycaemia", RULES)
    assert isinstance(explained, ExplainedPresentation)
    assert [
        "news2-not-valid",
        "news2-single-3",
        "news2-medium",
        "news2-high",
        "hypoglycaemia-goes-on",
        "hypoglycaemia-may-return",
        "hypoglycaemia-incomplete",
        "hypoglycaemia",
    ] == [step.rule for step in explained.steps]
    assert {"news2_band": "low", "glucose_mmol_per_l": "low"} == explained.steps[4].fires_with
    assert all(step.fires_with is not None for step in explained.steps)


def test_a_rule_in_words() -> None:
    """Where it leads: a fall on the head is shown with each step of the head injury that it can reach."""
    explained = explain("fall-head", RULES)
    assert isinstance(explained, ExplainedRule)
    assert {"struck_head": ("yes",)} == explained.when
    assert ["fall", "fall-with-injury", "long-lie"] == [standing.presentation for standing in explained.stands]
    assert "head-injury-anticoagulated" in [step.rule for step in explained.stands[0].steps]


def test_what_the_pack_does_not_have_is_not_explained() -> None:
    """The error names what there is."""
    with pytest.raises(NothingOfThatName, match=r"no rule and no presentation named purple-spots.*cardiac-arrest"):
        explain("purple-spots", RULES)


def test_a_pack_is_like_itself() -> None:
    """Nothing differs between two readings of one file."""
    assert [] == changes(load(SHIPPED), load(SHIPPED))


def test_what_is_written_differently(newer: Path) -> None:
    """Each change once, by rule and attribute, in words."""
    assert [
        "the pack: version was 2.0.0, is 2.1",
        "presentation stemi: order of rules was stemi-late, stemi-far, stemi-presentation, "
        "is stemi-late, stemi-presentation",
        "rule stemi-far: is gone",
        "rule fall: then.acuity was standard, is low",
        "rule blocked-catheter: then.acuity was urgent, is very_urgent",
        "rule dental: then.service_types was 156, 135, is 156",
    ] == [str(change) for change in changes(load(SHIPPED), load(newer))]


def test_a_replay_counts_what_changes_and_lists_what_became_less_urgent(newer: Path, tmp_path: Path) -> None:
    """By referral alone: no name, number or observation is in the answer. Exit code 1, for a case waits longer."""
    past = tmp_path / "past.jsonl"
    past.write_bytes(b"\n".join([*(event.to_json() for event in PAST), b"", b'{"type": "something"}', b"junk"]))
    run = CliRunner().invoke(command.app, ["replay", str(newer), "--file", str(past), "--json"])
    said = json.loads(run.stdout)
    assert (1, 4, 2) == (run.exit_code, said["submissions"], said["unreadable"])
    assert {"same": 1, "less-urgent": 1, "more-urgent": 1, "elsewhere": 1, "other-reasons": 0} == said["differences"]
    assert [
        {
            "referral": PAST[0].subject,
            "presentation": "fall",
            "before": "standard",
            "after": "low",
            "minutes_before": 120,
            "minutes_after": 120,
            "rule_before": "fall",
            "rule_after": "fall",
        }
    ] == said["less_urgent"]
    assert {"before": "standard", "after": "low", "count": 1} in said["acuity"]
    assert not any(of_patient in run.stdout for of_patient in ("Invented", "9000000009", "54.0"))


def test_a_replay_by_the_same_pack_changes_nothing(tmp_path: Path) -> None:
    """And ends well."""
    past = tmp_path / "past.jsonl"
    past.write_bytes(b"\n".join(event.to_json() for event in PAST))
    run = CliRunner().invoke(command.app, ["replay", str(SHIPPED), "--file", str(past)])
    assert 0 == run.exit_code
    assert "same 4" in run.stdout
    assert "less urgent: 0" in run.stdout


def test_a_replay_decides_as_it_would_have_been_decided_then() -> None:
    """An onset three hours before a submission of last year was three hours ago."""
    past = submitted(5, "stemi", onset=(NOW - timedelta(hours=3)).isoformat(), transfer_minutes=20)
    assert (121, 105) == decide(past.data.submission, RULES, past.time).service_types


@pytest.mark.parametrize(
    ("expected", "begins", "most"),
    [
        ({0: 4, 1: 0, 2: 95}, {0: 0, 1: 0, 2: 0}, 10),
        ({0: 0, 1: 0, 2: 0}, {0: 0, 1: 0, 2: 0}, 1_000),
        ({0: 8, 1: 1, 2: 100}, {0: 8, 1: 1, 2: 100}, 10),
    ],
)
def test_the_newest_of_each_partition(expected: dict[int, int], begins: dict[int, int], most: int) -> None:
    """At most so many in all, shared out; what a small partition does not need, the others have."""
    starts = command.newest(begins, {0: 8, 1: 1, 2: 100}, most)
    assert expected == starts
    assert sum({0: 8, 1: 1, 2: 100}[one] - start for one, start in starts.items()) <= most


@pytest.mark.parametrize(
    ("exit_code", "said", "arguments"),
    [
        (0, "onward-default 2.0.0 is sound: 32 presentations", ["check"]),
        (0, "stemi: Heart attack with ST elevation -> primary PCI centre, then emergency", ["presentations"]),
        (0, "decides, for example, with", ["explain", "stemi"]),
        (0, "0 changes", ["diff", str(SHIPPED), str(SHIPPED)]),
    ],
)
def test_the_commands_speak(exit_code: int, said: str, arguments: list[str]) -> None:
    """In words, and as one JSON document."""
    run = CliRunner().invoke(command.app, arguments)
    assert (exit_code, True) == (run.exit_code, said in run.stdout)
    assert json.loads(CliRunner().invoke(command.app, [*arguments, "--json"]).stdout)


def test_check_names_each_fault_and_fails(tmp_path: Path) -> None:
    """File, rule and fault; exit code 1."""
    file = tmp_path / "local.toml"
    file.write_text(SHIPPED.read_text().replace("[50, 146, 155]", "[50, 9]"))
    run = CliRunner().invoke(command.app, ["check", str(file)])
    assert 1 == run.exit_code
    assert "local.toml: rule palliative-medicines: then.service_types: unknown service type 9\n" == run.stdout


def counted(difference: str) -> float:
    """How many decisions of a shadow differed so."""
    return SHADOWED.labels(difference)._value.get()


async def shadowed(shadow: Shadow, *past: ReferralSubmitted) -> list[Any]:
    """What triage tells beside a shadow, which has its turn afterwards."""
    told = await triage(past, rules=RULES, clock=lambda: NOW, shadow=shadow)
    work = asyncio.create_task(shadow.run())
    async with asyncio.timeout(5):
        while shadow.waits:
            await asyncio.sleep(0)
    work.cancel()
    return told


async def test_a_shadow_is_counted_and_told_nowhere(newer: Path) -> None:
    """What is told is that of the pack that decides, to the byte; the differences are counted by kind."""
    before = {kind: counted(kind) for kind in ("same", "less-urgent", "more-urgent", "elsewhere")}
    told = await shadowed(Shadow(Rules(load(newer))), *PAST)
    alone = await triage(PAST, rules=RULES, clock=lambda: NOW)
    assert [event.to_json() for event in alone] == [event.to_json() for event in told]
    assert dict.fromkeys(before, 1) == {kind: counted(kind) - count for kind, count in before.items()}


async def test_a_shadow_that_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is told; the failure is counted."""

    def fails(*_: object) -> None:
        raise RuntimeError("a bug in the shadow")

    monkeypatch.setattr(shadowing, "decide", fails)
    before = counted("failed")
    told = await shadowed(Shadow(RULES), *PAST)
    assert (4, 4) == (len(told), counted("failed") - before)


async def test_a_shadow_that_falls_behind_misses_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many wait and no more; the rest is counted as missed, and every decision is told."""
    monkeypatch.setattr(shadowing, "WAITING", 3)
    before = counted("missed")
    told = await shadowed(Shadow(RULES), *PAST)
    assert (4, 1) == (len(told), counted("missed") - before)


def test_an_unsound_shadow_keeps_nobody_from_deciding(tmp_path: Path) -> None:
    """Triage starts without it."""
    keys = tmp_path / "keys.json"
    settings = Settings(kafka=Kafka("127.0.0.1:1"), database_url="", keys_file=keys)
    assert "triage" == build(settings, {"ONWARD_SHADOW_RULE_PACK": str(tmp_path / "none.toml")}).name
