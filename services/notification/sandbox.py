"""The recording sandbox: a provider that takes every message and sends it nowhere.

It stands on the provider's side, with a schema and transactions of its own, so that what it counted can be held
against what this service believes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from services.chassis.database import Database
from services.notification.outbound import Outgoing, Receipt

TAKE = """
-- Take each message once, and count how often it came.
-- References come sorted: two batches that share some wait for each other in one order and never deadlock.
insert into deliveries (reference, first_at, raw_deliveries, audience, channel, organisation, template, text)
select reference, $1, raw, audience, channel, organisation, template, text
from unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    as came (reference, raw, audience, channel, organisation, template, text)
on conflict (reference) do update set raw_deliveries = deliveries.raw_deliveries + excluded.raw_deliveries
"""


class Sandbox:
    """An outbound adapter that records."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def deliver(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        """Record a batch and take all of it."""
        times = Counter(message.reference for message in batch)
        once = {message.reference: message for message in batch}
        rows = [
            (
                reference,
                times[reference],
                message.audience,
                message.channel,
                message.organisation,
                message.template,
                message.text,
            )
            for reference, message in sorted(once.items(), key=lambda item: item[0].int)
        ]
        if rows:
            await self._database.pool.execute(TAKE, self._clock(), *map(list, zip(*rows, strict=True)))
        return [Receipt(reference) for reference in once]
