"""Each service killed in turn amid referrals: nothing is lost, nothing is held twice, nobody is told twice."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from services.cli.connection import TRUST
from services.composition import SERVICES
from services.device.queue import Queue
from tests.journeys.accounting import Account, close
from tests.journeys.sending import send_all
from tests.running import System

REFERRALS = 2000
AT_ONCE = 24
DRAIN_SECONDS = 60.0


@pytest.mark.backing
@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_every_service_killed_amid_two_thousand_referrals(system: System, database: str, tmp_path: Path) -> None:
    """Signal 9 to each service in turn amid 2,000 referrals, each started again: the device's file adds up."""
    queue = Queue(tmp_path / "device.sqlite")
    token = system.token(TRUST, "paramedic")
    sending = asyncio.create_task(
        send_all(system.url("gateway"), token, queue, count=REFERRALS, at_once=AT_ONCE, seed=9)
    )
    for number, name in enumerate(SERVICES, start=1):
        await _answered(queue, number * REFERRALS // (len(SERVICES) + 2), sending)
        system.kill(name)
        system.start(name)
    await sending
    queue.close()
    await asyncio.to_thread(system.wait_until_ready)

    account = await _settled(database, queue)

    print(f"\n{account.raw_deliveries} raw deliveries of {account.messages} messages")
    assert account.faults == ()
    assert (REFERRALS, REFERRALS) == (account.sent, account.answered)


async def _answered(queue: Queue, count: int, sending: asyncio.Task[None]) -> None:
    """Wait until so many keys are answered."""
    while sum(entry.status is not None for entry in queue.entries.values()) < count:
        if sending.done():
            sending.result()
        await asyncio.sleep(0.02)


async def _settled(database: str, queue: Queue) -> Account:
    """The account once every message has left, or as it stands when the time is up."""
    with psycopg.connect(database, autocommit=True) as connection:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while close(database, queue).faults or connection.execute(DUE).fetchone() != (0,):
                    await asyncio.sleep(0.25)
        except TimeoutError:
            pass
    return close(database, queue)


DUE = "select count(*) from notification.batches where state <> 'told'"
