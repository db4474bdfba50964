"""The directory on a real PostgreSQL: loaded over HTTP, versioned, and told through the outbox."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from contracts.directory import DeskListed, Service, ServiceListed
from contracts.people import Desk
from services.pathways.directory_export import write
from services.pathways.directory_file import Directory
from services.pathways.invented import invented
from services.pathways.towns import towns
from tests.pathways_examples import NOON, service
from tests.pathways_running import EDITOR, Pathways

pytestmark = pytest.mark.backing

DESK = Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960000")


def document(*services: Service, desks: tuple[Desk, ...] = ()) -> bytes:
    """A document as the command line sends it."""
    return Directory(services=services, desks=desks).model_dump_json().encode()


async def test_a_load_tells_each_entry_once(pathways: Pathways) -> None:
    """Services and desks, version 1, each under its own key; services before desks."""
    answer = await pathways.load(service("S1"), service("S2"), desks=(DESK,))
    assert {
        "services": {"added": 2, "changed": 0, "unchanged": 0, "delisted": 0},
        "desks": {"added": 1, "changed": 0, "unchanged": 0, "delisted": 0},
    } == answer
    told = await pathways.told()
    assert [("S1", ServiceListed), ("S2", ServiceListed), ("ONW01", DeskListed)] == [
        (event.partitionkey, type(event)) for event in told
    ]
    assert [service("S1"), service("S2")] == [event.data.service for event in told[:2]]
    assert (DESK, 1, NOON) == (told[2].data.desk, told[2].data.version, told[2].time)


async def test_what_stands_as_it_was_is_not_told_again(pathways: Pathways) -> None:
    """Only a changed entry is told, under its next version."""
    await pathways.load(service("S1"), service("S2"), desks=(DESK,))
    changed = DESK.model_copy(update={"telephone": "01632 960001"})
    answer = await pathways.load(service("S1"), service("S2", name="Another"), service("S3"), desks=(changed,))
    assert {"added": 1, "changed": 1, "unchanged": 1, "delisted": 0} == answer["services"]
    assert {"added": 0, "changed": 1, "unchanged": 0, "delisted": 0} == answer["desks"]
    assert [("S2", 2, True), ("S3", 1, True)] == (await pathways.listed())[2:]


async def test_nothing_is_delisted_unasked(pathways: Pathways) -> None:
    """A load of a part leaves the rest as it stands."""
    await pathways.load(service("S1"), service("S2"))
    assert {"added": 0, "changed": 0, "unchanged": 1, "delisted": 0} == (await pathways.load(service("S2")))["services"]
    assert [("S1", 1, True), ("S2", 1, True)] == await pathways.listed()


async def test_what_a_load_lacks_is_delisted_when_asked(pathways: Pathways) -> None:
    """Under its next version, once; and a later load lists it again."""
    await pathways.load(service("S1"), service("S2"))
    first = await pathways.load(service("S2", name="Another"), delist_missing=True)
    second = await pathways.load(service("S2", name="Another"), delist_missing=True)
    assert {"added": 0, "changed": 1, "unchanged": 0, "delisted": 1} == first["services"]
    assert {"added": 0, "changed": 0, "unchanged": 1, "delisted": 0} == second["services"]
    await pathways.load(service("S1"))
    assert {("S2", 2, True), ("S1", 2, False), ("S1", 3, True)} == set((await pathways.listed())[2:])


async def test_loads_at_once_give_each_version_once(pathways: Pathways) -> None:
    """Eight loads of the same services, in opposite orders, end without a deadlock; versions have no gap or double."""
    await asyncio.gather(
        *(
            pathways.load(
                *(service(f"S{number}", name=f"load {load}") for number in sorted(range(200), reverse=load % 2 == 0)),
                delist_missing=load % 2 == 0,
            )
            for load in range(8)
        )
    )
    versions: dict[str, list[int]] = {}
    for service_id, version, _ in await pathways.listed():
        versions.setdefault(service_id, []).append(version)
    assert 200 == len(versions)
    assert all(list(range(1, len(told) + 1)) == told for told in versions.values())
    for service_id, told in versions.items():
        entry = await pathways.listings.service(service_id)
        assert entry is not None
        assert told[-1] == entry.version


async def test_nothing_is_kept_that_cannot_be_told(pathways: Pathways, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and outbox are one transaction: a failure between them leaves neither."""

    async def fail(*_: Any) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(pathways.outbox, "put_json", fail)
    with pytest.raises(ConnectionResetError):
        await pathways.load(service("S1"), desks=(DESK,))
    assert await pathways.listings.service("S1") is None


async def test_a_document_is_loaded_over_http(pathways: Pathways) -> None:
    """The answer counts what was new, changed, the same and delisted, and the caller is in the audit."""
    await pathways.post(document(service("S1"), desks=(DESK,)))
    answer = await pathways.post(document(service("S2"), desks=(DESK,)), delist_missing="true")
    assert (
        200,
        {
            "services": {"added": 1, "changed": 0, "unchanged": 0, "delisted": 1},
            "desks": {"added": 0, "changed": 0, "unchanged": 1, "delisted": 0},
        },
    ) == (answer.status_code, answer.json())
    assert [("editor-1", "directory loaded", {"S1", "ONW01"}), ("editor-1", "directory loaded", {"S1", "S2"})] == (
        await pathways.audited()
    )


