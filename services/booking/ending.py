"""The end of placements that were not settled at once: of those that wait, and of those that ask receivers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.envelope import Event
from contracts.placements import BookingRequested
from services.booking.diary import Given, Refused
from services.booking.outcome import outcome_of
from services.booking.references import References
from services.chassis.database import Connection
from services.chassis.failures import Transient
from services.chassis.outbox import Outbox

Unsettled = Literal["waiting", "asking"]
"""The table that such a placement stands in."""

END = """
-- Each of these stands there still, for the caller has it locked. Keep what is told of it, hold what it was given, and
-- strike it off.
with ended as (
    select * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::uuid[])
        e (placement_id, told_type, told, reference, service_id, starts_at, elsewhere)
), gone as (
    delete from {table} w using ended e where w.placement_id = e.placement_id returning w.placement_id, w.wait_until
), held as (
    update slots s set held = s.held + g.patients
    from (
        select service_id, starts_at, count(*) patients from ended
        where starts_at is not null and elsewhere is null group by 1, 2
    ) g
    where s.service_id = g.service_id and s.starts_at = g.starts_at
    returning g.patients
), kept as (
    update elsewhere k set state = 'held' from ended e where k.key = e.elsewhere and k.state = 'asked' returning k.key
), booked as (
    insert into bookings (reference, placement_id, service_id, starts_at, elsewhere)
    select reference, placement_id, service_id, starts_at, elsewhere from ended where reference is not null
), told as (
    update placements p set told_type = e.told_type, told = e.told, settled_at = $1, wait_until = gone.wait_until
    from ended e join gone using (placement_id)
    where p.placement_id = e.placement_id and p.told is null
    returning p.placement_id
)
select (select count(*) from told) = cardinality($2::uuid[])
    and (select count(starts_at) from ended where elsewhere is null) = (select coalesce(sum(patients), 0) from held)
    and (select count(elsewhere) from ended) = (select count(*) from kept) as all_ended
"""


class Ending:
    """Ends placements in the caller's transaction, and puts what is told of them into the outbox."""

    def __init__(self, outbox: Outbox, table: Unsettled) -> None:
        self._outbox = outbox
        self._statement = END.format(table=table)
        self._references = References()

    async def end(
        self, connection: Connection, decided: Sequence[tuple[BookingRequested, Given | Refused]], now: datetime
    ) -> None:
        """End each with its decision. The caller holds the locks, and wakes the outbox after its commit."""
        if not decided:
            return
        await self._references.reserve(connection, len(decided))
        told: list[Event] = []
        rows = []
        for request, decision in decided:
            held: tuple[str | None, str | None, datetime | None, UUID | None] = (None, None, None, None)
            if isinstance(decision, Given):
                reference = self._references.next()
                held = reference, decision.service.service_id, decision.starts_at, decision.elsewhere
            outcome = outcome_of(request, decision, reference=held[0] or "", now=now)
            told.append(outcome)
            rows.append((request.data.brief.placement_id, outcome.type, outcome.to_json().decode(), *held))
        if not await connection.fetchval(self._statement, now, *(list(column) for column in zip(*rows, strict=True))):
            raise Transient("a placement that was not settled, or what it is given, changed although both were locked")
        await self._outbox.put(connection, told)

    def wake(self) -> None:
        """What was ended is committed: tell it."""
        self._outbox.wake()
