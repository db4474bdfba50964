"""An integrator that reads the feed alone has every referral as it stands, whatever happened meanwhile."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from httpx_sse import SSEError, aconnect_sse
from psycopg import sql

from services.chassis.kafka import Kafka
from services.cli.connection import TRUST, Connection
from services.cli.directory import load
from services.cli.restored import begin_epoch, forget_what_was_read
from tests.journeys.acting import World, at_last, service
from tests.journeys.sending import incident_of
from tests.running import System

pytestmark = [pytest.mark.backing, pytest.mark.faults, pytest.mark.timeout(600)]

FIRST, SECOND = "ONW05", "ONW06"
REFERRALS = 40
AT_ONCE = 8
FIRST_KILL, COPY, SECOND_KILL, RESTORE, LAST_KILL = 20, 50, 70, 100, 140
"""After so many answers."""

Step = tuple[str, str, dict[str, Any]]
COURSES: tuple[tuple[Step, ...], ...] = (
    (
        (FIRST, "receive", {}),
        (FIRST, "accept", {}),
        (TRUST, "leave_message", {"words": "The key is with the neighbour."}),
        (FIRST, "see", {}),
        (FIRST, "give_outcome", {"kind": "advice-given"}),
    ),
    ((FIRST, "receive", {}), (FIRST, "reject", {"reason": "no-capacity"}), (TRUST, "cancel", {"reason": "other"})),
    ((FIRST, "receive", {}), (TRUST, "rebook", {"accept": [{"service": "second"}]}), (SECOND, "accept", {})),
    ((FIRST, "receive", {}), (FIRST, "want_information", {"words": "Which leg?"})),
)
"""Each begins with the receiver's: it waits for the confirmation, whichever is read first."""

OF_THE_MOMENT = ("asked", "duplicates", "actions")
"""What a read says beyond where the referral stands."""

TABLES = """
select table_name, array_agg(column_name::text) from information_schema.columns join information_schema.tables
using (table_schema, table_name)
where table_schema = 'referrals' and table_type = 'BASE TABLE' and is_generated = 'NEVER' group by 1
"""
"""With the columns that can be written."""


@dataclass
class Integrator:
    """Follows one organisation's feed over HTTP and keeps where each referral stands. Asks nothing else."""

    world: World
    organisation: str
    stands: dict[str, Any] = field(default_factory=dict)
    cursor: str = "1-0"
    resumed: list[str] = field(default_factory=list)
    """Where it was told to begin again."""

    async def follow(self) -> None:
        """Go on for ever, whatever is lost."""
        while True:
            try:
                await self._read()
            except (httpx.HTTPError, SSEError):
                await asyncio.sleep(0.1)

    async def _read(self) -> None:
        headers = self.world.headers(self.organisation) | {"Last-Event-ID": self.cursor}
        url = f"{self.world.system.url(self.world.referrals)}/events?standings=true"
        async with aconnect_sse(self.world.client, "GET", url, headers=headers) as source:
            if source.response.status_code == httpx.codes.GONE:
                await source.response.aread()
                self.cursor = source.response.json()["resume"]
                self.resumed.append(self.cursor)
                self.stands.clear()
                return
            source.response.raise_for_status()
            async for block in source.aiter_sse():
                if block.event == "standing":
                    standing = block.json()
                    self.stands[standing["id"]] = standing
                    continue
                if block.event == "booking.withdrawn":
                    self._lose(block.json())
                self.cursor = block.id

    def _lose(self, withdrawn: dict[str, Any]) -> None:
        """A receiver whose booking is withdrawn is on the referral no more, unless a standing says so."""
        standing = self.stands.get(withdrawn["subject"])
        if (
            standing is not None
            and standing["referrer"] != self.organisation
            and standing["reference"] == withdrawn["data"]["reference"]
        ):
            del self.stands[withdrawn["subject"]]


@dataclass
class Writers:
    """Those who refer and act, each under a key until it is answered."""

    world: World
    answers: int = 0

    async def live(self, course: tuple[Step, ...]) -> str:
        """A referral and what becomes of it; returns its id."""
        submission = incident_of("palliative").submission.model_dump(mode="json", exclude_none=True)
        submission["accept"] = [{"service": "first"}]
        headers = self.world.headers(TRUST) | {"Idempotency-Key": str(uuid4()), "Prefer": "wait=5"}
        url = f"{self.world.system.url(self.world.gateway)}/referrals"
        answer = await self._answered(partial(self.world.client.post, url, json=submission, headers=headers), 201)
        referral: str = answer["referral_id"]
        for organisation, action, said in course:
            ask = partial(self.world.act, organisation, referral, action, key=uuid4(), prefer="wait=5", **said)
            await self._answered(ask, 200)
        return referral

    async def _answered(self, ask: Callable[[], Any], status: int) -> dict[str, Any]:
        async def once() -> httpx.Response | None:
            try:
                response = await ask()
            except httpx.HTTPError:
                return None
            return None if response.status_code in (202, 429, 503) else response

        response = await at_last(once, "there is an answer")
        assert status == response.status_code, response.text
        self.answers += 1
        answer: dict[str, Any] = response.json()
        return answer