async def test_a_faulty_document_is_refused_whole(pathways: Pathways) -> None:
    """Every faulty entry is named by its pointer, and the good ones are not kept either."""
    body = document(service("S1"), service("S2"), desks=(DESK,))
    answer = await pathways.post(body.replace(b'"S2"', b'"S 2"').replace(b"01632 960000", b"the hub"))
    assert (422, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    faults = {fault["pointer"]: fault["message"] for fault in answer.json()["faults"]}
    assert {"/services/1/service_id", "/desks/0/telephone"} == set(faults)
    assert faults["/services/1/service_id"].startswith("service S 2: ")
    assert (None, []) == (await pathways.listings.service("S1"), await pathways.told())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"services": [{}]}'])
async def test_what_is_no_directory_is_refused(pathways: Pathways, body: bytes) -> None:
    """Whatever else is sent is a 422 that says what is wrong."""
    answer = await pathways.post(body)
    assert 422 == answer.status_code
    assert answer.json()["faults"]


async def test_only_an_editor_may_load(pathways: Pathways) -> None:
    """Another role gets 403, nobody 401, and nothing is kept."""
    body = document(service("S1"))
    refused = await pathways.post(body, role="paramedic")
    unknown = await pathways.client.post("/services/import", content=body)
    assert (403, 401) == (refused.status_code, unknown.status_code)
    assert await pathways.listings.service("S1") is None


async def test_an_entry_is_read(pathways: Pathways) -> None:
    """Anyone with a token reads an entry and its version, delisted ones too."""
    await pathways.load(service("S1"))
    await pathways.load(service("S1", active=False))
    answer = await pathways.client.get("/services/S1", headers=pathways.token("paramedic"))
    expected = {"version": 2, "service": service("S1", active=False).model_dump(mode="json")}
    assert (200, expected) == (answer.status_code, answer.json())


async def test_an_entry_that_is_not_there(pathways: Pathways) -> None:
    """404 with a token, 401 without."""
    known = await pathways.client.get("/services/NOBODY", headers=pathways.token("paramedic"))
    unknown = await pathways.client.get("/services/NOBODY")
    assert (404, 401) == (known.status_code, unknown.status_code)


async def test_the_document_is_described(pathways: Pathways) -> None:
    """The OpenAPI document resolves: the schema of a service is among its components."""
    described = (await pathways.client.get("/openapi.json")).json()
    body = described["paths"]["/services/import"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "#/components/schemas/Service" == body["properties"]["services"]["items"]["$ref"]
    assert "service_id" in described["components"]["schemas"]["Service"]["properties"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("one.jsonl", "application/x-ndjson"),
        ("one.json", "application/json; charset=utf-8"),
        ("one.csv", "text/csv"),
        ("one.fhir.json", "application/fhir+json"),
    ],
)
async def test_every_form_is_loaded_over_http(
    pathways: Pathways, tmp_path: Path, name: str, media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is exported in a form and loaded again changes nothing; a changed entry alone is told, over many pages."""
    monkeypatch.setattr("services.pathways.store.PAGE", 7)
    services = [one for one in invented(towns(), 30, 1) if isinstance(one, Service)]
    await pathways.load(*services)
    answer = await pathways.client.get("/services/export", headers=pathways.token("paramedic"))
    assert [one.model_dump_json() for one in services] == answer.text.splitlines()
    [file, *_] = write((Service.model_validate_json(line) for line in answer.text.splitlines()), tmp_path / name)
    headers = pathways.token(EDITOR.role) | {"content-type": media_type}
    again = await pathways.client.post("/services/import", content=file.read_bytes(), headers=headers)
    assert {"added": 0, "changed": 0, "unchanged": 30, "delisted": 0} == again.json()["services"]
    changed = file.read_text().replace(services[4].name, "Another")
    once = await pathways.client.post("/services/import", content=changed, headers=headers)
    assert {"added": 0, "changed": 1, "unchanged": 29, "delisted": 0} == once.json()["services"]
    told = await pathways.listed()
    assert [(one.service_id, 1, True) for one in services] == told[:30]
    assert [(services[4].service_id, 2, True)] == told[30:]


@pytest.mark.parametrize(
    "last",
    [b'{"service_id": "S2", "name": "cut o', b"not UTF-8: \xff\n", b'{"service_id": "S 2"}\n', b""],
)
async def test_nothing_of_a_faulty_file_is_kept(pathways: Pathways, last: bytes) -> None:
    """However many sound entries stand before the fault, and whatever it is: 422, nothing stored, nothing told."""
    sound = b"".join(service(f"S1{n}").model_dump_json().encode() + b"\n" for n in range(50))
    body = sound + (last or service("S10").model_dump_json().encode())
    headers = pathways.token(EDITOR.role) | {"content-type": "application/jsonl"}
    answer = await pathways.client.post("/services/import", content=body, headers=headers)
    assert (422, {51}) == (answer.status_code, {fault["line"] for fault in answer.json()["faults"]})
    assert (0, []) == (await pathways.database.pool.fetchval("select count(*) from services"), await pathways.told())


async def test_an_unknown_form_is_refused(pathways: Pathways) -> None:
    """415, with the forms that there are."""
    headers = pathways.token(EDITOR.role) | {"content-type": "application/toml"}
    answer = await pathways.client.post("/services/import", content=b"", headers=headers)
    assert (415, True) == (answer.status_code, "text/csv" in answer.json()["detail"])


async def test_what_is_delisted_reads_as_it_was_listed(pathways: Pathways) -> None:
    """All but the one attribute, though its name holds the very words of it."""
    entry = service("S1", name='"active":true')
    await pathways.load(entry)
    await pathways.load(service("S2"), delist_missing=True)
    kept = await pathways.listings.service("S1")
    assert kept is not None
    assert (2, entry.model_copy(update={"active": False})) == (kept.version, kept.service)
