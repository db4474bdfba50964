"""Documents in PostgreSQL: an upload first, then, in one transaction, a document and the fact that tells of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from contracts.envelope import Event, effect_id
from contracts.people import Referrer
from contracts.referrals import Document, DocumentAttachedData, ReferralDocumentAttached
from services.chassis.database import Connection, Database
from services.referrals.cases import Case
from services.referrals.deciding_store import Decisions
from services.referrals.documents import AttachedDocument
from services.referrals.objects import ObjectStore

SOURCE = "onward/referrals"
EVERY_SECONDS = 60.0
AT_ONCE = 100

BEGIN = """
-- Before the first piece is written.
insert into uploads (id, touched_at) values ($1, $2)
"""

TOUCH = """
-- Somebody still goes on with it; nothing is touched that is being cleared away.
update uploads set touched_at = $2 where id = $1 and state = 'open' returning id
"""

KNOWN = """
-- What was attached under a key of an organisation.
select d.digest, f.body from documents d join facts f on f.referral_id = d.referral_id and f.event_id = d.told
where d.organisation = $1 and d.key = $2
"""

KEEP = """
-- Of two that come under one key at the same time, the second waits here for what becomes of the first.
insert into documents (id, referral_id, organisation, key, digest, told)
values ($1, $2, $3, $4, $5, $6) on conflict (organisation, key) do nothing
returning id
"""

ATTACHED = """
update uploads set state = 'attached' where id = $1 and state = 'open' returning id
"""

COUNT = """
select count(*) from documents where referral_id = $1
"""

LIST = """
-- The documents of a referral, in the order in which they were attached.
select f.body from documents d join facts f on f.referral_id = d.referral_id and f.event_id = d.told
where d.referral_id = $1 order by f.position
"""

FIND = """
select f.body from documents d join facts f on f.referral_id = d.referral_id and f.event_id = d.told
where d.referral_id = $1 and d.id = $2
"""

LEAVE = """
-- From here on it becomes no document.
update uploads set state = 'dropping' where id = $1 and state = 'open' returning id
"""

LEAVE_OLD = """
-- The same of those with which nobody went on, and those that somebody began to clear away.
update uploads set state = 'dropping'
where state <> 'attached' and id in (
  select id from uploads where state = 'dropping' or state = 'open' and touched_at < $1 order by touched_at limit $2
  for update skip locked
) returning id
"""

FORGET = """
-- Once the object store holds nothing of them.
delete from uploads where id = any($1::uuid[]) and state = 'dropping'
"""


class Said(NamedTuple):
    """What a sender says of a document, and under which key."""

    referral: UUID
    by: Referrer
    key: UUID
    digest: bytes
    document: Document


class Left(Exception):
    """The upload took too long, and is cleared away."""


class KeyTaken(Exception):
    """The key stands for another document."""


class TooMany(Exception):
    """The referral has as many documents as it may have."""


class NotOnIt(Exception):
    """The organisation is not on the referral any more."""


class Documents:
    """What is attached to referrals."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        decisions: Decisions,
        clock: Callable[[], datetime],
        *,
        most: int,
        left_after: timedelta,
    ) -> None:
        """At most so many documents a referral; an upload is left when nothing came of it for so long."""
        self._database = database
        self._objects = objects
        self._decisions = decisions
        self._clock = clock
        self._most = most
        self._left_after = left_after

    async def begin(self) -> UUID:
        """A new upload."""
        upload = uuid4()
        await self._database.pool.execute(BEGIN, upload, self._clock())
        return upload

    async def write(self, upload: UUID, number: int, piece: bytes) -> None:
        """Keep a piece of an upload. Raises Left."""
        if await self._database.pool.fetchval(TOUCH, upload, self._clock()) is None:
            raise Left
        await self._objects.write(upload, number, piece)

    async def drop(self, upload: UUID) -> None:
        """Keep nothing of an upload that became no document."""
        if await self._database.pool.fetchval(LEAVE, upload) is not None:
            await self._forget([upload])

    async def attach(self, said: Said) -> AttachedDocument:
        """Let a whole upload be a document, under its id, and tell those on the referral.

        Once: what was attached under the key before is the answer, and the upload is left. Raises KeyTaken, TooMany,
        NotOnIt and Left: then nothing is attached.
        """
        told = effect_id(said.document.document_id, ReferralDocumentAttached.TYPE)
        async with self._decisions.transaction() as connection:
            kept = await connection.fetchval(
                KEEP,
                said.document.document_id,
                said.referral,
                said.by.organisation,
                said.key,
                said.digest,
                told,
            )
            if kept is not None:
                if await connection.fetchval(ATTACHED, kept) is None:
                    raise Left
                await self._tell(connection, said, told)
            row = await connection.fetchrow(KNOWN, said.by.organisation, said.key)
        self._decisions.wake()
        assert row is not None
        return _same(row, said.digest)

    async def _tell(self, connection: Connection, said: Said, told: UUID) -> None:
        def attached(cases: Mapping[UUID, Case], now: datetime) -> list[tuple[Case, Event]]:
            case = cases.get(said.referral)
            if case is None or not case.concerns(said.by.organisation):
                raise NotOnIt
            fact = ReferralDocumentAttached.first(
                DocumentAttachedData(standing=case.standing, by=said.by, document=said.document),
                id=told,
                source=SOURCE,
                subject=str(said.referral),
                time=now,
            )
            return [(case, fact)]

        await self._decisions.tell(connection, [said.referral], attached)
        # Under the referral's lock, so that no two count past each other.
        if await connection.fetchval(COUNT, said.referral) > self._most:
            raise TooMany

    async def of_referral(self, referral: UUID) -> list[AttachedDocument]:
        """Every document of a referral."""
        return [AttachedDocument.told_in(row["body"]) for row in await self._database.pool.fetch(LIST, referral)]

    async def find(self, referral: UUID, document: UUID) -> tuple[AttachedDocument, AsyncIterator[bytes]] | None:
        """A document of a referral, and its content piece by piece; None where it has no such document."""
        row = await self._database.pool.fetchrow(FIND, referral, document)
        return None if row is None else (AttachedDocument.told_in(row["body"]), self._objects.read(document))

    async def watch(self) -> None:
        """Clear away what was left, again and again, for ever; each row by one replica. Raises PostgreSQL's errors.

        No connection is held while another is waited for: a service has few.
        """
        while True:
            while await self.clear() == AT_ONCE:
                pass
            await asyncio.sleep(EVERY_SECONDS)

    async def clear(self) -> int:
        """Clear away uploads of which nothing came; returns how many."""
        rows = await self._database.pool.fetch(LEAVE_OLD, self._clock() - self._left_after, AT_ONCE)
        await self._forget([row["id"] for row in rows])
        return len(rows)

    async def _forget(self, uploads: list[UUID]) -> None:
        # The objects first: one without its row would be found by nobody.
        await self._objects.drop(uploads)
        await self._database.pool.execute(FORGET, uploads)


def _same(row: Any, digest: bytes) -> AttachedDocument:
    if row["digest"] != digest:
        raise KeyTaken
    return AttachedDocument.told_in(row["body"])
