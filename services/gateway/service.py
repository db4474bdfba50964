"""The gateway's wiring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from prometheus_client import Gauge

from contracts.envelope import new_id
from contracts.topics import Topic
from services.chassis.database import Database
from services.chassis.lean import lean
from services.chassis.metrics import UNDECIDED, UNDECIDED_OLDEST, UNSETTLED, UNSETTLED_OLDEST
from services.chassis.reader import Tombstone
from services.chassis.service import AT_LEISURE, Service
from services.chassis.settings import Settings
from services.gateway import decided, outcomes
from services.gateway.action_http import action_routes
from services.gateway.admission import Admission
from services.gateway.backlog import TO_A_DECISION, TO_AN_OUTCOME, Backlog, Hop
from services.gateway.desks import Desks
from services.gateway.handlers import Telling, Transaction, keep_count, remember, telling
from services.gateway.http import routes
from services.gateway.outstanding import Outstanding
from services.gateway.settings import GatewaySettings
from services.gateway.store import Attempts, Kind
from services.gateway.waiters import Answering, MadeOnce, Waiters

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class Way:
    """How attempts of a kind come to their answers."""

    kind: Kind
    topic: Topic
    answers: tuple[type[outcomes.Seen], ...]
    """What is read of that topic."""
    answering: Answering
    hops: tuple[Hop, ...]
    counted_by: tuple[Gauge, Gauge]


WAYS = (
    Way(
        "submission",
        Topic.BOOKINGS,
        (lean(outcomes.Confirmed), lean(outcomes.Exhausted)),
        outcomes.answered,
        TO_AN_OUTCOME,
        (UNSETTLED, UNSETTLED_OLDEST),
    ),
    Way(
        "action",
        Topic.REFERRALS,
        decided.DECIDED,
        decided.answered,
        TO_A_DECISION,
        (UNDECIDED, UNDECIDED_OLDEST),
    ),
)


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """The gateway: takes submissions and actions over HTTP, and answers each once it is settled."""
    own = GatewaySettings.read(environ)
    database = Database(settings, "gateway", MIGRATIONS)
    service = Service("gateway", settings, database=database)
    attempts = Attempts(database, seconds=own.store_seconds)
    told = telling(service.publisher)
    # In this order: nobody has a desk, so nothing is taken in, before every position on what answers is known.
    referring, acting = (_transaction(way, service, attempts, told, own) for way in WAYS)
    desks = Desks()
    listed = service.follows([Topic.DESKS], desks.learn, since="beginning")
    for serve, transaction in ((routes, referring), (action_routes, acting)):
        service.serves(
            serve(
                transaction,
                settings=own,
                desks=desks,
                desks_known=lambda: listed.complete,
                clock=utc_now,
                new_id=new_id,
            )
        )
    return service


def _transaction(way: Way, service: Service, attempts: Attempts, told: Telling, own: GatewaySettings) -> Transaction:
    """What attempts of a kind need, with whatever keeps it true."""
    answering = MadeOnce(way.answering)
    waiters = Waiters(own.waiters, answering)
    outstanding = Outstanding(own.answer_within.total_seconds())
    admission = Admission(outstanding, Backlog(service.progress, way.hops), own.limits)

    def hear(facts: Sequence[outcomes.Seen | Tombstone]) -> None:
        waiters.wake(facts)
        outstanding.settle(facts)

    service.follows([way.topic], hear, *way.answers, since="now")
    service.reads(
        way.topic,
        partial(
            remember,
            attempts=attempts,
            kind=way.kind,
            answering=answering,
            outstanding=outstanding,
            clock=utc_now,
        ),
        *way.answers,
        patience=AT_LEISURE,  # whoever waits is woken by the other reader
    )
    count = partial(keep_count, admission, attempts, way.kind, within=own.answer_within, clock=utc_now)
    service.runs(f"count {way.kind}s", count)
    service.measures(way.counted_by, outstanding.count)
    return Transaction(attempts, waiters, told, admission)
