"""Due messages to the provider, and what it answered into the record."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from services.chassis.database import Connection
from services.chassis.failures import Transient
from services.chassis.log import logger
from services.notification.outbound import Outbound, Outgoing
from services.notification.settings import NotificationSettings
from services.notification.store import Messages


class NoReceipt(Transient):
    """The provider said nothing of some messages that it was handed: they stay due."""


class Dispatcher:
    """Hands due messages over in batches, in one replica at a time; whoever tells of it is called then.

    A crash after the provider took a batch, and before that is stored, hands the same references over again.
    """

    def __init__(
        self,
        messages: Messages,
        outbound: Outbound,
        clock: Callable[[], datetime],
        settings: NotificationSettings,
        tell: Callable[[], None],
    ) -> None:
        self._messages = messages
        self._outbound = outbound
        self._clock = clock
        self._settings = settings
        self._tell = tell
        self._woken = asyncio.Event()
        self._log = logger("notification")

    def wake(self) -> None:
        """There is something new: dispatch at once."""
        self._woken.set()

    async def work(self) -> None:
        """Dispatch what is due, for ever, while this replica holds the claim. Raises Transient, and is begun again."""
        while True:
            async with self._messages.database.alone("dispatch") as connection:
                while connection is not None:
                    self._woken.clear()
                    while await self.dispatch(connection):
                        pass
                    await self._pause()
            await asyncio.sleep(self._settings.poll_seconds)

    async def dispatch(self, connection: Connection) -> bool:
        """Hand over one batch and store the answer. False when nothing was due."""
        due = await self._messages.due(connection)
        if not due:
            return False
        messages = [message for batch in due.values() for message in batch]
        # Outside a transaction: a slow provider holds no row and no snapshot.
        receipts = await self._outbound.deliver(
            [
                Outgoing(
                    message.id,
                    message.audience,
                    message.channel,
                    message.organisation,
                    message.address,
                    message.template,
                    message.text,
                )
                for message in messages
            ]
        )
        answers = {receipt.reference: receipt.refused for receipt in receipts}
        refused = [(message.id, why) for message in messages if (why := answers.get(message.id)) is not None]
        unanswered = [message.id for message in messages if message.id not in answers]
        if answers or not unanswered:
            await self._messages.settle(connection, due, refused, unanswered, self._clock())
            self._tell()
        if refused:
            self._log.warning("refused", count=len(refused))
        if unanswered:
            raise NoReceipt(f"no receipt for {len(unanswered)} of {len(messages)} messages")
        return True

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
