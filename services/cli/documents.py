"""Documents that are made from the code: `make docs` writes them, and a test fails when one is not current."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from services.chassis import metrics
from services.chassis.identity import Verifier
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.topics import writers
from services.chassis.web import create_app
from services.cli import asyncapi
from services.composition import SERVICES, build
from services.referrals import lifecycle_page

ROOT = Path(__file__).parents[2]

_METRICS = """# Metrics

Every process answers `/metrics` in Prometheus' text format. Written by `make docs` from `services/chassis/metrics.py`.

Labels name parts of the system, never people, and have few values: `service` and `topic` as in `docs/architecture.md`,
`schema` (a service's, or `sandbox`), `route` (a template), `method`, `status`, `reason` (as listed).

Gauges of backlogs are counted when they are asked for, at most once a second; what could not be counted is `NaN`.
What concerns a whole group or table (`onward_group_lag_records`, `onward_dead_letters`, `onward_outbox_…`,
`onward_overdue_…`, `onward_asking_…`, `onward_giving_back…`, `onward_receivers_left_alone`) is the same from every
replica: take the `max` over replicas. All else is each replica's own: take the `sum`, or the `max` of an age. The
client's own metrics (`python_…`, `process_…`) come with them.

The dashboard in `deploy/dashboards/` and the alert rules in `deploy/alerts/` use these names and no others.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def metrics_page() -> str:
    """docs/metrics.md: each metric with its type, labels and meaning, by name."""
    rows = sorted(
        f"| `{family.name}{'_total' if isinstance(one, Counter) else ''}` | {family.type} "
        f"| {', '.join(f'`{label}`' for label in one._labelnames)} | {family.documentation} |\n"
        for one in vars(metrics).values()
        if isinstance(one, Counter | Gauge | Histogram)
        for family in one.describe()
    )
    return _METRICS + "".join(rows)


def hosted() -> list[Service]:
    """Every service, as its service.py says it. None is started."""
    nowhere = Settings(kafka=Kafka("127.0.0.1:1"), database_url="postgresql://", keys_file=Path("none"))
    return build(list(SERVICES), nowhere, {})


def asyncapi_document() -> dict[str, Any]:
    """The AsyncAPI document of all services."""
    return asyncapi.document(hosted(), writers())


def openapi() -> str:
    """docs/openapi.json: every route of every service."""
    return _json(create_app(hosted(), Verifier.__new__(Verifier)).openapi())


def _json(document: dict[str, Any]) -> str:
    return f"{json.dumps(document, indent=1, ensure_ascii=False)}\n"


DOCUMENTS: Mapping[Path, Callable[[], str]] = {
    ROOT / "docs" / "metrics.md": metrics_page,
    ROOT / "docs" / "lifecycle.md": lifecycle_page.page,
    ROOT / "docs" / "openapi.json": openapi,
    ROOT / "contracts" / "asyncapi.json": lambda: _json(asyncapi_document()),
    ROOT / "contracts" / "asyncapi.html": lambda: asyncapi.page(asyncapi_document()),
}
"""Each file, and what writes it."""


def stale() -> list[Path]:
    """The documents that are not as the code would have them."""
    return [file for file, write in DOCUMENTS.items() if not file.exists() or file.read_text() != write()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every document that is not current; with --check only name them. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.cli.documents", description="Write the documents anew.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is not current")
    check = parser.parse_args(arguments).check
    old = stale()
    for file in old:
        if check:
            print(f"{file.relative_to(ROOT)} is not current: run make docs", file=sys.stderr)
        else:
            file.write_text(DOCUMENTS[file]())
            print(f"wrote {file.relative_to(ROOT)}")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
