"""One referral at a time in PostgreSQL, as the peers do that know no batches: whole transactions in few statements."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from contracts.bookings import Tried
from contracts.placements import BookingRequested
from loadtests.peers import ground
from loadtests.peers.ground import Ended
from services.booking.diary import Given, Refused, latest_start, may_be_booked
from services.booking.outcome import outcome_of
from services.booking.references import REFERENCES_A_BLOCK

HOLD = """
-- The first free slot of a diary, held. Who finds it locked waits, and finds it full or not.
update slots s set held = s.held + 1 from (
    select service_id, starts_at from slots
    where service_id = $1 and starts_at between $2 and $3 and held < capacity and not withdrawn
    order by starts_at limit 1 for no key update
) f
where s.service_id = f.service_id and s.starts_at = f.starts_at
returning s.starts_at, s.minutes
"""

FREE = """
-- Whether the diary has any: a slot that another filled meanwhile is not its last.
select exists (
    select from slots where service_id = $1 and starts_at between $2 and $3 and held < capacity and not withdrawn
)
"""

BLOCK = "select nextval('reference_blocks')"

PLACE = """
-- What is told of a placement, and its booking. No row where it was told of before.
with placed as (
    insert into placements (placement_id, referral_id, told_type, told, settled_at) values ($1, $2, $3, $4, $5)
    on conflict do nothing returning placement_id
), booked as (
    insert into bookings (reference, placement_id, service_id, starts_at)
    select $6, placement_id, $7, $8 from placed where $6::text is not null
)
select placement_id from placed
"""


class Settled(NamedTuple):
    """How one referral ended."""

    outcome: Ended
    reference: str | None
    service_id: str | None
    starts_at: datetime | None


class References:
    """Numbers for patients, from blocks of this process."""

    def __init__(self) -> None:
        self._numbers: deque[int] = deque()

    async def next(self, connection: Any) -> str:
        """A number that nobody else has."""
        if not self._numbers:
            block = await connection.fetchval(BLOCK)
            self._numbers.extend(range(block * REFERENCES_A_BLOCK, (block + 1) * REFERENCES_A_BLOCK))
        return str(self._numbers.popleft())


async def settle(connection: Any, request: BookingRequested, references: References, now: datetime) -> Settled:
    """The first candidate that can take the patient, its slot held in the transaction under way; stores nothing yet."""
    decision = await _placed(connection, request, now)
    reference = await references.next(connection) if isinstance(decision, Given) else None
    outcome = cast("Ended", outcome_of(request, decision, reference=reference or "", now=now))
    if isinstance(decision, Given):
        return Settled(outcome, reference, decision.service.service_id, decision.starts_at)
    return Settled(outcome, None, None, None)


async def _placed(connection: Any, request: BookingRequested, now: datetime) -> Given | Refused:
    """As booking's `allocate`, for one. Kind and time to accept come with the candidate, from the directory."""
    if not may_be_booked(request, now):
        return Refused()
    tried: list[Tried] = []
    earliest, until = now + ground.LEAD, latest_start(request, now)
    for place, candidate in enumerate(request.data.candidates):
        if candidate.booking == "delivery":
            return Given(candidate, place, tried=tuple(tried))
        if candidate.booking == "acceptance":
            due = now + timedelta(minutes=candidate.accept_within_minutes or 0)
            return Given(candidate, place, acceptance_due=due, tried=tuple(tried))
        held = None
        while held is None:
            held = await connection.fetchrow(HOLD, candidate.service_id, earliest, until)
            if held is None and not await connection.fetchval(FREE, candidate.service_id, earliest, until):
                break
        if held is not None:
            return Given(
                candidate, place, starts_at=held["starts_at"], slot_minutes=held["minutes"], tried=tuple(tried)
            )
        tried.append(Tried(service_id=candidate.service_id, name=candidate.name, why="no free slot in time"))
    return Refused(tuple(tried))


def columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows as columns, also where there are none."""
    return [[row[number] for row in rows] for number in range(width)]
