"""Prometheus metrics, by documented name. Labels name parts of the system, never people."""

from prometheus_client import Counter, Gauge, Histogram

READ = Counter("onward_events_read_total", "Events read from a topic and handled", ["service", "topic"])
TOLD = Counter("onward_events_told_total", "Events published and acknowledged", ["service", "topic"])
BURIED = Counter("onward_events_buried_total", "Records sent to the dead letters", ["service", "topic"])
UNREADABLE = Counter("onward_index_unreadable_total", "Records of a compacted topic that no index could use", ["topic"])
RETRIES = Counter("onward_step_retries_total", "Batches put off because something did not answer", ["service", "topic"])
STEP_SECONDS = Histogram(
    "onward_step_seconds",
    "From a batch polled to what follows from it acknowledged",
    ["service", "topic"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
READY = Gauge("onward_ready", "1 when the service is ready", ["service"])
OUTBOX = Counter("onward_outbox_told_total", "Events published from an outbox", ["service"])
HTTP_SECONDS = Histogram(
    "onward_http_seconds",
    "From request to response",
    ["route", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
