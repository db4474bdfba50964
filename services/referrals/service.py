"""The wiring of referrals."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from contracts.topics import Topic
from services.chassis.database import AUDIT, Database
from services.chassis.dead_letters import send_again
from services.chassis.metrics import OVERDUE_OWNERS, OVERDUE_REFERRALS
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.topics import readers_with_dead_letters
from services.referrals.facts import Confirmed, Exhausted, Fact, Receipt, Requested, Submitted, Triaged
from services.referrals.feed import Feed
from services.referrals.handlers import keep, remember
from services.referrals.http import routes
from services.referrals.news import News
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals
from services.referrals.unreadable_http import unreadable_routes
from services.referrals.unreadable_store import DeadLetterBox

MIGRATIONS = (Path(__file__).parent / "migrations", AUDIT)

READS: dict[Topic, tuple[type[Fact], ...]] = {
    Topic.SUBMISSIONS: (Submitted,),
    Topic.TRIAGE: (Triaged,),
    Topic.PLACEMENTS: (Requested,),
    Topic.BOOKINGS: (Confirmed, Exhausted),
    Topic.NOTIFICATIONS: (Receipt,),
}


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Every topic of the flow to one handler, all dead letters to another, and the routes that read what was stored."""
    own = ReferralsSettings.read(environ)
    database = Database(settings, "referrals", *MIGRATIONS)
    service = Service("referrals", settings, database=database)
    clock = partial(datetime.now, UTC)
    referrals = Referrals(database, clock)
    service.measures([OVERDUE_REFERRALS, OVERDUE_OWNERS], referrals.overdue)
    news = News()
    for topic, facts in READS.items():
        service.reads(topic, partial(remember, referrals=referrals, news=news), *facts, at_leisure=True)
    letters = DeadLetterBox(database, settings.topic_prefix)
    service.reads_dead_letters(partial(keep, letters=letters), readers_with_dead_letters())
    service.serves(routes(referrals, Feed(referrals, database, news, own), news, database, service, own))
    service.serves(
        unreadable_routes(letters, database, partial(send_again, service="referrals", settings=settings), own, clock)
    )
    return service
