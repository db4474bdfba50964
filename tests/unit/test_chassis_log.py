"""Logs carry ids and counts; names, numbers and free text are dropped, by whatever name they come."""

import ast
import io
import json
from pathlib import Path

import pytest
import stamina

from services.chassis import log
from tests.gateway_examples import submission
from tests.notification_examples import leaves

SERVICES = Path(log.__file__).parents[1]
SENTINEL = "Ada SENTINEL 9000000009"


def test_a_line_says_what_happened_to_which_id(logged: io.StringIO) -> None:
    """JSON with time, level, service and the fields that are on the list."""
    log.logger("booking").info("slot_held", referral="5f1c2a34", count=3)
    line = json.loads(logged.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert {"event": "slot_held", "level": "info", "service": "booking", "referral": "5f1c2a34", "count": 3} == line


def test_what_is_not_on_the_list_is_dropped_and_named(logged: io.StringIO) -> None:
    """Whoever added the field learns that it is not logged."""
    log.logger("booking").info("slot_held", patient=SENTINEL, reason="full", nhs_number="9000000009")
    line = json.loads(logged.getvalue())
    assert "full [not logged: nhs_number, patient]" == line["reason"]
    assert "SENTINEL" not in logged.getvalue()


def test_no_part_of_a_submission_can_be_logged_by_its_name(logged: io.StringIO) -> None:
    """Each attribute of patient and narrative, logged under its own name, leaves nothing behind."""
    whole = submission()
    log.logger("gateway").info("received", **whole["patient"] | {"narrative": whole["narrative"], "patient": whole})
    line = json.loads(logged.getvalue())
    del line["timestamp"]  # whose digits may be anybody's age
    for value in leaves(whole["patient"]):
        assert value not in json.dumps(line)
    assert whole["narrative"] not in json.dumps(line)


def test_an_exception_is_never_logged_with_its_text(logged: io.StringIO) -> None:
    """Its message may quote a row, and a row a patient."""
    try:
        raise ValueError(SENTINEL)
    except ValueError:
        log.logger("booking").exception("failed", stack_info=True)
    assert "failed" == json.loads(logged.getvalue())["event"]
    assert "SENTINEL" not in logged.getvalue()


def test_a_retry_is_logged_without_what_caused_it(logged: io.StringIO) -> None:
    """The library that retries logs each attempt with the exception and the arguments: both are dropped."""

    @stamina.retry(on=ValueError, attempts=2, wait_initial=0, wait_jitter=0, wait_max=0)
    def ask(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(ValueError):
        ask(SENTINEL)
    assert "stamina.retry_scheduled" == json.loads(logged.getvalue())["event"]
    assert "SENTINEL" not in logged.getvalue()


def test_text_for_people_drops_the_same(logged: io.StringIO) -> None:
    """The style changes the look, not what is said."""
    log.configure(style="text", to=logged)
    log.logger("booking").warning("slot_held", patient=SENTINEL, referral="5f1c2a34")
    assert "5f1c2a34" in logged.getvalue()
    assert "SENTINEL" not in logged.getvalue()


def test_no_service_prints() -> None:
    """What is printed passes no list; only the command line speaks to people."""
    printing = [
        f"{file.relative_to(SERVICES)}:{node.lineno}"
        for file in SERVICES.rglob("*.py")
        if file.parts[len(SERVICES.parts)] not in {"cli", "device", "cli.py"}
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert [] == printing


def test_no_service_logs_past_the_list() -> None:
    """Every logger of ours is the one that drops; the standard library's would not."""
    loggers = [
        f"{file.relative_to(SERVICES)}:{node.lineno}"
        for file in SERVICES.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "getLogger"
    ]
    assert [] == loggers
