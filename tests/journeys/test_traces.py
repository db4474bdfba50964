"""One trace, from a crew's request to the messages downstream."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.chassis.kafka import Kafka
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.device.incidents import Incident
from tests.chassis_examples import until
from tests.journeys.conftest import make_topics
from tests.journeys.sending import incident_of
from tests.receiving import Collector, Received, collector
from tests.running import System

pytestmark = pytest.mark.backing

TRACE, UNSAMPLED, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "5" * 32, "00f067aa0ba902b7"


@pytest.fixture
def collected() -> Iterator[Collector]:
    """A collector that everything of this test tells."""
    with collector() as listening:
        yield listening


@pytest.fixture
def system(
    kafka: Kafka,
    database: str,
    prefix: str,
    tmp_path: Path,
    collected: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[System]:
    """Every service, in two processes that export what they trace."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    system = System.prepare(kafka, database, prefix, tmp_path)
    make_topics(kafka, prefix)
    try:
        system.start("edge", "gateway", "triage", "pathways")
        system.start("record", "booking", "notification", "referrals")
        system.wait_until_ready(except_for="the directory is empty")
        load(Connection(system.url("edge"), system.token(TRUST, "directory-editor")), SHIPPED)
        system.wait_until_ready()
        yield system
    finally:
        system.stop()


async def refer(system: System, incident: Incident, **headers: str) -> None:
    """Post an incident; there must be an outcome."""
    headers |= {"Authorization": f"Bearer {system.token(TRUST, 'paramedic')}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=system.url("edge"), headers=headers, timeout=20) as crew:
        body = incident.submission.model_dump_json(exclude_none=True)
        answer = await crew.post("/referrals", content=body, headers={"Idempotency-Key": str(uuid4())})
    assert 201 == answer.status_code


def values_in(part: Any) -> Iterator[str]:
    """Every text and number of a body that may say something of a patient."""
    if isinstance(part, dict):
        for one in part.values():
            yield from values_in(one)
    elif isinstance(part, list):
        for one in part:
            yield from values_in(one)
    elif isinstance(part, float) or (isinstance(part, str) and len(part) > 2):
        yield str(part)


async def test_one_trace_holds_http_kafka_and_sql_of_all_services(system: System, collected: Collector) -> None:
    """A request with a traceparent: each service's steps, what it sends and its SQL are in that trace, none without
    a parent; and no attribute holds a value of what was submitted. A caller that does not sample leaves no span."""
    incident, unsampled = incident_of("stroke"), incident_of("fall")

    await refer(system, unsampled, traceparent=f"00-{UNSAMPLED}-{CALLER}-00")
    await refer(system, incident, traceparent=f"00-{TRACE}-{CALLER}-01")

    def of_trace() -> list[Received]:
        return [span for span in collected.spans if span.trace == TRACE]

    # The last of the flow: what was told of the messages is stored where it can be read.
    def is_over() -> bool:
        return any(one.name == "referrals.store.STORE_RECEIPTS" for one in of_trace())

    await until(is_over)
    await asyncio.to_thread(system.stop)  # sends what is left
    spans = of_trace()
    assert {
        ("gateway", "SERVER", "POST /referrals"),
        ("gateway", "CLIENT", "gateway.store.INSERT"),
        ("gateway", "PRODUCER", "send submissions"),
        ("triage", "CONSUMER", "process submissions"),
        ("triage", "PRODUCER", "send triage"),
        ("pathways", "CONSUMER", "process triage"),
        ("pathways", "PRODUCER", "send placements"),
        ("booking", "CONSUMER", "process placements"),
        ("booking", "CLIENT", "booking.store.TOLD"),
        ("booking", "CLIENT", "booking.locks.LOCK_DIARIES"),
        ("booking", "CLIENT", "booking.store.STORE"),
        ("booking", "PRODUCER", "send bookings"),
        ("gateway", "CONSUMER", "process bookings"),
        ("gateway", "CLIENT", "gateway.store.ANSWER"),
        ("notification", "CONSUMER", "process bookings"),
        ("notification", "CLIENT", "notification.store.ADD"),
        ("notification", "PRODUCER", "send notifications"),
        ("referrals", "CONSUMER", "process submissions"),
        ("referrals", "CONSUMER", "process triage"),
        ("referrals", "CONSUMER", "process placements"),
        ("referrals", "CONSUMER", "process bookings"),
        ("referrals", "CONSUMER", "process notifications"),
        ("referrals", "CLIENT", "referrals.store.STORE_FACTS"),
        ("referrals", "CLIENT", "referrals.store.STORE_RECEIPTS"),
    } <= {(span.service, span.kind, span.name) for span in spans}
    known = {span.span: span for span in spans}
    (request,) = (span for span in spans if span.kind == "SERVER")
    assert CALLER == request.parent
    assert all(span.parent in known for span in spans if span is not request)
    assert all(known[span.parent].service == span.service for span in spans if span.kind == "CLIENT")

    said = {value for span in collected.spans for value in map(str, (span.name, *span.attributes.values()))}
    patient = set(values_in(incident.submission.model_dump(mode="json", exclude_none=True)))
    assert 10 <= len(patient)
    assert [] == [(value, one) for value in patient for one in said if value in one]
    assert UNSAMPLED not in {span.trace for span in collected.spans}
