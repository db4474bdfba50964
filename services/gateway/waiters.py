"""Requests that wait for an answer, by the transaction that they wait for. Waking them needs no database."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from services.chassis.reader import Tombstone
from services.gateway.answered import Answered
from services.gateway.outcomes import Seen

Answering = Callable[[Seen], Answered]
"""The answer that a fact is to its transaction."""

MOST_MADE = 2_048
"""So many answers may wait to be stored: what comes in some seconds."""


class MadeOnce:
    """Makes each answer once: it is given to whoever waits, and a moment later it is stored."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._made: dict[UUID, Answered] = {}
        """By the id of the fact. One that nobody comes back for is dropped when there are too many."""

    def __call__(self, seen: Seen) -> Answered:
        """The answer, as it was made a moment ago or made now."""
        made = self._made.pop(seen.id, None)
        if made is None:
            made = self._made[seen.id] = self._answering(seen)
            if len(self._made) > MOST_MADE:
                del self._made[next(iter(self._made))]
        return made


class Waiters:
    """At most so many requests wait at a time; one that finds no room is told to ask again."""

    def __init__(self, limit: int, answering: Answering) -> None:
        self._limit = limit
        self._answering = answering
        self._count = 0
        self._waiting: dict[UUID, list[asyncio.Future[Answered]]] = {}

    @contextmanager
    def waiting_for(self, transaction: UUID) -> Iterator[asyncio.Future[Answered] | None]:
        """A future of the answer, dropped at the end of the block; none where too many wait already.

        `transaction` is the id of the attempt's event, which what answers it carries as `correlationid`.
        """
        if self._count >= self._limit:
            yield None
            return
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
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

    def wake(self, facts: Sequence[Seen | Tombstone]) -> None:
        """Give each answer to those who wait for it."""
        for seen in facts:
            if not isinstance(seen, Tombstone) and seen.correlationid in self._waiting:
                answered = self._answering(seen)
                for answer in self._waiting[seen.correlationid]:
                    if not answer.done():
                        answer.set_result(answered)
