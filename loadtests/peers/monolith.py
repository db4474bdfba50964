"""Peer (a), what most would build: FastAPI, asyncpg and PostgreSQL, one transaction a request.

The same route, token, body, rules and answer as Onward's `POST /referrals`. The transaction stores the attempt under
its key with the answer, the outcome, the place held, the messages and the history; then the answer leaves. In the
background messages go to the provider in batches and their receipts into the history, and positions of the feed are
given in batches, each by one process at a time: a counter in each request's transaction would let one at a time commit.

Durability and duties as Onward's: synchronous commits, one outcome under one key, never more than a slot holds, each
message handed over outside any transaction under one reference, a feed without gaps. It needs no log, and tells nothing
on one: whoever follows its facts reads the feed. Less than Onward: the history has what was submitted and how it ended.
"""

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from contracts.envelope import new_id
from contracts.people import Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData
from loadtests.material import ANSWER_WITHIN
from loadtests.peers import ground, singly
from loadtests.peers.ground import Book, Ended, Within, outcome_view, utc_now
from loadtests.peers.singly import References, columns
from services.chassis.collector import spare_the_collector
from services.chassis.identity import CallerOf, Verifier
from services.chassis.problems import Problem
from services.cli.directory import SHIPPED
from services.gateway.answer import body_of
from services.gateway.body import read
from services.gateway.marks import marks_of
from services.notification.messages import Message, messages_of, sent_json
from services.notification.outbound import Outgoing
from services.notification.sandbox import Sandbox
from services.notification.store import DUE, IN_BATCHES, SETTLE
from services.pathways.directory_file import read_file

STORE = f"""
-- A whole referral in one statement. No row comes back where the key was used before: then all of it is rolled back.
with attempt as (
    insert into attempts (organisation, key, digest, referral_id, event_id, event, received_at, answer, answered_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $7) on conflict do nothing returning event_id
), placed as (
    insert into placements (placement_id, referral_id, told_type, told, settled_at)
    select event_id, $4::uuid::text, $9, $10, $7 from attempt
), booked as (
    insert into bookings (reference, placement_id, service_id, starts_at)
    select $11, event_id, $12, $13 from attempt where $11::text is not null
), batch as (
    insert into batches (made_at, size) select $7, cardinality($14::uuid[]) from attempt returning number
), told as (
    insert into messages ({", ".join(Message._fields)}, made_at, batch)
    select came.*, $7, batch.number from batch, unnest(
        $14::uuid[], $15::uuid[], $16::uuid[], $17::uuid[], $18::text[], $19::text[], $20::text[], $21::text[],
        $22::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[]) as came
), state as (
    insert into referrals (id, version, rank, state, owner, due, referrer, receiver, service_id)
    select $4, 2, 4, $28, $29, $30, $1, $31, $12 from attempt
), history as (
    insert into facts (referral_id, event_id, at, type, version, body)
    select $4, came.id, $7, came.type, came.version, came.body
    from attempt, (values ($5, 'referral.submitted', 1, $6), ($32, $9, 2, $10)) came (id, type, version, body)
)
select event_id from attempt
"""

STORED = "select digest, answer from attempts where organisation = $1 and key = $2"

POSITIONS = """
-- Positions of the feed for what has none yet, in one order, by whoever holds the lock of the counter.
with waiting as (
    select f.referral_id, f.event_id, r.referrer, r.receiver, r.service_id, row_number() over (order by f.at) as n
    from (select referral_id, event_id, at from facts where position is null order by at limit (select $1::bigint)) f
    join referrals r on r.id = f.referral_id
), counted as (
    select count(*) as n from waiting
), moved as (
    update feed set last = last + counted.n from counted returning last - counted.n as before, counted.n
)
update facts f
set position = moved.before + w.n, referrer = w.referrer, receiver = w.receiver, service_id = w.service_id
from waiting w, moved where f.referral_id = w.referral_id and f.event_id = w.event_id
"""

RECEIPTS = """
insert into facts (referral_id, event_id, at, type, body)
select came.referral, came.id, $1, 'notification.sent', came.body
from unnest($2::uuid[], $3::uuid[], $4::text[]) came (referral, id, body)
"""

BATCH = 1_000
PAUSE_SECONDS = 0.05
ALONE, NO_LONGER = "select pg_try_advisory_lock($1)", "select pg_advisory_unlock($1)"
DISPATCH, SEQUENCE = 1, 2


