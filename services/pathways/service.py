"""The wiring of pathways."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from contracts.envelope import new_id
from contracts.referrals import PlacementRequested
from contracts.topics import Topic
from contracts.triage import ReferralTriaged
from services.chassis.database import AUDIT, OUTBOX, Database
from services.chassis.lean import lean
from services.chassis.log import logger
from services.chassis.metrics import INDEX_BYTES, INDEX_SERVICES, OUTBOX_OLDEST, OUTBOX_WAITING
from services.chassis.outbox import Outbox
from services.chassis.public_holidays import public_holidays
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.versioned_table import read_table
from services.pathways import capacity_http, lookup_http
from services.pathways.capacity import CapacityOrder
from services.pathways.capacity_store import CapacityReports
from services.pathways.codes import CodeTable
from services.pathways.free_slots import FreeSlots
from services.pathways.handlers import rank
from services.pathways.http import routes
from services.pathways.index import FOLLOWED, READ, Index
from services.pathways.places_http import routes as places_routes
from services.pathways.postcodes import Postcodes
from services.pathways.search_rules import SearchRules
from services.pathways.settings import PathwaysSettings
from services.pathways.store import Listings

MIGRATIONS = Path(__file__).parent / "migrations"


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


async def tell_of(index: Index) -> None:
    """Say in the log how large the index is that was read at the start, and be done."""
    began = time.monotonic()
    snapshot = index.snapshot
    took = round(time.monotonic() - began, 3)
    logger("pathways").info("index_read", services=snapshot.active, bytes=snapshot.nbytes, seconds=took)
    await asyncio.Event().wait()


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Pathways: ranks who could take each referral, from the directory in memory; keeps and tells the directory.

    Raises TableFaulty or CapacityOrderFaulty when a table of its settings does not hold.
    """
    own = PathwaysSettings.read(environ)
    database = Database(settings, "pathways", MIGRATIONS, OUTBOX, AUDIT)
    service = Service("pathways", settings, database=database)
    codes = read_table(own.codes, CodeTable)
    order, holidays = CapacityOrder.read(own.capacity_order), public_holidays(environ)
    index = Index(read_table(own.search_rules, SearchRules), order, holidays)
    listed = service.follows(FOLLOWED, index.apply, *READ, since="beginning")
    free_slots = FreeSlots()
    service.follows([Topic.DIARIES], free_slots.learn, since="beginning")
    service.ready_when(index.not_ready)
    service.measures([INDEX_SERVICES, INDEX_BYTES], index.count)
    service.runs("index", partial(tell_of, index))
    ranked = partial(rank, index=index, clock=utc_now, codes=codes)
    service.reads(Topic.TRIAGE, ranked, lean(ReferralTriaged))
    service.reads(Topic.REFERRALS, ranked, PlacementRequested)
    outbox = Outbox(database, service.publisher)
    service.runs("outbox", outbox.drain)
    service.measures([OUTBOX_WAITING, OUTBOX_OLDEST], outbox.count)
    service.serves(routes(Listings(database, outbox, clock=utc_now, new_id=new_id)))
    postcodes = Postcodes(database)
    service.serves(places_routes(postcodes))
    service.serves(capacity_http.routes(CapacityReports(database, outbox, clock=utc_now, new_id=new_id)))
    service.serves(
        lookup_http.routes(index, free_slots, postcodes, codes, complete=lambda: listed.complete, clock=utc_now)
    )
    return service
