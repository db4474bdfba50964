"""Booking under stress: replicas come and go, sessions are cut, a receiver is moody, and people change their minds."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.bookings import BookingConfirmed
from contracts.envelope import Event
from contracts.placements import BookingRequested
from services.booking.service import build
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.topics import apply, declared
from tests.booking_processes import FAULTS, stranger
from tests.booking_requests import listed, requested, service, session, withdrawn
from tests.chassis_examples import admin_of, everything_on, hosted, settings
from tests.component.test_booking_elsewhere import moody
from tests.component.test_booking_waiting import cancelled
from tests.diaries_elsewhere import Receiver, receiver

pytestmark = [pytest.mark.backing, pytest.mark.faults]

OURS, THEIRS = ("S-1", "S-2"), ("R-1", "R-2")
PLACEMENTS = 400
ENVIRON = {
    "ONWARD_RECEIVER_CALL_SECONDS": "0.5",
    "ONWARD_RECEIVER_ASK_SECONDS": "2",
    "ONWARD_RECEIVER_PATIENCE_SECONDS": "5",
    "ONWARD_RECEIVER_LEFT_ALONE_SECONDS": "1",
    "ONWARD_RECEIVER_QUIET_SECONDS": "3",
}
CUT = """
select count(pg_terminate_backend(pid)) from (
    select pid from pg_stat_activity
    where application_name = 'onward-booking' and datname = current_database() and pid <> pg_backend_pid()
    order by random() limit 3
) sessions
"""
LEFT = "select (select count(*) from asking) + (select count(*) from elsewhere where state = 'undoing')"


def asked_for(chance: random.Random) -> list[BookingRequested]:
    """Placements with candidates here and elsewhere; some may wait for a while."""
    now = datetime.now(UTC)
    return [
        requested(
            number,
            *chance.sample([*OURS, *THEIRS], 3),
            time=now,
            answer_by=now + timedelta(seconds=60),
            minutes=200,
            wait_until=now + timedelta(seconds=60) if chance.random() < 0.2 else None,
        )
        for number in range(1, PLACEMENTS + 1)
    ]


class Replicas:
    """Processes of booking in one group: whoever comes or goes makes the others share anew."""

    def __init__(self, kafka: Kafka, database: str, prefix: str) -> None:
        self._given = settings(kafka, database, prefix)
        self._running: list[AsyncExitStack] = []

    async def come(self) -> None:
        """One more."""
        one = build(self._given, ENVIRON)
        for kept in one.databases:
            await asyncio.to_thread(kept.migrate)
        stack = AsyncExitStack()
        await stack.enter_async_context(hosted(one))
        self._running.append(stack)

    async def go(self) -> None:
        """The oldest leaves."""
        await self._running.pop(0).aclose()

    async def stop(self) -> None:
        """All leave."""
        while self._running:
            await self.go()


@asynccontextmanager
async def replicas(kafka: Kafka, database: str, prefix: str) -> AsyncIterator[Replicas]:
    """Three, and every topic."""
    async with admin_of(kafka) as admin:
        await apply(admin, declared(prefix))
    several = Replicas(kafka, database, prefix)
    try:
        for _ in range(3):
            await several.come()
        yield several
    finally:
        await several.stop()


async def told(kafka: Kafka, prefix: str) -> list[Any]:
    """Everything on the topic of booking."""
    records = await everything_on(kafka, f"{prefix}bookings")
    return [Event.KNOWN[dict(record.headers)["type"].decode()].read(record.value) for record in records]


def outcomes_of(events: list[Any]) -> dict[UUID, set[bytes]]:
    """What was told of each placement."""
    by_placement: dict[UUID, set[bytes]] = {}
    for event in events:
        if event.type in ("booking.confirmed", "booking.exhausted"):
            by_placement.setdefault(event.data.brief.placement_id, set()).add(event.to_json())
    return by_placement


def confirmed_of(events: list[Any]) -> list[BookingConfirmed]:
    """Those that got a place."""
    return [one for one in events if one.type == "booking.confirmed"]


class People:
    """Referrals are cancelled and places withdrawn while they are being looked for."""

    def __init__(self, sender: Service, chance: random.Random, asked: list[BookingRequested]) -> None:
        self._sender = sender
        self._chance = chance
        self._over = {one.subject for one in chance.sample(asked, PLACEMENTS // 5)}
        self._asked = {one.subject: one for one in asked}
        self.withdrawn: set[str] = set()
        """References."""

    async def cancel(self) -> None:
        """Some referrals, at any time."""
        for referral in sorted(self._over):
            await self._sender.publisher.tell([cancelled(self._asked[referral], was="placed")])
            await asyncio.sleep(self._chance.uniform(0, 0.1))

    async def withdraw(self, confirmed: list[BookingConfirmed]) -> None:
        """What is confirmed for those, as referrals does, and some more."""
        for one in confirmed:
            reference = one.data.reference
            wanted = one.subject not in self._over and one.data.brief.placement_id.int % 4
            if reference not in self.withdrawn and not wanted:
                self.withdrawn.add(reference)
                await self._sender.publisher.tell([withdrawn(one)])

    async def are_served(self, events: list[Any]) -> bool:
        """Whether each placement is told, and all that is withdrawn by now is released."""
        await self.withdraw(confirmed_of(events))
        released = {one.data.reference for one in events if one.type == "booking.released"}
        return len(outcomes_of(events)) == PLACEMENTS and self.withdrawn == released


async def test_replicas_come_and_go_amid_cut_sessions_a_moody_receiver_and_changed_minds(
    kafka: Kafka, database: str, prefix: str
) -> None:
    """One outcome for each placement, as it is stored; what is withdrawn is released once; and the receiver's book is
    ours: one booking for each of those that we hold there, none for anybody else."""
    chance = random.Random(12)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    async with (
        receiver() as theirs,
        replicas(kafka, database, prefix) as running,
        hosted(Service("pathways", settings(kafka, prefix=prefix))) as sender,
        stranger(database) as onlooker,
    ):
        theirs.offers(*(now + timedelta(minutes=30 * number) for number in range(12)), capacity=12)
        theirs.answers = moody(chance)
        diaries = [service(name, session(capacity=6)) for name in OURS] + [theirs.lists(name) for name in THEIRS]
        await sender.publisher.tell([listed(one) for one in diaries])
        asked = asked_for(chance)
        people = People(sender, chance, asked)

        async def ask() -> None:
            for first in range(0, len(asked), 10):
                await sender.publisher.tell(asked[first : first + 10])
                await asyncio.sleep(0.2)

        async def harm() -> None:
            for number in range(9):
                await asyncio.sleep(1)
                if number % 3 == 2:
                    await running.come()
                    await running.go()
                else:
                    await onlooker.fetch(CUT)

        calm = asyncio.Event()

        async def look() -> None:
            while not calm.is_set():
                await people.withdraw(confirmed_of(await told(kafka, prefix)))
                await asyncio.sleep(0.3)

        async def disturb() -> None:
            await asyncio.gather(ask(), harm(), people.cancel())
            calm.set()

        await asyncio.gather(disturb(), look())
        theirs.answers = None
        async with asyncio.timeout(200):
            while not await people.are_served(await told(kafka, prefix)) or await onlooker.fetchval(LEFT):
                await asyncio.sleep(0.5)
        await running.stop()
        await hold(kafka, prefix, onlooker, theirs)


async def hold(kafka: Kafka, prefix: str, onlooker: Any, theirs: Receiver) -> None:
    """The books at the end, against each other."""
    stored = {row["placement_id"]: {row["told"].encode()} for row in await onlooker.fetch("select * from placements")}
    assert stored == outcomes_of(await told(kafka, prefix))
    held = "select elsewhere from bookings where elsewhere is not null and released_at is null"
    alive = {row["elsewhere"] for row in await onlooker.fetch(held)}
    assert alive == set(theirs.alive)
    assert len(alive) > 0
    assert all(theirs.taken(starts_at) <= capacity for starts_at, capacity in theirs.capacity.items())
    wrong = {sentence: await onlooker.fetch(query) for sentence, query in FAULTS.items()}
    assert [] == [sentence for sentence, rows in wrong.items() if rows]
    assert [] == await everything_on(kafka, f"{prefix}booking.dlq")
