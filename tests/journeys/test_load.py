"""`onward load` against a system that it did not start: it reports, stops safely, and fails what does not add up."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from loadtests import account, histograms, results
from loadtests.journal import Journal
from loadtests.run import Asked, Run, run
from loadtests.scenario import read
from loadtests.target import Target
from services.chassis.kafka import Kafka
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from tests.journeys.conftest import make_topics
from tests.running import System

pytestmark = pytest.mark.backing

EVERY_KIND = """
title = "Every kind"
shows = "A transaction, a lookup and an event, each some times; and a reader that takes its time."
follow = "{follow}"
[[load]]
name = "refer"
kind = "transaction"
where = "Nottingham"
schedule = {{ constant = {{ per_second = {per_second}, seconds = {seconds} }}, arrivals = "poisson" }}
[[load]]
name = "look"
kind = "lookup"
where = "Nottingham"
schedule = {{ steps = {{ per_second = [5, 10], seconds = 1 }} }}
[[load]]
name = "tell"
kind = "event"
where = "Nottingham"
schedule = {{ burst = {{ events = 40 }} }}
[[reader]]
count = 2
pause_ms = 20
"""


@pytest.fixture
def system(kafka: Kafka, database: str, prefix: str, tmp_path: Path) -> Iterator[System]:
    """Every service, in one process."""
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


def scenario(folder: Path, *, per_second: float = 20, seconds: float = 2, follow: str = "along") -> Path:
    """A short scenario of every kind of request."""
    file = folder / "every-kind.toml"
    file.write_text(EVERY_KIND.format(per_second=per_second, seconds=seconds, follow=follow))
    return file


def begin(system: System, kafka: Kafka, database: str, prefix: str, file: Path, into: Path) -> subprocess.Popen[bytes]:
    """`onward load run` against the system, as against anyone's."""
    command = [sys.executable, "-m", "services.cli", "load", "run", str(file), "--into", str(into)]
    command += ["--url", system.url("all"), "--token", system.token(TRUST, "paramedic"), "--prefix", prefix]
    command += ["--metrics", system.url("all")]
    return subprocess.Popen(command, env=os.environ | kafka.environ | {"DATABASE_URL": database})


def test_a_run_against_a_deployment_adds_up_and_is_reported(
    system: System, kafka: Kafka, database: str, prefix: str, tmp_path: Path
) -> None:
    """Every kind of request is accounted for: the verdict leads the report, and every figure is kept."""
    into = tmp_path / "run"
    assert 0 == begin(system, kafka, database, prefix, scenario(tmp_path), into).wait(120)
    result = json.loads((into / results.RESULT).read_text())
    assert result["verdict"].startswith("ADDS UP")
    assert {"refer", "look", "tell"} == {one["name"] for one in result["streams"]}
    assert {40, 15} == {one["offered"] for one in result["streams"] if one["name"] != "refer"}
    referred = sum(one["offered"] for one in result["streams"] if one["name"] != "look")
    assert result["account"]["outcomes"] == referred - result["account"]["refused"]  # which a busy machine may do
    assert result["cpu_s"][system.url("all")] > 0
    assert result["streamed_bytes"] > 0
    tags = histograms.by_tag(histograms.read(into / results.LATENCIES))
    assert {"refer", "refer.outcome", "refer.told", "tell.told", "look", "refer.late"} <= tags.keys()
    page = (into / results.REPORT).read_text()
    assert page.index("ADDS UP") < page.index("<h1>")
    assert 6 == page.count("<svg")
    assert "<script" not in page
    assert "http" not in page.replace("http://127.0.0.1", "")  # nothing is fetched


def test_an_interrupted_run_accounts_for_what_was_sent(
    system: System, kafka: Kafka, database: str, prefix: str, tmp_path: Path
) -> None:
    """Ctrl-C stops the sending; what had been sent by then still adds up, and the figures are kept."""
    into = tmp_path / "run"
    running = begin(system, kafka, database, prefix, scenario(tmp_path, seconds=3_000), into)
    deadline = time.monotonic() + 60
    while not (journal := into / results.JOURNAL).exists() or journal.read_text().count('"answered"') < 30:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    assert 0 == running.wait(90)
    result = json.loads((into / results.RESULT).read_text())
    assert result["stopped_early"]
    assert result["verdict"].startswith("ADDS UP")
    assert 30 <= result["account"]["outcomes"] < 3_000


LOST_OUTCOME = (
    "delete from booking.placements where placement_id in (select placement_id from booking.placements limit 1)"
)
LOST_MESSAGE = "delete from notification.messages where id in (select id from notification.messages limit 1)"
LOST_ATTEMPT = "delete from gateway.attempts where key in (select key from gateway.attempts limit 1)"
HELD_TWICE = """
drop index booking.one_active_booking_a_placement;
insert into booking.bookings select 'x' || reference, placement_id, service_id, starts_at from booking.bookings
order by reference limit 1
"""
TOLD_TWICE = """
insert into notification.messages
select (json_populate_record(m, json_build_object('id', gen_random_uuid()))).* from notification.messages m limit 1
"""


@pytest.mark.sabotage
async def test_what_does_not_add_up_fails_the_run(
    system: System, kafka: Kafka, database: str, prefix: str, tmp_path: Path
) -> None:
    """One thing lost or doubled after a sound run is found in the tables, whatever it is, and fails it."""
    sign = lambda organisation, _practitioner, role: system.token(organisation, role)  # noqa: E731
    target = Target(system.url("all"), kafka.administrator, database, sign, prefix=prefix)
    began = datetime.now(UTC)
    written = read(scenario(tmp_path, follow="afterwards"))
    done = await run(Run(written, Asked(), target, tmp_path, Journal.begin(tmp_path / results.JOURNAL)))
    assert done.account.adds_up, done.account.verdict
    assert done.witness is not None

    async def accounted() -> account.Account:
        assert done.witness is not None
        return await account.close(target, done.journal.entries, done.witness, began)

    for sabotage, lost, doubled in (
        (LOST_ATTEMPT, 1, 0),
        (TOLD_TWICE, 1, 1),
        (LOST_MESSAGE, 2, 1),
        (HELD_TWICE, 2, 2),
        (LOST_OUTCOME, 3, 2),
    ):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(sabotage)
        found = await accounted()
        assert found.verdict.startswith("DOES NOT ADD UP")
        # What was harmed before may be what is harmed now.
        assert lost - 1 <= found.lost <= lost
        assert found.doubled <= doubled
        assert found.faults
    with psycopg.connect(database) as connection:
        kept = {str(key) for (key,) in connection.execute("select key from gateway.attempts")}
    refused = next(one for one in done.journal.entries if one.fate == "answered" and one.id in kept)
    refused.fate = "refused"
    assert any("was refused with" in fault for fault in (await accounted()).faults)