class Monolith:
    """The whole of a referral."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", book: Book) -> None:
        self._pool = pool
        self._book = book
        self._references = References()
        self._sandbox = Sandbox(cast("Any", Within(pool)), utc_now)

    async def refer(self, event: ReferralSubmitted, organisation: str, key: UUID, digest: bytes) -> Response:
        """Everything for one request in one transaction."""
        now = utc_now()
        (request,) = await self._book.requests([event])
        async with self._pool.acquire() as connection:
            transaction = connection.transaction(isolation="read_committed")
            await transaction.start()
            try:
                settled = await singly.settle(connection, request, self._references, now)
                answer = body_of(settled.outcome)
                new = await connection.fetchval(
                    STORE, organisation, key, digest, *_arguments(event, settled, answer.decode())
                )
            except BaseException:
                await transaction.rollback()
                raise
            if new is not None:
                await transaction.commit()
                return Response(answer, 201, {"Location": f"/referrals/{event.subject}"}, "application/json")
            await transaction.rollback()
            stored = await connection.fetchrow(STORED, organisation, key)
        assert stored is not None
        if stored["digest"] != digest:
            raise Problem(409, "The key was used for another body", "Make a new key for a new submission.")
        return Response(stored["answer"], 201, media_type="application/json")

    @asynccontextmanager
    async def _alone(self, work: int) -> AsyncIterator[Any]:
        """A connection for who alone, of all processes, does this work; none while another does."""
        async with self._pool.acquire() as connection:
            alone = await connection.fetchval(ALONE, work)
            try:
                yield connection if alone else None
                if alone:
                    await connection.execute(NO_LONGER, work)
            except BaseException:
                connection.terminate()  # the lock is the session's: kept open, it would keep everybody out for ever
                raise

    async def dispatch(self) -> bool:
        """Hand over one batch of due messages, and store what was taken with its receipts. False when none was due."""
        async with self._alone(DISPATCH) as connection:
            if connection is None:
                return False
            batches = [row["number"] for row in await connection.fetch(DUE, BATCH)]
            if not batches:
                return False
            due = [Message._make(row[1:]) for row in await connection.fetch(IN_BATCHES, batches)]
            await self._sandbox.deliver(
                [
                    Outgoing(one.id, one.audience, one.channel, one.organisation, one.address, one.template, one.text)
                    for one in due
                ]
            )
            now = utc_now()
            async with connection.transaction():
                settled = await connection.fetch(SETTLE, batches, now)
                assert len(settled) == len(batches), "another process hands over too"
                sent = [(UUID(one.referral), one.id, sent_json(one, now).decode()) for one in due]
                await connection.execute(RECEIPTS, now, *columns(sent, 3))
        return True

    async def sequence(self) -> bool:
        """Give positions to a batch of facts. False when none waited."""
        async with self._alone(SEQUENCE) as connection:
            if connection is None:
                return False
            return str(await connection.execute(POSITIONS, BATCH)) != "UPDATE 0"

    async def keep_going(self) -> None:
        """The work in the background, for ever: what fails is begun again. The server ends the transaction of a process
        that is frozen for half a minute."""
        while True:
            worked = False
            with contextlib.suppress(Exception):
                worked = any([await self.dispatch(), await self.sequence()])
            if not worked:
                await asyncio.sleep(PAUSE_SECONDS)


def _arguments(event: ReferralSubmitted, settled: singly.Settled, answer: str) -> list[Any]:
    """Arguments of STORE from the fourth on."""
    outcome = settled.outcome
    messages = messages_of(outcome_view(outcome))
    told, submitted = outcome.to_json().decode(), event.to_json().decode()
    return [
        UUID(event.subject),
        event.id,
        submitted,
        event.time,
        answer,
        outcome.type,
        told,
        settled.reference,
        settled.service_id,
        settled.starts_at,
        *columns(messages, len(Message._fields)),
        "placed" if settled.reference else "unplaced",
        outcome.data.owner.organisation,
        outcome.data.due,
        _receiver(outcome),
        outcome.id,
    ]


def _receiver(outcome: Ended) -> str | None:
    service = getattr(outcome.data, "service", None)
    return None if service is None else str(service.organisation)


def app() -> FastAPI:
    """The application, by the settings that `main` put into the environment."""
    settings = Settings.read()

    @asynccontextmanager
    async def life(app: FastAPI) -> Any:
        pool = await ground.pool(settings.database, settings.pool)
        app.state.monolith = Monolith(pool, Book.shipped(settings.room))
        app.state.desks = {desk.organisation: desk for desk in read_file(SHIPPED).desks}
        spare_the_collector()
        background = asyncio.create_task(app.state.monolith.keep_going())
        yield
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        await pool.close()

    made = FastAPI(lifespan=life)
    made.state.verifier = Verifier.from_file(settings.keys)

    @made.exception_handler(Problem)
    async def problem(_request: Request, problem: Problem) -> Response:
        return JSONResponse(problem.body, problem.status)

    @made.post("/referrals", status_code=201)
    async def refer(request: Request, caller: CallerOf) -> Response:
        submission, digest = read(await request.body(), organisation=caller.organisation)
        now = utc_now()
        event = ReferralSubmitted.first(
            ReferralSubmittedData(
                submission=submission,
                referrer=Referrer(organisation=caller.organisation, practitioner=caller.practitioner, role=caller.role),
                desk=request.app.state.desks[caller.organisation],
                answer_by=now + ANSWER_WITHIN,
                marks=marks_of(submission, now),
            ),
            id=new_id(),
            source=f"onward/peer/{caller.organisation}",
            subject=str(new_id()),
            time=now,
        )
        key = UUID(request.headers["idempotency-key"])
        monolith: Monolith = request.app.state.monolith
        return await monolith.refer(event, caller.organisation, key, digest)

    return made


class Settings:
    """What each process is told."""

    def __init__(self, database: str, keys: Path, pool: int, room: int) -> None:
        self.database, self.keys, self.pool, self.room = database, keys, pool, room

    @classmethod
    def read(cls) -> "Settings":
        """From the environment, which uvicorn's workers inherit."""
        given = os.environ
        return cls(given["PEER_DATABASE"], Path(given["PEER_KEYS"]), int(given["PEER_POOL"]), int(given["PEER_ROOM"]))


def main() -> None:
    """Serve with so many workers."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    uvicorn.run(
        "loadtests.peers.monolith:app",
        factory=True,
        port=given.port,
        workers=given.workers,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
        timeout_worker_healthcheck=60,  # a worker that is still importing does not answer
    )


if __name__ == "__main__":
    main()
