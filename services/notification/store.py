"""The messages in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.notifications import NotificationSent
from services.chassis.database import Connection, Database
from services.chassis.outbox import Outbox
from services.notification.messages import Message, sent_json

_COLUMNS = ", ".join(Message._fields)

ADD = f"""
-- Store each message once: an outcome that comes again finds its messages there, whatever became of them.
-- Ids come sorted: two batches that share some wait for each other in one order and never deadlock.
insert into messages ({_COLUMNS}, made_at)
select came.*, $1 from unnest(
    $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]
) as came
on conflict (id) do nothing
"""

DUE = f"""
-- What the provider has not answered for, oldest first. Asked by the holder of the claim alone.
-- The limit is a subquery so that the planner does not know it: it believes that few are due, and with a limit above
-- that it would read and sort all of them for each batch, rather than walk the index.
select {_COLUMNS} from messages where state = 'due' order by made_at limit (select $1::bigint)
"""

ACCEPT = """
-- The provider took them. One that is settled already stays as it is, and is not returned.
update messages set state = 'accepted', settled_at = $2
where id = any($1::uuid[]) and state = 'due'
returning id
"""

REFUSE = """
-- The provider will never take them, and why.
update messages set state = 'refused', settled_at = $3, why = refusal.why
from unnest($1::uuid[], $2::text[]) as refusal (id, why)
where messages.id = refusal.id and state = 'due'
"""

FIND = """
-- A message, for the organisation that it was for and the one that referred. For all others it does not exist.
select id, referral, placement, reason, audience, organisation, channel, template, text, made_at, state,
    settled_at, why
from messages where id = $1 and $2 in (organisation, referrer)
"""


class Told(NamedTuple):
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


class Messages:
    """All messages. What the provider took is stored together with the fact that is told of it."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self.database = database
        self._outbox = outbox

    async def add(self, messages: Sequence[Message], made_at: datetime) -> None:
        """Store the messages that are not there yet, due."""
        if not messages:
            return
        ordered = sorted(messages, key=lambda message: message.id.int)
        await self.database.pool.execute(ADD, made_at, *zip(*ordered, strict=True))

    async def due(self, connection: Connection, limit: int) -> list[Message]:
        """Messages that the provider has not answered for, oldest first."""
        rows = await connection.fetch(DUE, limit)
        return [Message._make(row) for row in rows]

    async def settle(
        self,
        connection: Connection,
        accepted: Sequence[Message],
        refused: Sequence[tuple[UUID, str]],
        at: datetime,
    ) -> None:
        """Store what the provider answered, in one transaction with the facts that are told of it."""
        async with connection.transaction():
            if accepted:
                rows = await connection.fetch(ACCEPT, [message.id for message in accepted], at)
                moved = {row["id"] for row in rows}
                facts = [
                    (message.id, NotificationSent.TYPE, message.referral, sent_json(message, at))
                    for message in accepted
                    if message.id in moved
                ]
                if facts:
                    await self._outbox.put_json(connection, facts)
            if refused:
                await connection.execute(REFUSE, *map(list, zip(*refused, strict=True)), at)
        self._outbox.wake()

    async def find(self, message_id: UUID, organisation: str) -> Told | None:
        """The message, if that organisation was told it or referred the patient."""
        row = await self.database.pool.fetchrow(FIND, message_id, organisation)
        return None if row is None else Told._make(row)
