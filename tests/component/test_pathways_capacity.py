"""Capacity on a real PostgreSQL: reported over HTTP by the service's own organisation, kept, and told."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from contracts.directory import CapacityReported
from tests.pathways_examples import NOON, service
from tests.pathways_running import Pathways

pytestmark = pytest.mark.backing

OWN, OTHER = "ONW01", "ONW02"


async def put(pathways: Pathways, body: Any, *, service_id: str = "S1", organisation: str = OWN) -> httpx.Response:
    """Report a capacity."""
    headers = pathways.token("nurse in charge", organisation)
    return await pathways.client.put(f"/services/{service_id}/capacity", json=body, headers=headers)


async def read(pathways: Pathways, *, service_id: str = "S1", organisation: str = OWN, **query: int) -> httpx.Response:
    """Ask for capacity and history."""
    headers = pathways.token("paramedic", organisation)
    return await pathways.client.get(f"/services/{service_id}/capacity", params=query, headers=headers)


async def reports_told(pathways: Pathways) -> list[CapacityReported]:
    """Every capacity report that was told, in order."""
    return [event for event in await pathways.told() if isinstance(event, CapacityReported)]


async def test_a_report_is_answered_with_when_it_resets_and_who_made_it(pathways: Pathways) -> None:
    """Its time is that of receipt; without a reset it holds for four hours."""
    await pathways.load(service("S1"))
    answer = await put(pathways, {"capacity": "red", "notes": "No beds."})
    expected = {
        "version": 1,
        "capacity": "red",
        "reported_at": "2026-01-14T12:00:00Z",
        "resets_at": "2026-01-14T16:00:00Z",
        "reported_by": OWN,
        "practitioner": "editor-1",
        "role": "nurse in charge",
        "notes": "No beds.",
    }
    assert (200, expected) == (answer.status_code, answer.json())


async def test_each_report_is_told_under_its_next_version(pathways: Pathways) -> None:
    """With organisation and times; the person and the notes stay here."""
    await pathways.load(service("S1"), service("S2"))
    await put(pathways, {"capacity": "red", "reset_in_minutes": 15, "notes": "Sister Marsh says full."})
    pathways.now += timedelta(minutes=5)
    await put(pathways, {"capacity": "amber", "reset_in_minutes": 1440})
    await put(pathways, {"capacity": "green"}, service_id="S2")
    told = await reports_told(pathways)
    assert [
        ("S1", 1, "red", NOON, NOON + timedelta(minutes=15)),
        ("S1", 2, "amber", pathways.now, pathways.now + timedelta(minutes=1440)),
        ("S2", 1, "green", pathways.now, pathways.now + timedelta(minutes=240)),
    ] == [
        (one.partitionkey, one.data.version, one.data.capacity, one.data.reported_at, one.data.resets_at)
        for one in told
    ]
    assert {OWN} == {one.data.reported_by for one in told}
    assert not any(word in one.to_json() for one in told for word in (b"Marsh", b"editor-1", b"nurse"))


async def test_only_its_own_organisation_reports(pathways: Pathways) -> None:
    """Another's token gets 403, whatever its role; nothing is kept or told."""
    await pathways.load(service("S1"))
    refused = await put(pathways, {"capacity": "green"}, organisation=OTHER)
    assert (403, "application/problem+json") == (refused.status_code, refused.headers["content-type"])
    assert ([], []) == (await reports_told(pathways), (await read(pathways)).json()["reports"])


async def test_a_service_that_is_not_there(pathways: Pathways) -> None:
    """404, for reports and for reading; 401 without a token."""
    nobody = await pathways.client.put("/services/S1/capacity", json={"capacity": "green"})
    assert [404, 404, 401] == [
        (await put(pathways, {"capacity": "green"}, service_id="NOBODY")).status_code,
        (await read(pathways, service_id="NOBODY")).status_code,
        nobody.status_code,
    ]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"capacity": "black", "reset_in_minutes": 14, "notes": "x" * 901}, ["capacity", "reset_in_minutes", "notes"]),
        ({"capacity": "green", "reset_in_minutes": 1441}, ["reset_in_minutes"]),
        ({"capacity": "green", "reset_in_minutes": "60"}, ["reset_in_minutes"]),
        ({"capacity": "green", "note": "misspelt"}, ["note"]),
        ({"capacity": "green", "notes": "nul \x00"}, ["notes"]),
        ({}, ["capacity"]),
    ],
)
async def test_a_faulty_report_is_refused_whole(pathways: Pathways, body: Any, pointers: list[str]) -> None:
    """422 with every fault at once, and nothing is kept."""
    await pathways.load(service("S1"))
    answer = await put(pathways, body)
    assert (422, {f"/{name}" for name in pointers}) == (
        answer.status_code,
        {fault["pointer"] for fault in answer.json()["faults"]},
    )
    assert [] == await reports_told(pathways)


