"""Booking's wiring."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from contracts.directory import ServiceListed
from contracts.placements import BookingRequested
from contracts.topics import Topic
from services.booking.handlers import keep_diaries, place
from services.booking.horizon import roll
from services.booking.settings import BookingSettings
from services.booking.store import Diaries
from services.chassis.database import Database
from services.chassis.service import Service
from services.chassis.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Booking, ready to start."""
    own = BookingSettings.read(environ)
    database = Database(settings, "booking", MIGRATIONS)
    diaries = Diaries(
        database,
        clock=lambda: datetime.now(UTC),
        lead=timedelta(minutes=own.slot_lead_minutes),
        horizon=timedelta(days=own.horizon_days),
    )
    service = Service("booking", settings, database=database)
    service.reads(Topic.SERVICES, partial(keep_diaries, diaries=diaries), ServiceListed, at_leisure=True)
    service.reads(Topic.PLACEMENTS, partial(place, diaries=diaries), BookingRequested)
    service.runs("horizon", partial(roll, diaries))
    return service
