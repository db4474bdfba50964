"""Places on a real PostgreSQL: an open postcode table, loaded whole over HTTP, and asked for positions."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.pathways_running import Pathways

pytestmark = pytest.mark.backing

POSTCODES = "pcds,doterm,lat,long\nNG7 1AA,,52.9500,-1.1700\nNG7 1AB,,52.9700,-1.1900\nYO1 7HH,,53.9600,-1.0800\n"
OUTCODES = "outcode,latitude,longitude\nNG7,52.9600,-1.1800\nTR1,50.2600,-5.0500\n"


async def load(pathways: Pathways, table: str | bytes, role: str = "directory-editor") -> httpx.Response:
    """Post a table."""
    headers = pathways.token(role) | {"content-type": "text/csv"}
    return await pathways.client.post("/places/import", content=table, headers=headers)


async def find(pathways: Pathways, asked: str) -> httpx.Response:
    """Ask for a place."""
    return await pathways.client.get("/places", params={"q": asked}, headers=pathways.token("paramedic"))


async def test_a_postcode_without_a_table_says_how_to_load_one(pathways: Pathways) -> None:
    """A town needs no table; a postcode and an outcode do, and the answer says which and how."""
    assert {"name": "Lincoln", "kind": "town", "latitude": 53.2268, "longitude": -0.5379} == (
        await find(pathways, "lincoln")
    ).json()
    for asked in ("NG7 1AA", "NG7"):
        answer = await find(pathways, asked)
        assert (409, "No postcode table") == (answer.status_code, answer.json()["title"])
        assert "onward places load FILE" in answer.json()["detail"]


async def test_postcodes_and_their_outcodes_have_positions(pathways: Pathways) -> None:
    """Of a table of whole postcodes, an outcode is the middle of its postcodes."""
    assert {"postcodes": 3, "outcodes": 2} == (await load(pathways, POSTCODES)).json()
    assert {"name": "NG7 1AA", "kind": "postcode", "latitude": 52.95, "longitude": -1.17} == (
        await find(pathways, "ng71aa")
    ).json()
    outcode = (await find(pathways, "NG7")).json()
    assert ("NG7", "outcode", 52.96, -1.18) == (
        outcode["name"],
        outcode["kind"],
        round(outcode["latitude"], 6),
        round(outcode["longitude"], 6),
    )


async def test_an_unknown_postcode_is_not_guessed(pathways: Pathways) -> None:
    """Where the table has its outcode, the answer says so, and leaves it to the caller."""
    await load(pathways, POSTCODES)
    near, far = await find(pathways, "NG7 9ZZ"), await find(pathways, "ZE1 9ZZ")
    assert (404, True) == (near.status_code, "It has its outcode, NG7" in near.json()["detail"])
    assert (404, True) == (far.status_code, "does not have this postcode. Load a newer one" in far.json()["detail"])


async def test_a_table_takes_the_place_of_the_one_before(pathways: Pathways) -> None:
    """What the new one lacks is gone; loading it again changes nothing."""
    await load(pathways, POSTCODES)
    assert {"postcodes": 0, "outcodes": 2} == (await load(pathways, OUTCODES)).json()
    assert {"postcodes": 0, "outcodes": 2} == (await load(pathways, OUTCODES)).json()
    assert [404, 200] == [(await find(pathways, asked)).status_code for asked in ("NG7 1AA", "TR1")]


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        (OUTCODES + "NG8,52.96\n", 4, "it has 2 columns of 3: is it half a file?"),
        (OUTCODES + "NG7,52.96,-1.18\n", None, "a code stands in it more than once: Key (code)=(NG7) is duplicated."),
        (OUTCODES + "NG8,-1.18,52.96\n", 4, "the position is not in the United Kingdom"),
    ],
)
async def test_a_faulty_table_changes_nothing(pathways: Pathways, table: str, line: int | None, message: str) -> None:
    """It is refused with the line and the fault, and the table before it stands."""
    await load(pathways, POSTCODES)
    answer = await load(pathways, table)
    assert 422 == answer.status_code
    [fault] = answer.json()["faults"]
    assert (line, message) == (fault["line"], fault["message"][: len(message)])
    assert 200 == (await find(pathways, "NG7 1AA")).status_code


async def test_only_an_editor_loads(pathways: Pathways) -> None:
    """Any other role is refused, and nothing is kept."""
    assert 403 == (await load(pathways, OUTCODES, role="paramedic")).status_code
    assert 409 == (await find(pathways, "TR1")).status_code


async def test_two_loads_at_once_leave_one_whole_table(pathways: Pathways) -> None:
    """One after the other; lookups go on meanwhile."""
    await load(pathways, POSTCODES)
    loaded = await asyncio.gather(*(load(pathways, table) for table in (OUTCODES, POSTCODES) * 2))
    assert [200] * 4 == [answer.status_code for answer in loaded]
    assert 2 == await pathways.database.pool.fetchval("select count(*) from places where length(code) <= 4")


@pytest.mark.fixtures
async def test_the_outcodes_of_the_reference_material(pathways: Pathways, fixtures_folder: Path) -> None:
    """All 2,867 are loaded, and one that is known is where it should be."""
    loaded = await load(pathways, (fixtures_folder / "places" / "outcodes.csv").read_bytes())
    assert {"postcodes": 0, "outcodes": 2867} == loaded.json()
    whole = await load(pathways, (fixtures_folder / "places" / "postcodes_of_services.csv").read_bytes())
    assert 30_000 < whole.json()["postcodes"]
    assert 51.5 == round((await find(pathways, "SE1 7EH")).json()["latitude"], 1)
