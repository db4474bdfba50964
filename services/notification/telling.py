"""`notification.sent` of what the provider took: told after it is stored, in order, from the messages themselves."""

import asyncio
import contextlib

from contracts.notifications import NotificationSent
from services.chassis.database import Connection
from services.chassis.metrics import OUTBOX as TOLD
from services.chassis.publishing import KafkaPublisher
from services.notification.messages import sent_json
from services.notification.store import Messages

BATCHES = 4
"""So many batches are told at once."""

POLL_SECONDS = 1.0
"""How often to look for what another replica settled; what this one settles is told at once."""


class Telling:
    """Tells each message that the provider took, in one replica at a time. It is an outbox without rows of its own."""

    def __init__(self, messages: Messages, publisher: KafkaPublisher) -> None:
        self._messages = messages
        self._publisher = publisher
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something new: tell at once."""
        self._woken.set()

    async def work(self) -> None:
        """Tell what is untold, for ever, while this replica holds the claim."""
        while True:
            async with self._messages.database.alone("outbox") as connection:
                while connection is not None:
                    self._woken.clear()
                    while await self.tell(connection):
                        pass
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS):
                            await self._woken.wait()
            await asyncio.sleep(POLL_SECONDS)

    async def tell(self, connection: Connection) -> bool:
        """Tell some batches. False when nothing was untold."""
        untold = await self._messages.untold(connection, BATCHES)
        if not untold:
            return False
        facts = [
            (NotificationSent, message.referral, sent_json(message, at))
            for at, messages in untold.values()
            for message in messages
        ]
        await self._publisher.tell_json(facts)
        await self._messages.told(connection, list(untold))
        TOLD.labels(self._messages.database.schema).inc(len(facts))
        return True