async def test_the_feed_alone_rebuilds_every_referral(
    system: System, kafka: Kafka, database: str, prefix: str, tmp_path: Path
) -> None:
    """Under concurrent writes, with referrals and the gateway killed and an older copy of referrals put back: what each
    organisation's reader holds in the end is, member for member, what reads of all its referrals say."""
    listed = tmp_path / "directory.toml"
    listed.write_text(service("first", FIRST) + service("second", SECOND))
    load(Connection(system.url("pathways"), system.token(TRUST, "directory-editor")), listed)

    async with httpx.AsyncClient(timeout=60) as client:
        world = World(system, database, client, gateway="gateway", referrals="referrals")
        integrators = [Integrator(world, one) for one in (TRUST, FIRST, SECOND)]
        following = [asyncio.create_task(one.follow()) for one in integrators]
        writers, room = Writers(world), asyncio.Semaphore(AT_ONCE)

        async def live(number: int) -> str:
            async with room:
                return await writers.live(COURSES[number % len(COURSES)])

        async def after(answers: int) -> None:
            while writers.answers < answers and not living.done():
                await asyncio.sleep(0.01)

        living = asyncio.gather(*map(live, range(REFERRALS)))
        await after(FIRST_KILL)
        killed(system, "referrals")
        await after(COPY)
        await asyncio.to_thread(copy, database)
        await after(SECOND_KILL)
        killed(system, "gateway")
        await after(RESTORE)
        system.terminate("referrals")
        await asyncio.to_thread(put_back, database)
        await asyncio.to_thread(forget_what_was_read, kafka, prefix)
        epoch = begin_epoch(database)
        system.start("referrals")
        await after(LAST_KILL)
        killed(system, "referrals")
        referrals = await living

        read: dict[str, dict[str, Any]] = {}

        async def rebuilt() -> bool:
            read.update({one.organisation: await reads(world, one.organisation, referrals) for one in integrators})
            return read == {one.organisation: one.stands for one in integrators}

        await at_last(rebuilt, "every reader holds what is read of each referral")
        refused = await client.get(
            f"{system.url('referrals')}/referrals", params={"cursor": "1-5"}, headers=world.headers(TRUST)
        )
        for task in following:
            task.cancel()

    assert [REFERRALS, REFERRALS - REFERRALS // len(COURSES), REFERRALS // len(COURSES)] == [
        len(read[one]) for one in (TRUST, FIRST, SECOND)
    ]
    assert [[f"{epoch}-0"]] * 3 == [one.resumed for one in integrators]
    assert (410, f"{epoch}-0") == (refused.status_code, refused.json()["resume"])


def killed(system: System, name: str) -> None:
    """Signal 9, and another in its place."""
    system.kill(name)
    system.start(name)


def copy(database: str) -> None:
    """Copy the tables of referrals as they are at one moment, while they are written."""
    with psycopg.connect(database) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("create schema kept")
        for table, _ in connection.execute(TABLES).fetchall():
            name = sql.Identifier(table)
            connection.execute(sql.SQL("create table kept.{} as table referrals.{}").format(name, name))


def put_back(database: str) -> None:
    """Put the copy in the place of the tables."""
    with psycopg.connect(database) as connection:
        tables = connection.execute(TABLES).fetchall()
        names = sql.SQL(", ").join(sql.Identifier("referrals", table) for table, _ in tables)
        connection.execute("set local session_replication_role = replica")  # in any order
        connection.execute(sql.SQL("truncate {}").format(names))
        for table, columns in tables:
            put = sql.SQL("insert into {} ({columns}) overriding system value select {columns} from {}").format(
                sql.Identifier("referrals", table),
                sql.Identifier("kept", table),
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            )
            connection.execute(put)
        connection.execute("drop schema kept cascade")


async def reads(world: World, organisation: str, referrals: list[str]) -> dict[str, Any]:
    """What an organisation reads of those that are its own, without what depends on who asks and when."""
    found = {}
    for referral in referrals:
        response = await world.read(organisation, referral)
        if response.status_code == httpx.codes.OK:
            found[referral] = {name: said for name, said in response.json().items() if name not in OF_THE_MOMENT}
        elif response.status_code != httpx.codes.NOT_FOUND:
            return {}  # not ready yet
    return found
