"""Prometheus metrics, by documented name. Labels name parts of the system, never people."""

from prometheus_client import Counter, Gauge, Histogram

READ = Counter("onward_events_read_total", "Events read from a topic and handled", ["service", "topic"])
TOLD = Counter("onward_events_told_total", "Events published and acknowledged", ["service", "topic"])
BURIED = Counter(
    "onward_events_buried_total",
    "Records sent to the dead letters: unreadable, declared poison by a rule, or a bug's",
    ["service", "topic", "reason"],
)
BURIED_BECAUSE = ("unreadable", "poison", "bug")
DEAD_LETTERS = Gauge("onward_dead_letters", "Records that a reader's dead letters hold", ["service"])
UNREADABLE = Counter("onward_index_unreadable_total", "Records of a compacted topic that no index could use", ["topic"])
INDEX_SERVICES = Gauge("onward_index_services", "Active services in the index in memory", ["service"])
INDEX_BYTES = Gauge("onward_index_bytes", "Memory of the index: columns counted, entries estimated", ["service"])
RETRIES = Counter("onward_step_retries_total", "Batches put off because something did not answer", ["service", "topic"])
STEP_SECONDS = Histogram(
    "onward_step_seconds",
    "From a batch polled to what follows from it acknowledged",
    ["service", "topic"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STEP_RECORDS = Histogram(
    "onward_step_records",
    "Records of a batch",
    ["service", "topic"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
LAG = Gauge(
    "onward_group_lag_records",
    "Records of a topic that the service's group has not finished, over all replicas",
    ["service", "topic"],
)
OLDEST = Gauge(
    "onward_unfinished_oldest_seconds",
    "How long ago the log took the oldest record that this replica has at hand and has not finished; 0 for none",
    ["service", "topic"],
)
NEWEST = Gauge(
    "onward_unfinished_newest_seconds",
    "The same of the newest that it has at hand",
    ["service", "topic"],
)
STANDING_BACK = Gauge(
    "onward_standing_back", "1 while readers that nobody waits for stand back, because others are behind", ["service"]
)
READY = Gauge("onward_ready", "1 when the service is ready", ["service"])
OUTBOX = Counter("onward_outbox_told_total", "Events published from an outbox", ["service"])
OUTBOX_WAITING = Gauge("onward_outbox_waiting", "Events in an outbox that are not told yet", ["service"])
OUTBOX_OLDEST = Gauge("onward_outbox_oldest_seconds", "Age of the oldest of them; 0 for none", ["service"])
RECEIVER_CALLS = Counter(
    "onward_receiver_calls_total",
    "Calls of receivers that keep their own diary: answered, refused, unanswered or wrong",
    ["service", "call", "answer"],
)
RECEIVERS_LEFT_ALONE = Gauge(
    "onward_receivers_left_alone", "Receivers that are not asked for a while, because they failed", ["service"]
)
ASKING = Gauge("onward_asking_placements", "Placements that ask a receiver which keeps its own diary", ["service"])
ASKING_OLDEST = Gauge("onward_asking_oldest_seconds", "Age of the oldest of them; 0 for none", ["service"])
GIVING_BACK = Gauge(
    "onward_giving_back", "What receivers may hold for nobody: given back until they say that it is", ["service"]
)
GIVING_BACK_OLDEST = Gauge("onward_giving_back_oldest_seconds", "Age of the oldest of it; 0 for none", ["service"])
DOUBLE_BOOKED = Counter(
    "onward_receiver_double_booked_total",
    "Offers of a slot that our own patients fill",
    ["service"],
)
POOL_BUSY = Gauge("onward_pool_busy_connections", "Connections to PostgreSQL in use", ["service", "schema"])
POOL_OPEN = Gauge("onward_pool_open_connections", "Connections to PostgreSQL that are open", ["service", "schema"])
POOL_LIMIT = Gauge("onward_pool_limit_connections", "Connections that the pool may open", ["service", "schema"])
REFUSED = Counter(
    "onward_refused_submissions_total", "Submissions and actions that were told 429: too much is under way", ["service"]
)
UNSETTLED = Gauge(
    "onward_unsettled_submissions",
    "Submissions that this replica knows of and whose outcome it has not seen",
    ["service"],
)
UNSETTLED_OLDEST = Gauge("onward_unsettled_oldest_seconds", "Age of the oldest of them; 0 for none", ["service"])
UNDECIDED = Gauge(
    "onward_undecided_actions",
    "Actions on referrals that this replica knows of and whose answer it has not seen",
    ["service"],
)
UNDECIDED_OLDEST = Gauge("onward_undecided_oldest_seconds", "Age of the oldest of them; 0 for none", ["service"])
OVERDUE_REFERRALS = Gauge(
    "onward_overdue_referrals",
    "Referrals whose owner should have looked again by now; counted up to 10,000",
    ["service"],
)
OVERDUE_OWNERS = Gauge("onward_overdue_owners", "Owners (organisations' desks) of those referrals", ["service"])
SHADOWED = Counter(
    "onward_triage_shadow_total",
    "Decisions of the shadow rule pack, by how they differ from those that were told",
    ["difference"],
)
HTTP_SECONDS = Histogram(
    "onward_http_seconds",
    "From request to response",
    ["route", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
