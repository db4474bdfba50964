"""The peer of settling: one placement at a time, in a transaction of its own, with `for update skip locked`.

As an expert writes a queue or a diary today: a free slot that nobody else looks at is locked, held and booked, with the
outcome in the same transaction; whoever comes meanwhile takes the next. Statements are prepared, the connection is
kept, the plan may be generic. It keeps and tells the same as the settling that it is compared with, in the same tables.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import asyncpg

from contracts.bookings import Tried
from contracts.envelope import Event
from contracts.placements import BookingRequested
from services.booking.diary import Given, LeanTried, Refused, latest_start
from services.booking.outcome import outcome_of

PICK = """
select starts_at, minutes from slots
where service_id = $1 and starts_at >= $2 and starts_at <= $3 and held < capacity and not withdrawn
order by starts_at limit 1 for no key update skip locked
"""

KEEP = """
with held as (
    update slots set held = held + 1 where service_id = $6 and starts_at = $7
), booked as (
    insert into bookings (reference, placement_id, service_id, starts_at)
    select $5::text, $1, $6::text, $7::timestamptz where $5 is not null
)
insert into placements (placement_id, referral_id, told_type, told, settled_at) values ($1, $2, $3, $4, $8)
on conflict do nothing
"""


async def settle_each(
    connection: "asyncpg.Connection[asyncpg.Record]",
    requests: Sequence[BookingRequested],
    now: datetime,
    lead: timedelta,
    references: Iterator[str],
) -> list[Event]:
    """What is told of each placement, one after the other."""
    pick, keep = await connection.prepare(PICK), await connection.prepare(KEEP)
    told = []
    for request in requests:
        async with connection.transaction(isolation="read_committed"):
            decision = await _place(pick, request, now, lead)
            reference, service, starts_at = None, None, None
            if isinstance(decision, Given):
                reference, service, starts_at = next(references), decision.service.service_id, decision.starts_at
            outcome = outcome_of(request, decision, reference=reference or "", now=now)
            of_it = (request.data.brief.placement_id, request.subject, outcome.type, outcome.to_json().decode())
            await keep.fetch(*of_it, reference, service, starts_at, now)
        told.append(outcome)
    return told


async def _place(
    pick: "asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]",
    request: BookingRequested,
    now: datetime,
    lead: timedelta,
) -> Given | Refused:
    tried: list[Tried] = []
    for place, candidate in enumerate(request.data.candidates):
        found = await pick.fetchrow(candidate.service_id, now + lead, latest_start(request, now))
        if found is not None:
            return Given(candidate, place, starts_at=found[0], slot_minutes=found[1], tried=tuple(tried))
        tried.append(LeanTried(service_id=candidate.service_id, name=candidate.name, why="no free slot in time"))
    return Refused(tuple(tried))
