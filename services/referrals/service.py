"""The wiring of referrals."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from contracts.topics import Topic
from services.chassis.database import AUDIT, Database
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.referrals.facts import Confirmed, Exhausted, Fact, Receipt, Requested, Submitted, Triaged
from services.referrals.feed import Feed
from services.referrals.handlers import remember
from services.referrals.http import routes
from services.referrals.news import News
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals

MIGRATIONS = (Path(__file__).parent / "migrations", AUDIT)

READS: dict[Topic, tuple[type[Fact], ...]] = {
    Topic.SUBMISSIONS: (Submitted,),
    Topic.TRIAGE: (Triaged,),
    Topic.PLACEMENTS: (Requested,),
    Topic.BOOKINGS: (Confirmed, Exhausted),
    Topic.NOTIFICATIONS: (Receipt,),
}


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Every topic of the flow to one handler, and the routes that read what it stored."""
    own = ReferralsSettings.read(environ)
    database = Database(settings, "referrals", *MIGRATIONS)
    service = Service("referrals", settings, database=database)
    referrals = Referrals(database, partial(datetime.now, UTC))
    news = News()
    for topic, facts in READS.items():
        service.reads(topic, partial(remember, referrals=referrals, news=news), *facts, at_leisure=True)
    service.serves(routes(referrals, Feed(referrals, database, news, own), news, database, service, own))
    return service
