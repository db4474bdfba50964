"""What Onward is measured beside does its duties: whatever a peer is asked, it loses and doubles nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from loadtests.client import Client
from loadtests.load_bench import AROUND, burst, closed
from loadtests.material import Body, incidents
from loadtests.peers import ground, processes
from loadtests.streams import templates
from loadtests.target import Target, signing
from services.backing.instance import Backing
from services.chassis.identity import make_keys
from services.chassis.kafka import Kafka
from services.device.incidents import Incident

pytestmark = pytest.mark.backing

REFERRALS = 120
ANSWERED = """
select count(*) filter (where answer::json ->> 'outcome' <> 'unplaced'),
    count(*) filter (where answer::json #>> '{service,name}' is not null)
from gateway.attempts
"""


@asynccontextmanager
async def laid(kafka: Kafka, backing: Backing, name: str, folder: Path) -> AsyncIterator[Target]:
    """The ground of a peer, and where it is to be asked."""
    private, _ = make_keys(folder)
    async with ground.laid(kafka, backing.database_url, name, 2) as database:
        yield Target("", kafka, database, signing(private), prefix=ground.prefix_of(name))


@pytest.mark.parametrize("name", ["batched", "messages"])
async def test_a_peer_works_off_a_burst(name: str, kafka: Kafka, backing: Backing, tmp_path: Path) -> None:
    """Each referral ends once and everyone is told, with little room, so that diaries fill up."""
    async with laid(kafka, backing, name, tmp_path) as target:
        peer = await asyncio.to_thread(getattr(processes, name), kafka, target.database_url)
        try:
            ended = await burst(target, templates(AROUND, 1, REFERRALS, target), REFERRALS)
        finally:
            processes.stop([peer])
    assert [] == ended.account.faults
    assert REFERRALS == ended.account.outcomes


async def test_the_batched_peer_repeats_what_it_stored(kafka: Kafka, backing: Backing, tmp_path: Path) -> None:
    """Killed amid a burst and started anew, it tells again what it had stored, and nothing twice otherwise."""
    async with laid(kafka, backing, "batched", tmp_path) as target:
        peers = [await asyncio.to_thread(processes.batched, kafka, target.database_url, batch=5)]
        try:
            under_way = asyncio.create_task(burst(target, templates(AROUND, 1, REFERRALS, target), REFERRALS))
            while not await ground.stored(target.database_url):
                await asyncio.sleep(0.01)
            peers[0].processes[0].send_signal(signal.SIGKILL)
            peers.append(await asyncio.to_thread(processes.batched, kafka, target.database_url, batch=5))
            ended = await under_way
        finally:
            processes.stop(peers)
    assert [] == ended.account.faults
    assert REFERRALS == ended.account.outcomes


async def test_the_monolith_answers_once(kafka: Kafka, backing: Backing, tmp_path: Path) -> None:
    """Under many senders each request is answered and kept once; the same key again has the same answer."""
    async with laid(kafka, backing, "monolith", tmp_path) as target:
        keys = tmp_path / "keys.json"
        peer = await asyncio.to_thread(processes.monolith, target.database_url, keys, workers=2, room=2)
        try:
            there = Target(peer.url, kafka, target.database_url, target.sign, prefix=target.prefix)
            met: list[Incident] = incidents(AROUND, 1, 50)
            asked = await closed(there, [Body.of(one.submission) for one in met], 2.0)
            async with Client.open(there.url, there.headers()) as client:
                body = Body.of(met[0].submission).json
                answers = [
                    await client.post("/referrals", body, {"Idempotency-Key": str(met[0].key)}) for _ in range(2)
                ]
        finally:
            processes.stop([peer])
    assert [] == asked.account.faults
    assert asked.account.outcomes == asked.account.sent > 0
    assert (201, answers[0].body) == (answers[1].status, answers[1].body)
    placed, named = await answered(target.database_url)
    assert placed == named > 0


async def answered(database: str) -> tuple[int, int]:
    """How many answers say that a patient was placed, and how many name the service."""
    connection = await asyncpg.connect(database)
    try:
        return tuple(await connection.fetchrow(ANSWERED))
    finally:
        await connection.close()
