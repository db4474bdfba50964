"""The wiring of notification."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import get_args

from contracts.topics import Topic
from services.chassis.database import AUDIT, Database
from services.chassis.lean import lean
from services.chassis.metrics import OUTBOX_OLDEST, OUTBOX_WAITING
from services.chassis.service import AT_LEISURE, Service
from services.chassis.settings import Settings
from services.notification.dispatch import Dispatcher
from services.notification.facts import Fact, WithdrawnBooking
from services.notification.given_back import GivenBack
from services.notification.handlers import tell, tell_on
from services.notification.http import routes
from services.notification.outcomes import Confirmed, Exhausted
from services.notification.sandbox import Sandbox
from services.notification.settings import NotificationSettings
from services.notification.store import Messages
from services.notification.telling import Telling

_HERE = Path(__file__).parent
MIGRATIONS = (_HERE / "migrations", AUDIT)
SANDBOX_MIGRATIONS = _HERE / "sandbox_migrations"


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Notification: what people must hear becomes messages, these go to the provider, and what it took is told."""
    clock = partial(datetime.now, UTC)
    database = Database(settings, "notification", *MIGRATIONS)
    service = Service("notification", settings, database=database)
    provider = Database(settings, "sandbox", SANDBOX_MIGRATIONS)
    service.keeps(provider)
    own = NotificationSettings.read(environ)
    messages = Messages(database, largest=own.batch)
    telling = Telling(messages, service.publisher)
    dispatcher = Dispatcher(messages, Sandbox(provider, clock), clock, own, telling.wake)
    service.reads(
        Topic.BOOKINGS,
        partial(tell, messages=messages, clock=clock, wake=dispatcher.wake),
        lean(Confirmed),
        lean(Exhausted),
        patience=AT_LEISURE,  # the caller has the answer already
    )
    given_back = GivenBack(database)
    service.reads(
        Topic.REFERRALS,
        partial(tell_on, messages=messages, given_back=given_back, clock=clock, wake=dispatcher.wake),
        *get_args(Fact),
        WithdrawnBooking,
        patience=AT_LEISURE,
    )
    service.runs("dispatch", dispatcher.work)
    service.runs("telling", telling.work)
    service.measures([OUTBOX_WAITING, OUTBOX_OLDEST], messages.waiting)
    service.serves(routes(messages, database))
    return service
