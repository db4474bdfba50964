"""When traces are on, and what a batch of many causes leaves in each trace."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from services.booking import store
from services.chassis import traces
from services.gateway.gathering import Gathering

FIRST, SECOND, UNSAMPLED = (
    "00-11111111111111111111111111111111-1111111111111111-01",
    "00-22222222222222222222222222222222-2222222222222222-01",
    "00-33333333333333333333333333333333-3333333333333333-00",
)


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """Traces are on, and spans that ended are here."""
    exporter = InMemorySpanExporter()
    traces.export_to(SimpleSpanProcessor(exporter))
    yield exporter
    traces.stop()


def value(traceparent: str | None) -> bytes:
    """An event's JSON, as far as it matters here."""
    return b'{"id":"x"}' if traceparent is None else f'{{"id":"x","traceparent":"{traceparent}","data":{{}}}}'.encode()


def over(values: list[bytes | None], service: str = "booking") -> Any:
    """A span over a batch."""
    return traces.over_batch(traces.of(service), "process placements", SpanKind.CONSUMER, values, {"a": 1})


def trace_of(span: ReadableSpan) -> str:
    """The first digit of a span's trace."""
    return f"{span.context.trace_id:032x}"[0]


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        (False, {}),
        (True, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}),
        (True, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}),
        (True, {"OTEL_TRACES_EXPORTER": "otlp"}),
        (False, {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}),
        (False, {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}),
    ],
)
def test_on_where_the_environment_says_where_they_go(expected: bool, environ: dict[str, str]) -> None:
    """By OpenTelemetry's own variables; off when they say nothing."""
    assert expected == traces.wanted(environ)


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
)
def test_what_is_not_built_in_is_said(name: str, value: str) -> None:
    """Another exporter or protocol is refused at the start, by name, rather than left out."""
    with pytest.raises(traces.ExporterUnknown, match=f"{name} is {value}"):
        traces.wanted({name: value})


def test_off_is_nobody() -> None:
    """While they are off there is no tracer, and a batch of a sampled trace has no span."""
    assert (None, None) == (traces.of("booking"), traces.current())
    with over([value(FIRST)]):
        assert not trace.get_current_span().get_span_context().is_valid


def test_a_batch_of_many_causes(exported: InMemorySpanExporter) -> None:
    """The work is in the first trace; in each other one a span of the same time links to it. Once for each trace."""
    with over([None, value(UNSAMPLED), value(FIRST), value(SECOND), value(None), value(FIRST)]):
        pass
    other, work = exported.get_finished_spans()
    assert ("1", "2") == (trace_of(work), trace_of(other))
    assert ("1" * 16, "2" * 16) == tuple(f"{one.parent.span_id:016x}" for one in (work, other) if one.parent)
    assert [work.context] == [link.context for link in other.links]
    assert (work.start_time, "booking") == (other.start_time, work.resource.attributes["service.name"])


def test_a_batch_without_a_sampled_cause(exported: InMemorySpanExporter) -> None:
    """Leaves nothing."""
    with over([value(UNSAMPLED), value(None), None]):
        pass
    assert () == exported.get_finished_spans()


def test_what_is_sent_is_under_the_work_that_sends_it(exported: InMemorySpanExporter) -> None:
    """Where the work under way is in one of the traces, the span is its child, whichever event comes first."""
    with over([value(SECOND)]), over([value(FIRST), value(SECOND)]):
        pass
    other, inner, outer = exported.get_finished_spans()
    assert (outer.context.span_id, "2", "1") == (
        inner.parent.span_id if inner.parent else None,
        trace_of(inner),
        trace_of(other),
    )


def test_a_failure_is_marked_by_its_kind_alone(exported: InMemorySpanExporter) -> None:
    """An exception's text may quote a patient."""
    with pytest.raises(ValueError, match="Ada"), over([value(FIRST)]):
        raise ValueError("Ada Example")
    (span,) = exported.get_finished_spans()
    assert (trace.StatusCode.ERROR, "ValueError", ()) == (span.status.status_code, span.status.description, span.events)


def test_a_statement_goes_by_its_name(exported: InMemorySpanExporter) -> None:
    """By the name in the code, or its first word; never its text nor its arguments. After the work: none."""
    tracer = traces.of("booking")
    assert tracer is not None
    heard = traces.Statements(tracer, "booking")

    def query(text: str) -> SimpleNamespace:
        return SimpleNamespace(query=text, args=("Ada Example",), elapsed=0.001, exception=None)

    with over([value(FIRST)]):
        heard(query(store.STORE))
        heard(query("BEGIN;"))
    heard(query(store.STORE))

    *statements, work = exported.get_finished_spans()
    assert ["booking.store.STORE", "BEGIN"] == [span.name for span in statements]
    assert {work.context.span_id} == {span.parent.span_id for span in statements if span.parent}
    assert "Ada" not in str([span.to_json() for span in statements])


def test_a_stream_is_not_part_of_the_request_that_opened_it(exported: InMemorySpanExporter) -> None:
    """A query that began after the span of the request had ended leaves none."""
    tracer = traces.of("referrals")
    assert tracer is not None
    heard = traces.Statements(tracer, "referrals")
    with tracer.start_as_current_span("GET /events", end_on_exit=False) as request:
        request.end()
        heard(SimpleNamespace(query="select 1", elapsed=-1.0, exception=None))
    assert ["GET /events"] == [span.name for span in exported.get_finished_spans()]


async def test_who_waited_longest_lends_the_context(exported: InMemorySpanExporter) -> None:
    """A gathered batch is served in the context of its own first request, not of one that was answered before."""
    seen: list[str | None] = []

    async def serve(items: Any) -> Any:
        await asyncio.sleep(0)
        seen.append(traces.current())
        return items

    gathering: Gathering[int, int] = Gathering(serve, lanes=1, largest=1)

    async def one(traceparent: str) -> None:
        with over([value(traceparent)]):
            await gathering.serve(1)

    await asyncio.gather(one(FIRST), one(SECOND))
    assert [FIRST[:35], SECOND[:35]] == [one and one[:35] for one in seen]
