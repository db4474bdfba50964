"""The gateway's wiring."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

from contracts.topics import Topic
from services.chassis.database import Database
from services.chassis.metrics import UNSETTLED, UNSETTLED_OLDEST
from services.chassis.reader import Tombstone
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.gateway.admission import Admission
from services.gateway.backlog import Backlog
from services.gateway.desks import Desks
from services.gateway.handlers import Transaction, keep_count, remember, telling
from services.gateway.http import routes
from services.gateway.outcomes import Confirmed, Exhausted, Seen
from services.gateway.outstanding import Outstanding
from services.gateway.settings import GatewaySettings
from services.gateway.store import Attempts
from services.gateway.waiters import Waiters

MIGRATIONS = Path(__file__).parent / "migrations"


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """The gateway: takes submissions over HTTP, and answers each once its booking has an outcome."""
    own = GatewaySettings.read(environ)
    database = Database(settings, "gateway", MIGRATIONS)
    service = Service("gateway", settings, database=database)
    attempts = Attempts(database, seconds=own.store_seconds)
    waiters = Waiters(own.waiters)
    outstanding = Outstanding(own.answer_within.total_seconds())
    admission = Admission(outstanding, Backlog(service.progress), own.limits)
    service.runs("count", partial(keep_count, admission, attempts, within=own.answer_within, clock=utc_now))
    service.measures([UNSETTLED, UNSETTLED_OLDEST], outstanding.count)
    desks = Desks()

    def hear(outcomes: Sequence[Seen | Tombstone]) -> None:
        waiters.wake(outcomes)
        outstanding.settle(outcomes)

    # In this order: nobody has a desk, so nothing is taken in, before every position on `bookings` is known.
    service.follows([Topic.BOOKINGS], hear, Confirmed, Exhausted, since="now")
    listed = service.follows([Topic.DESKS], desks.learn, since="beginning")
    service.reads(
        Topic.BOOKINGS,
        partial(remember, attempts=attempts, clock=utc_now),
        Confirmed,
        Exhausted,
        at_leisure=True,  # whoever waits is woken by the other reader
    )
    service.serves(
        routes(
            Transaction(attempts, waiters, telling(service.publisher), admission),
            settings=own,
            desks=desks,
            desks_known=lambda: listed.complete,
            clock=utc_now,
            new_id=uuid4,
        )
    )
    return service
