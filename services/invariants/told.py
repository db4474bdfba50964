"""What must be true of a fact on the log once a reader has committed it."""

import re
from typing import NamedTuple

from contracts import referrals
from contracts.actions import ReferralActionRequested
from contracts.bookings import BookingConfirmed, BookingDisplaced, BookingExhausted, BookingReleased
from contracts.envelope import Event
from contracts.notifications import NotificationSent
from contracts.placements import BookingRequested
from contracts.referrals import BookingWithdrawn, PlacementRequested
from contracts.submissions import ReferralSubmitted
from contracts.topics import Topic
from contracts.triage import ReferralTriaged
from services.invariants.heard import NOT_HEARD, TOLD_TO_PEOPLE

OUTCOMES = (BookingConfirmed.TYPE, BookingExhausted.TYPE)

DECISIONS = tuple(
    fact.TYPE
    for fact in vars(referrals).values()
    if isinstance(fact, type) and issubclass(fact, Event) and fact.TYPE.startswith("referral.")
)
"""An action leads to exactly one of them, at once or when the placement that it asked for has ended."""


HISTORY: dict[Topic, tuple[str, ...]] = {
    Topic.SUBMISSIONS: (ReferralSubmitted.TYPE, ReferralActionRequested.TYPE),
    Topic.TRIAGE: (ReferralTriaged.TYPE,),
    Topic.PLACEMENTS: (BookingRequested.TYPE,),
    Topic.BOOKINGS: (*OUTCOMES, BookingReleased.TYPE, BookingDisplaced.TYPE),
    Topic.NOTIFICATIONS: (NotificationSent.TYPE,),
}
"""What referrals keeps of each topic. What it does not know it passes over, as every reader does."""


class Led(NamedTuple):
    """What a reader has committed led to exactly one effect, or stands among that reader's dead letters."""

    sentence: str
    topic: Topic
    reader: str
    type: str
    onto: Topic
    effects: tuple[str, ...]
    """The types of effect of which one follows: with an empty effect key, for there is at most one."""
    not_yet: str | None = None
    """A query over the facts without an effect, as of `Kept`: the ids of those that are known to wait."""


class Kept(NamedTuple):
    """What a reader has committed is in its tables, or stands among that reader's dead letters."""

    sentence: str
    topic: Topic
    reader: str
    types: tuple[str, ...]
    missing: str
    """A query over the facts that are to be kept, `fact` with id, referral, transaction, placement and the SHA-256 of
    its value: the ids of those that are not."""


LED = (
    Led(
        "A submission that triage has read is triaged",
        Topic.SUBMISSIONS,
        "triage",
        ReferralSubmitted.TYPE,
        Topic.TRIAGE,
        (ReferralTriaged.TYPE,),
    ),
    Led(
        "For a triaged referral that pathways has read a placement is asked for",
        Topic.TRIAGE,
        "pathways",
        ReferralTriaged.TYPE,
        Topic.PLACEMENTS,
        (BookingRequested.TYPE,),
    ),
    Led(
        "For a further placement that pathways has read booking is asked for it",
        Topic.REFERRALS,
        "pathways",
        PlacementRequested.TYPE,
        Topic.PLACEMENTS,
        (BookingRequested.TYPE,),
    ),
    Led(
        "A placement that booking has read has ended, in one way, or waits for a place or asks a receiver until a time",
        Topic.PLACEMENTS,
        "booking",
        BookingRequested.TYPE,
        Topic.BOOKINGS,
        OUTCOMES,
        # The outcome of a wait may still be in the outbox, which is looked at in the same snapshot as the list.
        """
        select fact.id from fact where exists (
            select from booking.waiting w where w.placement_id = fact.placement
        ) or exists (
            select from booking.asking a where a.placement_id = fact.placement
        ) or exists (
            select from booking.placements p join booking.outbox o on o.body = p.told
            where p.placement_id = fact.placement
        )
        """,
    ),
)

KEPT = (
    *(
        Kept(
            f"A fact of `{topic}` that referrals has read is in its history",
            topic,
            "referrals",
            types,
            """
            select fact.id from fact
            left join referrals.facts f on f.referral_id = fact.referral and f.event_id = fact.id
            where f.event_id is null
            """,
        )
        for topic, types in HISTORY.items()
    ),
    Kept(
        "An outcome that referrals has read stands on its referral",
        Topic.BOOKINGS,
        "referrals",
        OUTCOMES,
        """
        select fact.id from fact left join referrals.referrals r on r.id = fact.referral
        where r.state is null or r.state in ('submitted', 'triaged', 'placement_asked')
        """,
    ),
    Kept(
        "An action that referrals has read has exactly one answer, or waits for what comes of the place it asked for",
        Topic.SUBMISSIONS,
        "referrals",
        (ReferralActionRequested.TYPE,),
        """
        select fact.id from fact
        cross join lateral (
            select count(*) as made from referrals.facts f
            where f.referral_id = fact.referral and f.cause is not null and f.type like 'referral.%'
                and f.body::json ->> 'correlationid' = fact.id::text
        ) answers
        where answers.made <> case when exists (
            select from referrals.searches s where s.cause = fact.id and s.state <> 'settled' and s.why <> 'waiting'
        ) then 0 else 1 end
        """,
    ),
    Kept(
        "What referrals gave back, and booking has read, is held no more",
        Topic.REFERRALS,
        "booking",
        (BookingWithdrawn.TYPE,),
        """
        select fact.id from fact left join booking.bookings b on b.placement_id = fact.placement
        where b.released_at is null
        """,
    ),
    Kept(
        "What is told of a placement is, byte for byte, what booking stored of it",
        Topic.BOOKINGS,
        "notification",
        OUTCOMES,
        """
        select fact.id from fact left join booking.placements p on p.placement_id = fact.placement
        where p.told is null or sha256(convert_to(p.told, 'UTF8')) <> fact.digest
        """,
    ),
    Kept(
        "For an outcome that notification has read there is a message to the referrer's desk, and to the service of it",
        Topic.BOOKINGS,
        "notification",
        OUTCOMES,
        """
        select fact.id from fact left join notification.messages m on m.cause = fact.id
        where fact.transaction = fact.placement -- what came of a further placement is told by referrals
        group by fact.id
        having count(*) filter (where m.audience = 'referrer') <> 1
            or bool_or(m.reason = 'booking.confirmed') and count(*) filter (where m.audience = 'service') <> 1
        """,
    ),
    Kept(
        "Each who must hear what became of a referral, and notification has read, has one message; nobody else has",
        Topic.REFERRALS,
        "notification",
        TOLD_TO_PEOPLE,
        NOT_HEARD,
    ),
    Kept(
        "An outcome that the gateway has read answers the sender's next try under its key",
        Topic.BOOKINGS,
        "gateway",
        OUTCOMES,
        """
        select fact.id from fact join gateway.attempts a on a.event_id = fact.transaction
        where a.kind = 'submission' and a.answer is null
        """,
    ),
    Kept(
        "What was decided of an action, and the gateway has read, answers its sender's next try under its key",
        Topic.REFERRALS,
        "gateway",
        DECISIONS,
        """
        select fact.id from fact join gateway.attempts a on a.event_id = fact.transaction
        where a.kind = 'action' and a.answer is null
        """,
    ),
)

FACTS = """
with fact as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bytea[])
        as came (id, referral, transaction, placement, digest)
)
"""
"""What stands before each query of `missing`."""


def schemas_of(query: str) -> frozenset[str]:
    """The schemas that a query reads."""
    return frozenset(re.findall(r"\b(?:from|join) ([a-z]+)\.", query))
