"""The feed as a stream of Server-Sent Events."""

import asyncio
import time
from collections.abc import AsyncIterator

from anyio import Event
from pydantic import TypeAdapter
from sse_starlette import ServerSentEvent

from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.failures import is_transient
from services.chassis.identity import Caller
from services.referrals.cursor import Cursor
from services.referrals.news import News, heard
from services.referrals.settings import ReferralsSettings
from services.referrals.state import Referral
from services.referrals.store import Referrals, Told, Wanted

WINDOW = 50_000
"""Positions looked through at a time, so that a rare filter never holds the database for long."""

RETRY_MS = 1_000
"""When a reader whose stream ended asks again."""

_STANDING = TypeAdapter(Referral)


class Feed:
    """Streams of facts in the order of the feed."""

    def __init__(self, referrals: Referrals, database: Database, news: News, settings: ReferralsSettings) -> None:
        self._referrals = referrals
        self._database = database
        self._news = news
        self._settings = settings

    async def stream(self, caller: Caller, wanted: Wanted, since: Cursor, ending: Event) -> AsyncIterator[bytes]:
        """What the reader wants after a cursor, until `ending` is set.

        Ends too when the database is away, and when a new epoch begins: the reader asks again and is told more.
        """
        try:
            async for chunk in self._chunks(caller, wanted, since, ending):
                yield chunk
        except Exception as error:
            if not is_transient(error):
                raise

    async def _chunks(self, caller: Caller, wanted: Wanted, since: Cursor, ending: Event) -> AsyncIterator[bytes]:
        at = since
        # A cursor without an event: who loses the connection now resumes here, even if nothing had come.
        yield _block(id=str(at), retry=RETRY_MS)
        spoken = time.monotonic()
        while not ending.is_set():
            bell = self._news.bell
            epoch, end = await self._referrals.end()
            if epoch != at.epoch:
                return
            while at.position < end and not ending.is_set():
                told, at = await self._next(wanted, at, end)
                if told:
                    await audit(self._database.pool, caller, "read events", sorted({str(t.referral_id) for t in told}))
                    standings = await self._referrals.standings(wanted.organisation, told) if wanted.standings else {}
                    yield b"".join(_blocks(epoch, one, standings.get(one.position)) for one in told)
                    spoken = time.monotonic()
            if time.monotonic() - spoken >= self._settings.heartbeat_seconds:
                yield _block(id=str(at), comment="nothing new")
                spoken = time.monotonic()
            if await heard(bell, within=min(self._settings.feed_poll_seconds, self._settings.heartbeat_seconds)):
                await asyncio.sleep(self._settings.feed_gather_seconds)

    async def _next(self, wanted: Wanted, at: Cursor, end: int) -> tuple[list[Told], Cursor]:
        """The next chunk, which may be empty, and how far it reaches."""
        limit = self._settings.feed_chunk
        until = min(end, at.position + WINDOW)
        told = await self._referrals.told(wanted, at.position, until, limit)
        return told, at._replace(position=told[-1].position if len(told) == limit else until)


def _blocks(epoch: int, told: Told, standing: Referral | None) -> bytes:
    fact = _block(id=str(Cursor(epoch, told.position)), event=told.type, data=told.body)
    if standing is None:
        return fact
    # Before its fact, and without an id: who loses the connection between the two is told both again.
    return _block(event="standing", data=_STANDING.dump_json(standing).decode()) + fact


def _block(
    *,
    id: str | None = None,
    event: str | None = None,
    data: str | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> bytes:
    return ServerSentEvent(data, id=id, event=event, retry=retry, comment=comment, sep="\n").encode()