async def test_the_bounds_are_included(pathways: Pathways) -> None:
    """15 and 1,440 minutes, 900 characters."""
    await pathways.load(service("S1"))
    for minutes in (15, 1440):
        answer = await put(pathways, {"capacity": "green", "reset_in_minutes": minutes, "notes": "x" * 900})
        assert 200 == answer.status_code


async def test_capacity_is_read_with_its_age(pathways: Pathways) -> None:
    """Never reported is unknown; then as reported; past its reset unknown since then."""
    await pathways.load(service("S1"))
    seen = [await standing_of(pathways)]
    await put(pathways, {"capacity": "amber", "reset_in_minutes": 60})
    pathways.now += timedelta(minutes=59)
    seen.append(await standing_of(pathways))
    pathways.now += timedelta(minutes=1)
    seen.append(await standing_of(pathways))
    assert [
        ("unknown", None, None),
        ("amber", "2026-01-14T12:00:00Z", "2026-01-14T13:00:00Z"),
        ("unknown", "2026-01-14T13:00:00Z", None),
    ] == seen


async def standing_of(pathways: Pathways) -> tuple[Any, ...]:
    """Status, since and until, as another organisation reads them."""
    body = (await read(pathways, organisation=OTHER)).json()
    return body["status"], body["since"], body["until"]


async def test_the_history_is_paged_newest_first(pathways: Pathways) -> None:
    """Each report once, whatever is reported meanwhile."""
    await pathways.load(service("S1"))
    for capacity in ("green", "amber", "red", "green", "amber"):
        await put(pathways, {"capacity": capacity})
    first = (await read(pathways, limit=2)).json()
    await put(pathways, {"capacity": "red"})
    second = (await read(pathways, limit=2, before=first["before"])).json()
    third = (await read(pathways, limit=2, before=second["before"])).json()
    assert [[5, 4], [3, 2], [1]] == [[one["version"] for one in page["reports"]] for page in (first, second, third)]
    assert third["before"] is None


async def test_who_reported_is_for_its_own_organisation(pathways: Pathways) -> None:
    """Others read status and times, without the person and the notes."""
    await pathways.load(service("S1"))
    await put(pathways, {"capacity": "red", "notes": "Norovirus on the ward."})
    own = (await read(pathways)).json()["reports"][0]
    others = (await read(pathways, organisation=OTHER)).json()["reports"][0]
    assert ("editor-1", "nurse in charge", "Norovirus on the ward.") == (own["practitioner"], own["role"], own["notes"])
    assert own | {"practitioner": None, "role": None, "notes": None} == others


async def test_reports_and_reads_are_in_the_audit(pathways: Pathways) -> None:
    """One row for each answer."""
    await pathways.load(service("S1"))
    await put(pathways, {"capacity": "red"})
    await read(pathways)
    assert [("editor-1", "capacity reported", {"S1"}), ("editor-1", "capacity read", {"S1"})] == (
        await pathways.audited()
    )[1:]


async def test_reports_at_once_give_each_version_once(pathways: Pathways) -> None:
    """They wait for each other at the service's row, and the outbox has them in their order."""
    await pathways.load(service("S1"))
    await asyncio.gather(*(put(pathways, {"capacity": "green"}) for _ in range(20)))
    assert list(range(1, 21)) == [one.data.version for one in await reports_told(pathways)]


async def test_nothing_is_kept_that_cannot_be_told(pathways: Pathways, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table and outbox are one transaction."""

    async def fail(*_: Any) -> None:
        raise ConnectionResetError

    await pathways.load(service("S1"))
    monkeypatch.setattr(pathways.outbox, "put", fail)
    assert 503 == (await put(pathways, {"capacity": "red"})).status_code
    assert [] == (await read(pathways)).json()["reports"]
