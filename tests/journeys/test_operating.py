"""What an operator sees of a whole system: its metrics, as Prometheus takes them, and `onward status`."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.chassis.kafka import Kafka
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.cli.status import backlog_in, scraped
from services.triage.settings import SHIPPED as RULES
from tests.chassis_examples import until
from tests.dashboards import queries
from tests.journeys.conftest import make_topics
from tests.journeys.sending import incident_of
from tests.running import System

pytestmark = [pytest.mark.backing, pytest.mark.promtool]


@pytest.fixture
def system(
    kafka: Kafka, database: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[System]:
    """Every service, in one process, and a rule pack that shadows itself."""
    monkeypatch.setenv("ONWARD_SHADOW_RULE_PACK", str(RULES))
    system = System.prepare(kafka, database, prefix, tmp_path)
    make_topics(kafka, prefix)
    try:
        system.start("all", "gateway", "triage", "pathways", "booking", "notification", "referrals")
        system.wait_until_ready(except_for="the directory is empty")
        load(Connection(system.url("all"), system.token(TRUST, "directory-editor")), SHIPPED)
        system.wait_until_ready()
        yield system
    finally:
        system.stop()


def faults_of(metrics: str) -> str:
    """What promtool finds fault with."""
    ask = ["promtool", "check", "metrics"]
    checked = subprocess.run(ask, input=metrics, capture_output=True, text=True, timeout=60)
    return checked.stdout + checked.stderr


async def test_real_metrics_are_as_prometheus_and_the_alerts_want_them(system: System) -> None:
    """After a referral: promtool finds nothing to say, every metric that a query asks for is there, and when all is
    told nothing waits."""
    incident = incident_of("stroke")
    headers = {
        "Authorization": f"Bearer {system.token(TRUST, 'paramedic')}",
        "Content-Type": "application/json",
        "Idempotency-Key": str(incident.key),
    }
    async with httpx.AsyncClient(base_url=system.url("all"), headers=headers, timeout=20) as crew:
        body = incident.submission.model_dump_json(exclude_none=True)
        assert 201 == (await crew.post("/referrals", content=body)).status_code

    def backlog() -> dict[str, object]:
        found = backlog_in([scraped(system.url("all"))])
        return {
            "behind": sum(of["behind"] or 0 for of in found.groups.values()),
            **found.services["gateway"],
            **found.services["notification"],
            **found.services["referrals"],
        }

    nothing = {
        "behind": 0,
        "unsettled": 0,
        "unsettled_oldest_seconds": 0.0,
        "outbox_waiting": 0,
        "outbox_oldest_seconds": 0.0,
        "dead_letters": 0,
        "overdue_referrals": 0,
        "overdue_owners": 0,
    }
    await until(lambda: backlog() == nothing, within=30)
    real = scraped(system.url("all"))
    exposed = set(re.findall(r"^(onward_\w+)\{", real, re.MULTILINE))
    assert set() == {name for query in queries() for name in re.findall(r"\bonward_\w+", query)} - exposed
    assert re.search(r'^onward_step_records_count\{service="booking",topic="placements"\} [1-9]', real, re.MULTILINE)
    assert str(incident.submission.patient.nhs_number) not in real
    assert "" == faults_of(real)
