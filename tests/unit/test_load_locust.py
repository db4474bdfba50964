"""Locust's users for the scenarios: they can be loaded, and a short run asks what the scenario says."""

import http.server
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.locust,
    pytest.mark.skipif(find_spec("locust") is None, reason="Locust is not installed: `make locust` installs it"),
]


@pytest.fixture
def server() -> Iterator[tuple[str, Counter[str]]]:
    """Something that answers as the routes do, and counts what was asked with a token and a key of its own."""
    asked: Counter[str] = Counter()
    keys: set[str | None] = set()

    class Answering(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer("look", 200)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            known = self.headers["Idempotency-Key"] in keys
            keys.add(self.headers["Idempotency-Key"])
            self.answer("again" if known else "refer", 201)

        def answer(self, what: str, status: int) -> None:
            asked[what if self.headers["Authorization"] == "Bearer mine" else "nobody"] += 1
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    class Serving(http.server.ThreadingHTTPServer):
        request_queue_size = 128  # five by default: of more that connect at once some are reset

    with Serving(("127.0.0.1", 0), Answering) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()
        thread.join()


def locust(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Locust, which changes how a whole process does its input and output, in one of its own."""
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", *arguments]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=200)


def test_a_short_run_asks_what_the_scenario_says(server: tuple[str, Counter[str]]):
    """Crews look and refer, each with a token, each referral under a key of its own, until the schedule ends."""
    url, asked = server
    ran = locust(
        "--headless",
        "--host",
        url,
        ONWARD_SCENARIO="major-incident",
        ONWARD_SHORTEN="120",
        ONWARD_TOKEN="mine",
    )
    assert 0 == ran.returncode, ran.stderr[-2000:]
    assert {"look", "refer"} == asked.keys()
    assert 10 <= asked.total() <= 200


def test_a_scenario_of_events_has_its_users():
    """Locust finds a user for each stream: told events become transactions."""
    ran = locust("--list", ONWARD_SCENARIO="englands-day")
    assert 0 == ran.returncode, ran.stderr[-2000:]
    assert 4 == ran.stdout.count("Refer_")
