"""One referral, from a crew's device to the messages downstream."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import psycopg
import pytest

from services.cli.connection import TRUST, Connection
from services.cli.watching import BEGINNING, follow
from services.device.incidents import Incident
from services.device.shift import shift
from tests.journeys.conftest import Shared
from tests.journeys.sending import MIDDLE, incident_of
from tests.running import System

pytestmark = pytest.mark.backing
PATIENCE_SECONDS = 30.0


@pytest.fixture
def system(shared: Shared) -> System:
    """Every service in a process of its own, for all of these journeys."""
    return shared.system


@pytest.fixture
async def client(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A crew of the ambulance trust at the gateway."""
    headers = {
        "Authorization": f"Bearer {system.token(TRUST, 'paramedic')}",
        "Content-Type": "application/json",
    }
    async with httpx.AsyncClient(base_url=system.url("gateway"), headers=headers, timeout=20) as crew:
        yield crew


async def refer(client: httpx.AsyncClient, incident: Incident, **headers: str) -> httpx.Response:
    """Post an incident under its key."""
    body = incident.submission.model_dump_json(exclude_none=True)
    return await client.post("/referrals", content=body, headers={"Idempotency-Key": str(incident.key), **headers})


async def facts_about(system: System, referral: str, *, until: int) -> list[dict[str, Any]]:
    """Facts of the feed about a referral, once there are so many messages among them."""
    trust = Connection(system.url("referrals"), system.token(TRUST, "clinical-hub"))
    facts: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for fact in follow(trust, since=BEGINNING):
            if fact.event["subject"] == referral:
                facts.append(fact.event)
            if sum(one["type"] == "notification.sent" for one in facts) == until:
                return facts
    raise AssertionError("the feed ended")


async def test_a_stroke_is_referred_in_one_transaction_and_everyone_is_told(
    system: System, client: httpx.AsyncClient
) -> None:
    """One request is answered with where, when and why; the unit, the desk and the patient are told; it can be read."""
    response = await refer(client, incident_of("stroke"))

    answer = response.json()
    assert (201, "delivered", "very_urgent", 122) == (
        response.status_code,
        answer["outcome"],
        answer["acuity"],
        answer["service"]["type"],
    )
    assert answer["reasons"][0]["source"]
    referral = answer["referral_id"]
    facts = await facts_about(system, referral, until=3)
    flow = ["referral.submitted", "referral.triaged", "booking.requested", "booking.confirmed"]
    assert set(flow) == {fact["type"] for fact in facts} - {"notification.sent"}
    assert {"service", "referrer", "patient"} == {
        fact["data"]["audience"] for fact in facts if fact["type"] == "notification.sent"
    }
    assert 1 == len({fact["correlationid"] for fact in facts})

    read = await client.get(f"{system.url('referrals')}/referrals/{referral}")

    assert (200, "placed", answer["reference"], TRUST) == (
        read.status_code,
        read.json()["state"],
        read.json()["reference"],
        read.json()["owner"]["organisation"],
    )


async def test_one_key_is_one_referral_from_any_replica_and_after_a_restart(
    system: System, client: httpx.AsyncClient
) -> None:
    """The same key gives the same bytes from another replica and after a restart; for another body it is a 409."""
    incident = incident_of("low-risk-chest-pain")
    first = await refer(client, incident)
    assert (201, "slot_held") == (first.status_code, first.json()["outcome"])

    system.start("another-gateway", "gateway")
    await asyncio.to_thread(system.wait_until_ready)
    elsewhere = await refer(
        httpx.AsyncClient(base_url=system.url("another-gateway"), headers=client.headers, timeout=20), incident
    )
    assert 0 == await asyncio.to_thread(system.terminate, "another-gateway")
    for name in ("gateway", "booking"):
        assert 0 == await asyncio.to_thread(system.terminate, name)
        system.start(name)
    await asyncio.to_thread(system.wait_until_ready)
    after = await refer(client, incident)
    other_body = await refer(client, incident_of("fall").model_copy(update={"key": incident.key}))

    assert [(201, first.content)] * 2 == [(one.status_code, one.content) for one in (elsewhere, after)]
    assert 409 == other_body.status_code


async def test_what_takes_longer_is_202_and_the_same_key_gives_the_outcome(
    system: System, client: httpx.AsyncClient
) -> None:
    """With booking away a submission is received; when booking is back the same key gives its outcome."""
    incident = incident_of("fall")
    await asyncio.to_thread(system.terminate, "booking")

    early = await refer(client, incident, Prefer="wait=1")
    system.start("booking")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (late := await refer(client, incident)).status_code != 201:
            assert 202 == late.status_code

    assert (202, f"/referrals/{early.json()['referral_id']}") == (early.status_code, early.headers["Location"])
    assert early.json()["referral_id"] == late.json()["referral_id"]


