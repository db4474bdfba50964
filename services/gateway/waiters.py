"""Requests that wait for an outcome, by the transaction that they wait for. Waking them needs no database."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from services.chassis.reader import Tombstone
from services.gateway.answer import body_of
from services.gateway.outcomes import Seen, whole


class Waiters:
    """At most so many requests wait at a time; one that finds no room is told to ask again."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._waiting: dict[UUID, list[asyncio.Future[bytes]]] = {}

    @contextmanager
    def waiting_for(self, transaction: UUID) -> Iterator[asyncio.Future[bytes] | None]:
        """A future of the answer's body, dropped at the end of the block; none where too many wait already.

        `transaction` is the id of the submission's event, which its outcome carries as `correlationid`.
        """
        if self._count >= self._limit:
            yield None
            return
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(transaction, []).append(answer)
        self._count += 1
        try:
            yield answer
        finally:
            self._count -= 1
            answer.cancel()
            self._waiting[transaction].remove(answer)
            if not self._waiting[transaction]:
                del self._waiting[transaction]

    def wake(self, outcomes: Sequence[Seen | Tombstone]) -> None:
        """Give each outcome's answer to those who wait for it."""
        for seen in outcomes:
            if not isinstance(seen, Tombstone) and seen.correlationid in self._waiting:
                body = body_of(whole(seen))
                for answer in self._waiting[seen.correlationid]:
                    if not answer.done():
                        answer.set_result(body)
