"""The one who decides killed amid actions: the sender's journal agrees with what was decided, told and stored."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.topics import PARTITIONS, Topic
from services.chassis.kafka import Kafka
from services.cli.connection import TRUST
from tests.journeys.acting import World, at_last
from tests.running import System

pytestmark = [pytest.mark.backing, pytest.mark.faults, pytest.mark.timeout(600)]

REFERRALS = 100
AT_ONCE = 20
KILL_AT = (100, 250, 400)
"""After so many answers."""

SERVICE, RECEIVER = "elver-vale-ucr", "ONW04"
SEEN: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (RECEIVER, "receive", {}),
    (RECEIVER, "accept", {}),
    (RECEIVER, "begin_care", {}),
    (RECEIVER, "see", {}),
    (RECEIVER, "give_outcome", {"kind": "advice-given"}),
)
TURNED_AWAY: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (RECEIVER, "receive", {}),
    (RECEIVER, "reject", {"reason": "no-capacity"}),
    (TRUST, "cancel", {"reason": "patient-better"}),
    (TRUST, "leave_message", {"words": "The patient is better."}),
    (TRUST, "rebook", {"accept": "any"}),  # refused: it is over
)

ATTEMPTS = "select key, status, answer from gateway.attempts where kind = 'action'"

DECIDED = """
select a.key, count(f.event_id) from gateway.attempts a
left join referrals.facts f on f.referral_id = a.referral_id
    and f.type like 'referral.%%' and f.type <> 'referral.action-requested'
    and (f.body::json ->> 'correlationid')::uuid = a.event_id
where a.kind = 'action' group by a.key
"""
"""How many facts answer each action."""

TOLD = """
select event_id::text from referrals.facts
where (type like 'referral.%%' and type not in ('referral.submitted', 'referral.triaged', 'referral.action-requested'))
    or type in ('placement.requested', 'booking.withdrawn')
"""
"""What referrals stored to be told."""

STATES = "select state, count(*) from referrals.referrals group by state"


@dataclass
class Journal:
    """What the sender asked for, by its key, and what it was answered at last."""

    answers: dict[UUID, tuple[int, str]] = field(default_factory=dict)

    async def ask(self, world: World, referral: str, organisation: str, action: str, said: dict[str, Any]) -> int:
        """Ask under one key until there is an answer; returns its status."""
        key = uuid4()

        async def send() -> httpx.Response | None:
            try:
                response = await world.act(organisation, referral, action, key=key, prefer="wait=5", **said)
            except httpx.HTTPError:
                return None
            return None if response.status_code in (202, 429, 503) else response

        response = await at_last(send, f"{action} is answered")
        self.answers[key] = response.status_code, response.text
        return int(response.status_code)


async def test_referrals_killed_amid_five_hundred_actions(
    system: System, kafka: Kafka, database: str, prefix: str
) -> None:
    """Signal 9 three times: each key has one answer, each action one fact, on the log and in the tables alike; each
    referral stands where its last action left it, and what was turned away holds nothing."""
    async with httpx.AsyncClient(timeout=60) as client:
        world = World(system, database, client, gateway="gateway", referrals="referrals")
        referrals = [str((await world.placed(SERVICE))["referral_id"]) for _ in range(REFERRALS)]
        journal, room = Journal(), asyncio.Semaphore(AT_ONCE)

        async def live(number: int, referral: str) -> list[int]:
            async with room:
                course = TURNED_AWAY if number % 5 == 0 else SEEN
                return [await journal.ask(world, referral, *step) for step in course]

        living = asyncio.gather(*(live(number, referral) for number, referral in enumerate(referrals)))
        for answers in KILL_AT:
            while len(journal.answers) < answers and not living.done():
                await asyncio.sleep(0.01)
            system.kill("referrals")
            system.start("referrals")
        statuses = await living
        await asyncio.to_thread(system.wait_until_ready)
        turned_away = referrals[::5]
        await world.holds_nothing(*turned_away)

        stored = await at_last(lambda: whole(world), "the gateway has every answer")
        told = await ids_on_the_log(kafka, prefix)

    assert [[200, 200, 200, 200, 409] if n % 5 == 0 else [200] * 5 for n in range(REFERRALS)] == statuses
    assert journal.answers == stored
    assert dict.fromkeys(journal.answers, 1) == dict(world.asked(DECIDED))
    assert {one for (one,) in world.asked(TOLD)} == told
    assert {"outcome_given": REFERRALS - len(turned_away), "cancelled": len(turned_away)} == dict(world.asked(STATES))


async def whole(world: World) -> dict[UUID, tuple[int, str]] | None:
    """The gateway's answers by their keys, once none is missing."""
    rows = await asyncio.to_thread(world.asked, ATTEMPTS)
    if any(answer is None for _, _, answer in rows):
        return None
    assert [] == [key for key, count in Counter(key for key, _, _ in rows).items() if count > 1]
    return {key: (status, answer) for key, status, answer in rows}


async def ids_on_the_log(kafka: Kafka, prefix: str) -> set[str]:
    """The ids of all facts that referrals has told."""
    consumer = AIOKafkaConsumer(**kafka.client(), enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(f"{prefix}{Topic.REFERRALS}", number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends, ids = await consumer.end_offsets(partitions), set()
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, ()):
                    ids.add(json.loads(record.value)["id"])
        return ids
    finally:
        await consumer.stop()
