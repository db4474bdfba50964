"""`onward status`: what waits, from the metrics of every process."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import local, status
from services.cli.commands import app
from services.cli.status import backlog_in

EDGE = """
onward_group_lag_records{service="booking",topic="placements"} 40.0
onward_unfinished_oldest_seconds{service="booking",topic="placements"} 3.04
onward_unsettled_submissions{service="gateway"} 5.0
onward_unsettled_oldest_seconds{service="gateway"} 2.0
onward_dead_letters{service="booking"} 2.0
onward_overdue_owners{service="referrals"} NaN
onward_something_else{service="booking"} 1.0
"""
ANOTHER = """
onward_group_lag_records{service="booking",topic="placements"} 38.0
onward_unfinished_oldest_seconds{service="booking",topic="placements"} 7.06
onward_unsettled_submissions{service="gateway"} 7.0
onward_unsettled_oldest_seconds{service="gateway"} 9.0
onward_dead_letters{service="booking"} NaN
"""


def test_processes_are_taken_together() -> None:
    """Submissions of each are added up; of a shared backlog the largest counts; what nobody could count is unknown."""
    backlog = backlog_in([EDGE, ANOTHER])
    assert {("booking", "placements"): {"behind": 40, "oldest_seconds": 7.1}} == backlog.groups
    assert {
        "booking": {"dead_letters": 2},
        "gateway": {"unsettled": 12, "unsettled_oldest_seconds": 9.0},
        "referrals": {"overdue_owners": None},
    } == backlog.services


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A local system of all workers that says what the test wants of its readiness."""
    said: dict[str, Any] = {"status": "ready", "services": {"booking": []}}
    workers = tuple(SimpleNamespace(name=worker.name, url=worker.name) for worker in local.WORKERS)
    system = SimpleNamespace(workers=workers, base_url="http://127.0.0.1:1")
    monkeypatch.setattr(local, "find", lambda folder: system)
    monkeypatch.setattr(local, "readiness", lambda worker: said)
    monkeypatch.setattr(status, "scraped", lambda url: EDGE if url == "edge" else "")
    return said


def test_it_is_said_in_tables_and_in_json(running: dict[str, Any]) -> None:
    """Lag, ages, unsettled, dead letters and owners overdue; exit code 0 when all is ready."""
    told = CliRunner().invoke(app, ["status"])
    assert 0 == told.exit_code
    for line in ("placements", "submissions without an outcome", "dead letters", "owners who are late", "not known"):
        assert line in told.output
    described = CliRunner().invoke(app, ["status", "--json"])
    assert [{"service": "booking", "topic": "placements", "behind": 40, "oldest_seconds": 3.0}] == json.loads(
        described.output
    )["backlog"]["groups"]


def test_what_is_not_ready_is_exit_code_1_and_says_why(running: dict[str, Any]) -> None:
    """With the reason."""
    running.update(status="not ready", services={"booking": ["Kafka has not answered for 7 s"]})
    told = CliRunner().invoke(app, ["status"])
    assert (1, True) == (told.exit_code, "Kafka has not answered for 7 s" in told.output)