async def test_with_booking_stopped_no_more_is_taken_in_than_can_be_answered(
    shared: Shared, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit 429, and no record; all that was taken in can be read at once, and is answered in the end."""
    system = shared.system
    await every_attempt_is_answered(shared.database)  # one that a test before left would count
    taken_in = attempts(shared.database)
    monkeypatch.setenv("ONWARD_GATEWAY_UNSETTLED_AT_ONCE", "5")
    for name in ("gateway", "booking"):
        await asyncio.to_thread(system.terminate, name)
    system.start("gateway")
    await asyncio.to_thread(system.wait_until_ready)
    now = datetime.now(UTC)
    incidents = list(islice(shift(12, [MIDDLE], lambda _: now), 6))

    answers = [await refer(client, incident, Prefer="respond-async") for incident in incidents]
    assert [202] * 5 + [429] == [one.status_code for one in answers], [one.text for one in answers]
    reads = [await client.get(f"{system.url('referrals')}{one.headers['Location']}") for one in answers[:-1]]

    assert [200] * 5 == [one.status_code for one in reads]
    assert 5 == attempts(shared.database) - taken_in

    system.start("booking")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while [201] * 6 != [(await refer(client, incident)).status_code for incident in incidents]:
            pass
    monkeypatch.undo()
    await asyncio.to_thread(system.terminate, "gateway")
    system.start("gateway")
    await asyncio.to_thread(system.wait_until_ready)


def attempts(database: str, which: LiteralString = "true") -> int:
    """How many submissions the gateway has kept; `which` is a condition in SQL."""
    with psycopg.connect(database) as connection:
        (count,) = connection.execute("select count(*) from gateway.attempts where " + which).fetchone() or (0,)
    return int(count)


async def every_attempt_is_answered(database: str) -> None:
    """Return once no attempt is without a stored answer: its sender may be told before that."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await asyncio.to_thread(attempts, database, "answer is null"):
            await asyncio.sleep(0.05)


async def test_a_faulty_submission_is_refused_with_every_fault(system: System, client: httpx.AsyncClient) -> None:
    """422 names each fault by its JSON pointer, and nothing of it is on the log."""
    body = {"patient": {"age": {"value": -1}}, "position": {"latitude": 99, "longitude": 0}, "presentation": "fall"}

    response = await client.post("/referrals", json=body, headers={"Idempotency-Key": str(uuid4())})

    assert 422 == response.status_code
    pointers = {fault["pointer"] for fault in response.json()["faults"]}
    assert {"/patient/age/value", "/position/latitude", "/accept"} <= pointers


async def test_choose_then_refer(system: System, client: httpx.AsyncClient) -> None:
    """A lookup refers nobody; the submission that accepts its second candidate by id gets that one."""
    submission = incident_of("blocked-catheter").submission
    body = submission.model_dump(mode="json", exclude_none=True)
    triaged = (await client.post(f"{system.url('triage')}/triage", json=body)).json()
    where = submission.position
    asked = {
        "latitude": where.latitude,
        "longitude": where.longitude,
        "presentation": submission.presentation,
        "type": [one["service_type"] for one in triaged["service_types"]],
        "age": 70,
        "gender": submission.patient.gender,
    }
    first, second = await candidates_with_slots(system, client, asked)

    chosen = {**body, "accept": [{"service": second["service_id"]}]}
    answer = await client.post("/referrals", json=chosen, headers={"Idempotency-Key": str(uuid4())})

    assert (201, second["service_id"]) == (answer.status_code, answer.json()["service"]["id"])

    token = system.token(first["organisation"], "site manager")
    red = await client.put(
        f"{system.url('pathways')}/services/{first['service_id']}/capacity",
        json={"capacity": "red"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert 200 == red.status_code
    async with asyncio.timeout(PATIENCE_SECONDS):
        while second["service_id"] != (found := await look_up(system, client, asked))["candidates"][0]["service_id"]:
            await asyncio.sleep(0.05)
    assert (first["service_id"], "capacity") in [(one["service_id"], one["failed"]) for one in found["near_misses"]]


async def candidates_with_slots(
    system: System, client: httpx.AsyncClient, asked: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first two candidates, once booking has told of the free slots of the first, which has some."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            first, second, *_ = (await look_up(system, client, asked))["candidates"]
            if first["free_slots"] is not None:
                assert first["free_slots"]["next_free"]
                return first, second
            await asyncio.sleep(0.05)


async def look_up(system: System, client: httpx.AsyncClient, asked: dict[str, Any]) -> Any:
    """What `GET /pathways` answers."""
    answer = await client.get(f"{system.url('pathways')}/pathways", params=asked)
    assert 200 == answer.status_code, answer.text
    return answer.json()
