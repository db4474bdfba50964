"""Traces (OpenTelemetry): HTTP, Kafka and SQL in one. Which spans there are, and why: docs/decisions/chassis-traces.md.

Off unless the environment says where they go. Then `of` gives nobody a tracer, and nothing is done for them.

No attribute holds a value of a patient: routes by their template, topics and counts, statements by their name.
"""

import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:  # imported where traces are on: it takes a while
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

_W3C = TraceContextTextMapPropagator()
_SAMPLED = re.compile(rb'"traceparent" ?: ?"(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf])"')
"""In an event's JSON: the trace that it belongs to, where that is kept. The envelope comes before the data."""

_processor: "SpanProcessor | None" = None
_providers: "dict[str, TracerProvider]" = {}


class ExporterUnknown(Exception):
    """A setting asks for an exporter that is not built in."""

    def __init__(self, name: str, value: str, known: str) -> None:
        super().__init__(f"{name} is {value}: traces leave by {known}, or not at all")


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment says where traces go, by OpenTelemetry's own names. Raises ExporterUnknown."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in ("", "otlp", "none"):
        raise ExporterUnknown("OTEL_TRACES_EXPORTER", exporter, "otlp")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if environ.get(name, "http/protobuf") != "http/protobuf":
            raise ExporterUnknown(name, environ[name], "http/protobuf")
    addressed = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return exporter == "otlp" or (exporter == "" and bool(addressed))


def configure(environ: Mapping[str, str]) -> None:
    """Set up traces for this process, before its services are built. Where they go, how many are kept (the sampler) and
    how they are batched, OpenTelemetry reads from its OTEL_* variables itself. Raises ExporterUnknown."""
    if wanted(environ):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        export_to(BatchSpanProcessor(OTLPSpanExporter()))


def export_to(processor: "SpanProcessor") -> None:
    """Hand every span that ends to this."""
    global _processor
    _processor = processor


def stop() -> None:
    """Send what is left, and be off again. Blocks while it sends, at most OTEL_EXPORTER_OTLP_TIMEOUT."""
    global _processor
    if _processor is not None:
        _processor.shutdown()
    _processor = None
    _providers.clear()


def of(service: str) -> Tracer | None:
    """The tracer of a hosted service; none while traces are off. Each service has its own name in the traces."""
    if _processor is None:
        return None
    if service not in _providers:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        named = Resource.create({"service.name": service, "service.namespace": "onward"})
        _providers[service] = TracerProvider(resource=named, shutdown_on_exit=False)
        _providers[service].add_span_processor(_processor)
    return _providers[service].get_tracer("onward")


def current() -> str | None:
    """The trace context to hand on (W3C `traceparent`); none outside a trace."""
    if _processor is None:
        return None
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")


def received(traceparent: str | None) -> Context:
    """The context that a `traceparent` from outside names; an empty one where it names none."""
    return _W3C.extract({"traceparent": traceparent} if traceparent else {}, context=Context())


def failed(error: BaseException) -> None:
    """Mark the span under way, if there is one: only the kind of error, for its text may quote a patient."""
    trace.get_current_span().set_status(trace.StatusCode.ERROR, type(error).__name__)


@contextmanager
def over_batch(
    tracer: Tracer | None, name: str, kind: SpanKind, values: Iterable[bytes | None], attributes: Mapping[str, Any]
) -> Iterator[None]:
    """A span over work on a batch of events, given as their JSON; none where no trace of theirs is kept.

    It stands in the first of their traces, or in the one under way if it is among them, and SQL comes under it. In each
    of the other traces a span of the same duration stands for it, with a link to it.
    """
    parents = _parents(values) if tracer is not None else ()
    if tracer is None or not parents:
        yield
        return
    under_way = trace.get_current_span().get_span_context().trace_id
    own = next((one for one in parents if _trace_id(one) == under_way), None)
    first, *others = parents if own is None else [own, *(one for one in parents if one != own)]
    began = time.time_ns()
    context = received(first) if own is None else None
    with tracer.start_as_current_span(
        name, context, kind, attributes, start_time=began, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as error:
            failed(error)
            raise
        finally:
            ended = time.time_ns()
            for other in others:
                tracer.start_span(
                    name, received(other), kind, attributes, [Link(span.get_span_context())], start_time=began
                ).end(ended)


def _parents(values: Iterable[bytes | None]) -> Sequence[str]:
    found = (_SAMPLED.search(value) for value in values if value is not None)
    return list(dict.fromkeys(one[1].decode() for one in found if one is not None))


def _trace_id(traceparent: str) -> int:
    return int(traceparent[3:35], 16)


class Statements:
    """Hears from asyncpg of each query that ended, and makes it a span of the work that asked for it."""

    def __init__(self, tracer: Tracer, schema: str) -> None:
        self._tracer = tracer
        self._attributes = {"db.system.name": "postgresql", "db.namespace": schema}

    def __call__(self, query: Any) -> None:
        """A query (asyncpg.connection.LoggedQuery): its text says its name; its arguments are not looked at."""
        ended = time.time_ns()
        began = ended - int(query.elapsed * 1e9)
        asker = trace.get_current_span()
        if not asker.get_span_context().trace_flags.sampled or _is_over(asker, began):
            return
        name = name_of(query.query)
        span = self._tracer.start_span(
            name, None, SpanKind.CLIENT, {**self._attributes, "db.query.summary": name}, start_time=began
        )
        if query.exception is not None:
            span.set_status(trace.StatusCode.ERROR, type(query.exception).__name__)
        span.end(ended)


def _is_over(span: trace.Span, at: int) -> bool:
    """A stream goes on asking long after its request was answered: that is no part of the request."""
    end: int | None = getattr(span, "end_time", None)
    return end is not None and end < at


@cache
def name_of(statement: str) -> str:
    """The name that the code gives a statement, with its module (`booking.store.STORE`); else its first word."""
    for module in sorted(name for name in sys.modules if name.startswith("services.")):
        for name, value in vars(sys.modules[module]).items():
            if name.isupper() and isinstance(value, str) and value == statement:
                return f"{module.removeprefix('services.')}.{name}"
    return statement.split(maxsplit=1)[0].rstrip(";").upper() if statement.split() else "EMPTY"
