"""Dead letters from end to end: buried, on a worklist, looked at by an operator, and sent again to one reader alone."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from contracts.envelope import Event
from contracts.placements import BookingRequested
from contracts.topics import Topic
from services.chassis import topics
from services.chassis.failures import Poison
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.cli.commands import app
from services.referrals.service import build
from tests.chassis_examples import admin_of, everything_on, hosted
from tests.referrals_examples import DESK, RECEIVER, REFERRER, placed

pytestmark = pytest.mark.backing


@dataclass
class System:
    """Referrals over real HTTP, and readers of placements that refuse what they are told to."""

    settings: Settings
    referrals: Service
    address: str
    private_key: Path
    refused: set[UUID] = field(default_factory=set)
    handled: dict[str, list[UUID]] = field(default_factory=dict)

    def reader(self, name: str) -> Service:
        """A service that reads placements."""
        service = Service(name, self.settings)
        handled = self.handled.setdefault(name, [])

        async def handler(events: Sequence[BookingRequested]) -> list[Event]:
            for event in events:
                if name == "booking" and event.id in self.refused:
                    raise Poison(event.id, "no such service")
            handled.extend(event.id for event in events)
            return []

        service.reads(Topic.PLACEMENTS, handler, BookingRequested)
        return service

    async def get(self, path: str, organisation: str = "ONWARD", role: str = "operator") -> httpx.Response:
        """The answer to a GET."""
        async with httpx.AsyncClient(base_url=self.address, timeout=30) as client:
            return await client.get(path, headers={"Authorization": f"Bearer {self.token(organisation, role)}"})

    async def onward(self, *arguments: str, organisation: str = "ONWARD") -> Result:
        """`onward dead-letters ...` as an operator."""
        command = ["dead-letters", *arguments, "--url", self.address, "--token", self.token(organisation, "operator")]
        return await asyncio.to_thread(CliRunner().invoke, app, command)

    async def waiting(self, count: int) -> list[dict[str, Any]]:
        """The dead letters that wait, once they are so many."""
        found: list[dict[str, Any]] = []

        async def so_many() -> bool:
            found[:] = (await self.get("/dead-letters")).json()["dead_letters"]
            return len(found) == count

        await until(so_many)
        return found

    async def audited(self, action: str) -> list[tuple[str, list[str]]]:
        """Who did that with what, in order."""
        rows = await self.referrals.databases[0].pool.fetch(
            "select organisation, ids from audit where action = $1 order by position", action
        )
        return [(row["organisation"], row["ids"]) for row in rows]

    def token(self, organisation: str, role: str) -> str:
        """A token that the system accepts."""
        return sign(self.private_key, organisation=organisation, practitioner="P7", role=role, now=datetime.now(UTC))


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a fact, at most half a minute."""
    async with asyncio.timeout(30):
        while not await fact():
            await asyncio.sleep(0.02)


