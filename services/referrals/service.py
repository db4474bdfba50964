"""The wiring of referrals."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from contracts.actions import ReferralActionRequested
from contracts.bookings import BookingDisplaced
from contracts.topics import Topic
from services.chassis.database import AUDIT, OUTBOX, Database
from services.chassis.dead_letters import send_again
from services.chassis.decoding import Readable
from services.chassis.lean import lean
from services.chassis.metrics import OUTBOX_OLDEST, OUTBOX_WAITING, OVERDUE_OWNERS, OVERDUE_REFERRALS
from services.chassis.outbox import Outbox
from services.chassis.service import AT_LEISURE, SOON, Service
from services.chassis.settings import Settings
from services.chassis.topics import readers_with_dead_letters
from services.chassis.versioned_table import read_table
from services.referrals.clocks import ClockTable
from services.referrals.deciding_store import Decisions
from services.referrals.documents_http import document_routes
from services.referrals.documents_store import Documents
from services.referrals.duplicates_store import Duplicates
from services.referrals.facts import Confirmed, Exhausted, Receipt, Released, Requested, Submitted, Triaged
from services.referrals.feed import Feed
from services.referrals.finding import Finding
from services.referrals.handlers import decide, keep, remember
from services.referrals.http import routes
from services.referrals.news import News
from services.referrals.objects import PostgresObjects
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals
from services.referrals.timers import watch_due_times
from services.referrals.unreadable_http import unreadable_routes
from services.referrals.unreadable_store import DeadLetterBox
from services.referrals.worklists_http import worklist_routes
from services.referrals.worklists_store import Worklists

MIGRATIONS = (Path(__file__).parent / "migrations", AUDIT, OUTBOX)

READS: dict[Topic, tuple[type[Readable], ...]] = {
    Topic.SUBMISSIONS: (lean(Submitted), ReferralActionRequested),
    Topic.TRIAGE: (lean(Triaged),),
    Topic.PLACEMENTS: (lean(Requested),),
    Topic.BOOKINGS: (lean(Confirmed), lean(Exhausted), Released, BookingDisplaced),
    Topic.NOTIFICATIONS: (lean(Receipt),),
}

AHEAD = (
    ("triage", Topic.SUBMISSIONS),
    ("pathways", Topic.TRIAGE),
    ("booking", Topic.PLACEMENTS),
    ("notification", Topic.BOOKINGS),
)
"""Whose work patients and crews wait for: history may stand back for it."""

DECIDES = frozenset((Topic.SUBMISSIONS, Topic.BOOKINGS))
"""Topics of which something is decided about."""


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Every topic of the flow to a handler, all dead letters to another, and the routes that read what was stored."""
    own = ReferralsSettings.read(environ)
    database = Database(settings, "referrals", *MIGRATIONS)
    service = Service("referrals", settings, database=database)
    clock = partial(datetime.now, UTC)
    clocks = read_table(own.clocks, ClockTable)
    referrals = Referrals(database, clock, clocks)
    service.measures([OVERDUE_REFERRALS, OVERDUE_OWNERS], referrals.overdue)
    news = News()
    outbox = Outbox(database, service.publisher)
    service.runs("outbox", outbox.drain)
    service.measures([OUTBOX_WAITING, OUTBOX_OLDEST], outbox.count)

    async def outcomes_read_until(at: datetime) -> bool:
        return await service.has_read_until(at, Topic.BOOKINGS)

    decisions = Decisions(database, clock, clocks, outbox, outcomes_read_until)
    service.runs("timers", partial(watch_due_times, decisions, database, service, clock, news))
    duplicates = Duplicates(database, decisions, clocks, hours=own.duplicate_hours)
    service.runs("duplicates", duplicates.watch)
    giving_way = service.gives_way(*AHEAD)
    deciding = partial(decide, referrals=referrals, decisions=decisions, news=news)
    remembering = partial(remember, referrals=referrals, news=news)
    for topic, facts in READS.items():
        service.reads(
            topic,
            deciding if topic in DECIDES else remembering,
            *facts,
            # Who asked for an action waits for its answer.
            patience=SOON if topic == Topic.SUBMISSIONS else AT_LEISURE,
            giving_way=giving_way,
            waited_for=(ReferralActionRequested,) if topic == Topic.SUBMISSIONS else (),
        )
    letters = DeadLetterBox(database, settings.topic_prefix, clocks)
    service.reads_dead_letters(partial(keep, letters=letters), readers_with_dead_letters())
    finding = Finding(referrals, database, service, news, own)
    service.serves(routes(referrals, Feed(referrals, database, news, own), finding, clock))
    documents = Documents(
        database,
        PostgresObjects(database),
        decisions,
        clock,
        most=own.documents,
        left_after=timedelta(minutes=own.upload_minutes),
    )
    service.runs("uploads", documents.watch)
    service.serves(document_routes(documents, finding, news, most_bytes=own.document_bytes))
    # Before the other worklists: its path would be taken for the name of one of them.
    service.serves(
        unreadable_routes(letters, database, partial(send_again, service="referrals", settings=settings), own, clock)
    )
    service.serves(worklist_routes(Worklists(database, clocks), referrals, database, clock))
    return service
