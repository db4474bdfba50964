"""The wiring of notification."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.topics import Topic
from services.chassis.database import AUDIT, OUTBOX, Database
from services.chassis.outbox import Outbox
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.notification.dispatch import Dispatcher
from services.notification.handlers import tell
from services.notification.http import routes
from services.notification.sandbox import Sandbox
from services.notification.settings import NotificationSettings
from services.notification.store import Messages

_HERE = Path(__file__).parent


def notification_database(settings: Settings) -> Database:
    """The schema `notification`: messages, outbox, audit."""
    return Database(settings, "notification", _HERE / "migrations", OUTBOX, AUDIT)


def sandbox_database(settings: Settings) -> Database:
    """The schema `sandbox`: the provider's side of the default adapter."""
    return Database(settings, "sandbox", _HERE / "sandbox_migrations")


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Which topic goes to which handler, with what."""
    clock = partial(datetime.now, UTC)
    database = notification_database(settings)
    service = Service("notification", settings, database=database)
    outbox = Outbox(database, service.publisher)
    messages = Messages(database, outbox)
    provider = sandbox_database(settings)
    dispatcher = Dispatcher(messages, Sandbox(provider, clock), clock, NotificationSettings.read(environ))
    service.keeps(provider)

    service.reads(
        Topic.BOOKINGS,
        partial(tell, messages=messages, clock=clock, wake=dispatcher.wake),
        BookingConfirmed,
        BookingExhausted,
    )
    service.runs("outbox", outbox.drain)
    service.runs("dispatch", dispatcher.work)
    service.serves(routes(messages, database))
    return service
