"""Devices and the feed's server killed amid a shift: nothing is lost on the way out, nothing on the way back."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.cli.connection import TRUST
from services.cli.crew import MIDDLE
from services.device.queue import Queue
from services.device.shift import shift
from tests.journeys.accounting import close
from tests.running import System

pytestmark = [pytest.mark.backing, pytest.mark.faults]

DEVICES = 2
COUNT = 30
SEED = 5
KILLS = 3
PATIENCE_SECONDS = 90.0
NOW = datetime.now(UTC)
"""Decides no key."""

FEED = """
select position, event_id::text from referrals.facts
where type in ('booking.confirmed', 'booking.exhausted', 'notification.sent') and position is not null
order by position
"""


def test_devices_and_the_feeds_server_killed_amid_a_shift(system: System, database: str, tmp_path: Path) -> None:
    """Two devices are killed at random moments, without signal too, and go on from their files: each referral that
    they wrote down is answered once. `watch` tells every fact once and in order, over a kill of the server."""
    chance = random.Random(SEED)
    watched = tmp_path / "watched"
    with watched.open("wb") as lines:
        watching = subprocess.Popen(_watch(system), stdout=lines, preexec_fn=_heed_interrupts)
    try:
        for number in range(KILLS):
            _work_and_be_killed(system, tmp_path, after_lines=chance.randrange(1, 25))
            if number == 1:
                system.kill("referrals")
                system.start("referrals")
        last = subprocess.run(_device(system, tmp_path), stdout=subprocess.DEVNULL, timeout=PATIENCE_SECONDS)
        queues = [Queue(tmp_path / f"device-{number}.sqlite") for number in range(1, DEVICES + 1)]
        for queue in queues:
            queue.close()
        account = _at_last(lambda: close(database, *queues), lambda account: not account.faults)
        seen, told = _at_last(lambda: (_seen(watched), _told(database)), lambda both: len(both[0]) >= len(both[1]))
    finally:
        watching.send_signal(signal.SIGINT)
        watching.wait(10)

    incidents = [islice(shift(SEED + number, [MIDDLE], lambda _: NOW), COUNT) for number in range(DEVICES)]
    assert [{one.key for one in made} for made in incidents] == [set(queue.entries) for queue in queues]
    assert ((), DEVICES * COUNT, 0) == (account.faults, account.answered, last.returncode)
    assert told == seen
    assert 0 == watching.returncode


def _device(system: System, folder: Path) -> list[str]:
    """Without signal from the first second of each start to the third."""
    options = {
        "--devices": DEVICES,
        "--count": COUNT,
        "--seed": SEED,
        "--every": 0.1,
        "--begins": "08:00",
        "--offline": "08:00:01-08:00:03",
        "--when-expired": "resend",
        "--queue": folder / "device.sqlite",
        "--url": system.url("gateway"),
        "--token": system.token(TRUST, "paramedic"),
    }
    return [
        *(sys.executable, "-m", "services.cli", "device", "--json"),
        *(str(part) for option in options.items() for part in option),
    ]


def _watch(system: System) -> list[str]:
    where = ["--url", system.url("referrals"), "--token", system.token(TRUST, "clinical-hub"), "--since", "1-0"]
    return [sys.executable, "-m", "services.cli", "watch", "--as", "json", *where]


def _heed_interrupts() -> None:
    """As at a terminal: a runner in the background has its children ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _work_and_be_killed(system: System, folder: Path, *, after_lines: int) -> None:
    """Devices at work, until they have shown so many lines; then signal 9."""
    process = subprocess.Popen(_device(system, folder), stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(after_lines):
        assert process.stdout.readline()
    process.kill()
    process.wait(10)
    process.stdout.close()


def _told(database: str) -> list[tuple[str, str]]:
    """The cursors and events of the feed."""
    with psycopg.connect(database) as connection:
        return [(f"1-{position}", event) for position, event in connection.execute(FEED)]


def _seen(watched: Path) -> list[tuple[str, str]]:
    """The cursors and events that `watch` has printed whole."""
    lines = watched.read_text().splitlines(keepends=True)
    facts = [json.loads(line) for line in lines if line.endswith("\n")]
    return [(fact["cursor"], fact["event"]["id"]) for fact in facts]


def _at_last(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """What is seen once it is so, or when the time is up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so(found := look()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return found