@pytest.fixture
async def system(kafka: Kafka, prefix: str, database: str, tmp_path: Path) -> AsyncIterator[System]:
    """Every topic made, referrals ready."""
    private, public = make_keys(tmp_path)
    settings = Settings(kafka=kafka, database_url=database, keys_file=public, topic_prefix=prefix)
    async with admin_of(kafka) as admin:
        await topics.apply(admin, topics.declared(prefix))
    referrals = build(settings, {})
    for one in referrals.databases:
        await asyncio.to_thread(one.migrate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        web = create_app([referrals], Verifier.from_file(public))
        server = uvicorn.Server(uvicorn.Config(web, log_config=None, lifespan="off", http="httptools"))
        async with hosted(referrals):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            yield System(settings, referrals, f"http://127.0.0.1:{listener.getsockname()[1]}", private)
            server.should_exit = True
            await serving


async def test_a_dead_letter_is_seen_explained_and_sent_again_to_its_reader_alone(
    system: System, kafka: Kafka, prefix: str
) -> None:
    """The desk has the referral on its worklist until an operator, each of whose steps is written down, sends it on."""
    referral = uuid4()
    submitted, _, requested, _ = placed(referral)[:4]
    system.refused.add(requested.id)
    async with hosted(system.reader("booking")) as booking, hosted(system.reader("pathways")):
        await booking.publisher.tell([submitted, requested])
        (dead,) = await system.waiting(1)

        async def known() -> bool:
            return bool((await system.get("/worklists/unreadable", REFERRER, "nurse")).json()["items"])

        await until(known)
        worklist = (await system.get("/worklists/unreadable", REFERRER, "nurse")).json()["items"]
        number = str(dead["number"])
        listed = await system.onward("list")
        shown = await system.onward("show", number, "--json")
        explained = await system.onward("explain", number)
        dry = await system.onward("replay", number, "--dry-run")
        assert [] == await everything_on(kafka, f"{prefix}booking.replay")
        system.refused.clear()
        replayed = await system.onward("replay", number)
        again = await system.onward("replay", number)

        async def handled() -> bool:
            return system.handled["booking"] == [requested.id]

        await until(handled)
    assert [(str(referral), "booking", DESK.model_dump())] == [
        (item["referral_id"], item["reader"], item["owner"]) for item in worklist
    ]
    assert ("booking", str(referral), "no such service") == (dead["reader"], dead["referral_id"], dead["why"])
    assert [0, 0, 0, 0, 0, 1] == [one.exit_code for one in (listed, shown, explained, dry, replayed, again)]
    assert "no such service" in listed.output
    assert json.loads(requested.to_json()) == json.loads(json.loads(shown.output)["value"])
    assert "it holds against its contract" in explained.output
    assert ("would be sent to booking" in dry.output, "sent to booking" in replayed.output) == (True, True)
    assert "sent again at" in again.output.lower()
    assert [requested.id] == system.handled["pathways"]
    assert [] == (await system.get("/worklists/unreadable", REFERRER, "nurse")).json()["items"]
    ids = [number, str(referral)]
    assert [("ONWARD", ids)] * 2 == await system.audited("read dead letter")
    assert [("ONWARD", ids)] == await system.audited("replay dead letter")


async def test_what_fails_again_is_a_new_dead_letter_with_its_history(
    system: System, kafka: Kafka, prefix: str
) -> None:
    """An unreadable record without a referral: the operator's, sent again in vain, and seen to have failed twice."""
    async with hosted(system.reader("booking")), AIOKafkaProducer(**kafka.client()) as producer:
        await producer.send_and_wait(
            f"{prefix}placements", b"\xff\x00", None, partition=3, headers=[("type", b"booking.requested"), ("x", None)]
        )
        first, own = sorted(await system.waiting(2), key=lambda one: str(one["reader"]))  # referrals could not read it
        assert ("booking", "referrals") == (first["reader"], own["reader"])
        assert 0 == (await system.onward("replay", "--reader", "booking")).exit_code
        second = next(one for one in await system.waiting(2) if one["reader"] == "booking")
    shown = (await system.get(f"/dead-letters/{second['number']}")).json()
    assert first["number"] < second["number"]
    assert (None, 2, "/wA=", True) == (
        second["referral_id"],
        second["deaths"],
        shown["value"],
        shown["value_is_base64"],
    )
    assert [f"{prefix}placements/3/0", f"{prefix}booking.replay/0/0"] == [one["origin"] for one in shown["history"]]
    assert [("type", "booking.requested"), ("x", None)] == [(one["name"], one["value"]) for one in shown["headers"]]
    buried = (await everything_on(kafka, f"{prefix}booking.dlq"))[-1]
    assert (None, b"\xff\x00") == (buried.key, buried.value)


async def test_a_dead_letter_that_is_buried_twice_is_kept_once(system: System, kafka: Kafka, prefix: str) -> None:
    """A batch that fails after its dead were buried buries them again; two records of one content are two."""
    headers = [("dead-because", b"not JSON"), ("dead-origin", f"{prefix}triage/0/5".encode())]
    other = [("dead-because", b"not JSON"), ("dead-origin", f"{prefix}triage/0/6".encode())]
    async with AIOKafkaProducer(**kafka.client()) as producer:
        for one in (headers, headers, other, [("odd\0", b"\xff")]):
            await producer.send_and_wait(f"{prefix}pathways.dlq", b"junk", b"k", partition=0, headers=one)
    found = await system.waiting(3)
    assert [f"{prefix}triage/0/5", f"{prefix}triage/0/6", ""] == [one["origin"] for one in found]


async def test_only_the_operator_of_the_system_sees_dead_letters(system: System) -> None:
    """Nobody can say whose a record is that cannot be read: the role alone is not enough, nor the organisation."""
    answers = [
        await system.get(path, *who)
        for path in ("/dead-letters", "/dead-letters/1")
        for who in (("ONWARD", "nurse"), (RECEIVER, "operator"))
    ]
    refused = await system.onward("list", organisation=RECEIVER)
    assert [403] * 4 == [answer.status_code for answer in answers]
    assert 404 == (await system.get("/dead-letters/1")).status_code
    assert 1 == refused.exit_code
