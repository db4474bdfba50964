"""The messages in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.chassis.database import Connection, Database
from services.notification.messages import Message

_COLUMNS = ", ".join(Message._fields)

ADD = f"""
-- Store each message once, in one batch: an outcome that comes again finds its messages there, whatever became of them.
-- Ids come sorted: two batches that share some wait for each other in one order and never deadlock.
with made as (
    select nextval('batches_number_seq') as number
), stored as (
    insert into messages ({_COLUMNS}, made_at, batch)
    select came.*, $1, made.number from made, unnest(
        $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
        $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]
    ) as came
    on conflict (id) do nothing
    returning batch
)
insert into batches (number, made_at, size) select batch, $1, count(*) from stored group by batch
returning number, size
"""

DUE = """
-- Batches that the provider has not answered for, oldest first: as many as may be handed over at once, at least one.
select number from (
    select number, size, sum(size) over (order by number) as up_to
    from (select number, size from batches where state = 'due' order by number limit $1) first_ones
) counted
where up_to <= $1 or up_to = size
"""

IN_BATCHES = f"""
-- The messages of these batches. One that was refused is over.
select batch, {_COLUMNS} from messages where batch = any($1::bigint[]) and why is null
"""

SETTLE = """
-- The provider has answered for all of them. One that is settled already stays as it is.
update batches set state = 'accepted', settled_at = $2 where number = any($1::bigint[]) and state = 'due'
returning number
"""

REFUSE = """
-- The provider will never take them, and why.
update messages set why = refusal.why
from unnest($2::uuid[], $3::text[]) as refusal (id, why)
where messages.id = refusal.id and messages.batch = any($1::bigint[])
"""

LEAVE = """
-- The provider said nothing of them: they are due once more, in a batch of their own.
with made as (
    insert into batches (made_at, size) values ($3, cardinality($2::uuid[])) returning number
)
update messages set batch = made.number from made where id = any($2::uuid[]) and batch = any($1::bigint[])
"""

UNTOLD = """
-- Batches that the provider took and nobody was told of, oldest first.
select number, settled_at from batches where state = 'accepted' order by number limit $1
"""

TOLD = """
-- After the acknowledgement: the log has them now. A crash before this tells them again, under the same ids.
update batches set state = 'told' where number = any($1::bigint[])
"""

WAITING = """
-- How many are untold, and for how long the oldest.
select coalesce(sum(size), 0), coalesce(extract(epoch from clock_timestamp() - min(settled_at)), 0)
from batches where state = 'accepted'
"""

FIND = """
-- A message, for the organisation that it was for and the one that referred. For all others it does not exist.
select id, referral, placement, reason, audience, organisation, channel, template, text, made_at, state,
    settled_at, why
from messages_as_they_stand where id = $1 and $2 in (organisation, referrer)
"""


class Remembered(NamedTuple):
    """A message as it is remembered: what was told, to whom, and how far it got."""

    id: UUID
    referral: str
    placement: UUID | None
    reason: str
    audience: str
    organisation: str | None
    channel: str
    template: str
    text: str
    made_at: datetime
    state: str
    settled_at: datetime | None
    why: str | None


Batches = Mapping[int, Sequence[Message]]
"""Messages by the number of their batch."""

MOST_AT_HAND = 16
"""So many batches are kept in memory until they are handed over; of more the messages are read in their turn."""


class Messages:
    """All messages, in batches of at most `largest`."""

    def __init__(self, database: Database, *, largest: int) -> None:
        self.database = database
        self._largest = largest
        self._stored: dict[int, Sequence[Message]] = {}
        """Batches that were stored whole here a moment ago. One that is due is as it was stored, whoever looks."""
        self._taken: dict[int, Sequence[Message]] = {}
        """Batches that the provider took whole from here."""

    async def add(self, messages: Sequence[Message], made_at: datetime) -> None:
        """Store the messages that are not there yet, due."""
        ordered = sorted(messages, key=lambda message: message.id.int)
        for start in range(0, len(ordered), self._largest):
            some = ordered[start : start + self._largest]
            batch = await self.database.pool.fetchrow(ADD, made_at, *zip(*some, strict=True))
            if batch is not None and batch["size"] == len(some) and len(self._stored) < MOST_AT_HAND:
                self._stored[batch["number"]] = some

    async def due(self, connection: Connection) -> Batches:
        """Messages that the provider has not answered for, oldest first, in whole batches."""
        numbers = [row["number"] for row in await connection.fetch(DUE, self._largest)]
        self._stored = _from(numbers, self._stored)
        return await self._read(connection, numbers, self._stored)

    async def _read(self, connection: Connection, numbers: Collection[int], at_hand: Batches) -> Batches:
        unknown = [number for number in numbers if number not in at_hand]
        read: dict[int, list[Message]] = {number: [] for number in unknown}
        if unknown:
            for batch, *columns in await connection.fetch(IN_BATCHES, unknown):
                read[batch].append(Message._make(columns))
        return {number: at_hand.get(number) or read[number] for number in numbers}

    async def settle(
        self,
        connection: Connection,
        due: Batches,
        refused: Sequence[tuple[UUID, str]],
        unanswered: Sequence[UUID],
        at: datetime,
    ) -> None:
        """Store what the provider answered: it took all but those that it refused or said nothing of."""
        async with connection.transaction():
            settled = [row["number"] for row in await connection.fetch(SETTLE, list(due), at)]
            if refused:
                await connection.execute(REFUSE, settled, *map(list, zip(*refused, strict=True)))
            if unanswered:
                await connection.execute(LEAVE, settled, unanswered, at)
        if not refused and not unanswered and len(self._taken) < MOST_AT_HAND:
            self._taken |= {number: due[number] for number in settled}

    async def untold(self, connection: Connection, limit: int) -> Mapping[int, tuple[datetime, Sequence[Message]]]:
        """By batch, the messages that the provider took and nobody was told of, and when it did."""
        rows = await connection.fetch(UNTOLD, limit)
        settled_at = {row["number"]: row["settled_at"] for row in rows}
        self._taken = _from(settled_at, self._taken)
        batches = await self._read(connection, settled_at, self._taken)
        return {number: (at, batches[number]) for number, at in settled_at.items()}

    async def told(self, connection: Connection, numbers: Sequence[int]) -> None:
        """The log has these batches."""
        await connection.execute(TOLD, numbers)

    async def waiting(self) -> tuple[float, float]:
        """How many messages are taken and untold, and for how many seconds the oldest."""
        (row,) = await self.database.pool.fetch(WAITING)
        return row[0], float(row[1])

    async def find(self, message_id: UUID, organisation: str) -> Remembered | None:
        """The message, if that organisation was told it or referred the patient."""
        row = await self.database.pool.fetchrow(FIND, message_id, organisation)
        return None if row is None else Remembered._make(row)


def _from(numbers: Collection[int], at_hand: Batches) -> dict[int, Sequence[Message]]:
    """What is at hand, without what came before all of these: it is over, whoever ended it."""
    return {number: messages for number, messages in at_hand.items() if number >= min(numbers, default=0)}
