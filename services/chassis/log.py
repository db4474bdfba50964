"""Structured logs: facts with ids. What is not on the list below is dropped, so no patient data can slip in."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

# fmt: off
ALLOWED = frozenset((
    "event", "level", "timestamp", "service", "replica", "topic", "topics", "partition", "offset", "group", "reader",
    "type", "event_id", "referral", "placement", "message", "organisation", "service_id", "reason", "error", "count",
    "buried", "told", "seconds", "attempt", "pause", "host", "port", "state", "status", "method", "route", "epoch",
    "position", "part", "services", "version", "added", "changed", "unchanged", "delisted", "waited", "pending",
    "table", "schema", "url", "signal", "pid", "bytes",
))
# fmt: on
"""Keys that a log line may carry: ids, counts, names of parts, and reasons written by us. Never a name, an NHS number
or free text."""


def _allowed_only(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = [key for key in fields if key not in ALLOWED]
    for key in dropped:
        del fields[key]
    if dropped:
        fields["reason"] = f"{fields.get('reason', '')} [not logged: {', '.join(sorted(dropped))}]".strip()
    return fields


def configure(*, style: Literal["json", "text"] = "json", level: int = logging.INFO, to: TextIO = sys.stderr) -> None:
    """Set up logging for this process: JSON lines, or text for people. Libraries speak at WARNING and above."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _allowed_only,
            structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(to),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=to, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def logger(service: str) -> Any:
    """A logger that names its service."""
    return structlog.get_logger().bind(service=service)
