"""Booking's wiring."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from contracts.directory import ServiceListed
from contracts.envelope import new_id
from contracts.placements import BookingRequested
from contracts.referrals import BookingWithdrawn, ReferralArrangedElsewhere, ReferralCancelled
from contracts.topics import Topic
from services.booking.askers import ask, ask_again
from services.booking.asking import Asking
from services.booking.free_slots import FreeSlots, tell_of
from services.booking.handlers import keep_diaries, place, release
from services.booking.horizon import roll
from services.booking.http import routes
from services.booking.leases import Leases
from services.booking.listing import Listings
from services.booking.releases import Releases
from services.booking.settings import BookingSettings
from services.booking.store import Diaries
from services.booking.waiting import WaitingList, end_waits
from services.chassis.database import OUTBOX, Database
from services.chassis.lean import lean
from services.chassis.metrics import (
    ASKING,
    ASKING_OLDEST,
    GIVING_BACK,
    GIVING_BACK_OLDEST,
    OUTBOX_OLDEST,
    OUTBOX_WAITING,
    RECEIVERS_LEFT_ALONE,
)
from services.chassis.outbox import Outbox
from services.chassis.public_holidays import public_holidays
from services.chassis.service import AT_LEISURE, Service
from services.chassis.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Booking, ready to start."""
    own = BookingSettings.read(environ)
    lead, horizon = timedelta(minutes=own.slot_lead_minutes), timedelta(days=own.horizon_days)
    database = Database(settings, "booking", MIGRATIONS, OUTBOX)
    service = Service("booking", settings, database=database)
    outbox = Outbox(database, service.publisher)
    waiting = WaitingList(database, outbox, clock=utc_now, lead=lead)
    changed: set[str] = set()
    asking = Asking(database, outbox, waiting, changed, clock=utc_now, new_id=new_id, lead=lead, settings=own)
    leases = Leases(database, clock=utc_now, new_id=new_id, settings=own)
    diaries = Diaries(database, waiting, asking, changed, clock=utc_now, lead=lead)
    holidays = public_holidays(environ)
    listings = Listings(database, outbox, waiting, changed, clock=utc_now, horizon=horizon, public_holidays=holidays)
    service.reads(Topic.SERVICES, partial(keep_diaries, listings=listings), ServiceListed, patience=AT_LEISURE)
    service.reads(Topic.PLACEMENTS, partial(place, diaries=diaries), lean(BookingRequested))
    releases = Releases(database, waiting, asking, changed, clock=utc_now)
    give_back = partial(release, releases=releases, waiting=waiting)
    over = (ReferralCancelled, ReferralArrangedElsewhere)
    service.reads(Topic.REFERRALS, give_back, BookingWithdrawn, *over, patience=AT_LEISURE)
    service.runs("waiting list", partial(end_waits, waiting))
    service.runs("asking", partial(ask, asking, leases, own.receiver_call_seconds))
    service.runs("asking again", partial(ask_again, asking))
    service.measures([ASKING, ASKING_OLDEST, GIVING_BACK, GIVING_BACK_OLDEST, RECEIVERS_LEFT_ALONE], leases.count)
    service.runs("horizon", partial(roll, listings))
    service.runs("outbox", outbox.drain)
    service.measures([OUTBOX_WAITING, OUTBOX_OLDEST], outbox.count)
    free_slots = FreeSlots(database, outbox, changed, clock=utc_now, new_id=new_id, lead=lead)
    service.runs("free slots", partial(tell_of, free_slots))
    service.serves(routes(free_slots, clock=utc_now, horizon=horizon))
    return service
