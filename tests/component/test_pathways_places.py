"""Places on a real PostgreSQL: an open postcode table, loaded whole over HTTP, and asked for positions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from services.chassis.database import AUDIT, OUTBOX, Database
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.service import Service as Hosted
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.pathways.places_http import routes
from services.pathways.postcodes import Postcodes
from services.pathways.service import MIGRATIONS

pytestmark = pytest.mark.backing

POSTCODES = "pcds,doterm,lat,long\nNG7 1AA,,52.9500,-1.1700\nNG7 1AB,,52.9700,-1.1900\nYO1 7HH,,53.9600,-1.0800\n"
OUTCODES = "outcode,latitude,longitude\nNG7,52.9600,-1.1800\nTR1,50.2600,-5.0500\n"


@dataclass
class Places:
    """The routes of places, as a caller sees them."""

    client: httpx.AsyncClient
    signing: Path
    database: Database

    def token(self, role: str) -> dict[str, str]:
        """The header of a caller of this role."""
        token = sign(self.signing, organisation="ONW01", practitioner="editor-1", role=role, now=datetime.now(UTC))
        return {"authorization": f"Bearer {token}"}

    async def load(self, table: str | bytes, role: str = "directory-editor") -> httpx.Response:
        """Post a table."""
        return await self.client.post("/places/import", content=table, headers=self.token(role))

    async def find(self, asked: str) -> httpx.Response:
        """Ask for a place."""
        return await self.client.get("/places", params={"q": asked}, headers=self.token("paramedic"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def places(database: str, keys: tuple[Path, Path]) -> AsyncIterator[Places]:
    """Places on this test's database."""
    signing, public = keys
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", database_url=database, keys_file=public)
    store = Database(settings, "pathways", MIGRATIONS, OUTBOX, AUDIT)
    store.migrate()
    await store.start()
    hosted = Hosted("pathways", settings, database=store)
    hosted.serves(routes(Postcodes(store)))
    app = create_app([hosted], Verifier.from_file(public))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pathways") as client:
        yield Places(client, signing, store)
    await store.stop()


async def test_a_postcode_without_a_table_says_how_to_load_one(places: Places) -> None:
    """A town needs no table; a postcode and an outcode do, and the answer says which and how."""
    assert {"name": "Lincoln", "kind": "town", "latitude": 53.2268, "longitude": -0.5379} == (
        await places.find("lincoln")
    ).json()
    for asked in ("NG7 1AA", "NG7"):
        answer = await places.find(asked)
        assert (409, "No postcode table") == (answer.status_code, answer.json()["title"])
        assert "onward places load FILE" in answer.json()["detail"]


async def test_postcodes_and_their_outcodes_have_positions(places: Places) -> None:
    """Of a table of whole postcodes, an outcode is the middle of its postcodes."""
    assert {"postcodes": 3, "outcodes": 2} == (await places.load(POSTCODES)).json()
    assert {"name": "NG7 1AA", "kind": "postcode", "latitude": 52.95, "longitude": -1.17} == (
        await places.find("ng71aa")
    ).json()
    outcode = (await places.find("NG7")).json()
    assert ("NG7", "outcode", 52.96, -1.18) == (
        outcode["name"],
        outcode["kind"],
        round(outcode["latitude"], 6),
        round(outcode["longitude"], 6),
    )


async def test_an_unknown_postcode_is_not_guessed(places: Places) -> None:
    """Where the table has its outcode, the answer says so, and leaves it to the caller."""
    await places.load(POSTCODES)
    near, far = await places.find("NG7 9ZZ"), await places.find("ZE1 9ZZ")
    assert (404, True) == (near.status_code, "It has its outcode, NG7" in near.json()["detail"])
    assert (404, True) == (far.status_code, "does not have this postcode. Load a newer one" in far.json()["detail"])


async def test_a_table_takes_the_place_of_the_one_before(places: Places) -> None:
    """What the new one lacks is gone; loading it again changes nothing."""
    await places.load(POSTCODES)
    assert {"postcodes": 0, "outcodes": 2} == (await places.load(OUTCODES)).json()
    assert {"postcodes": 0, "outcodes": 2} == (await places.load(OUTCODES)).json()
    assert [404, 200] == [(await places.find(asked)).status_code for asked in ("NG7 1AA", "TR1")]


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        (OUTCODES + "NG8,52.96\n", 4, "it has 2 columns of 3: is it half a file?"),
        (OUTCODES + "NG7,52.96,-1.18\n", None, "a code stands in it more than once: Key (code)=(NG7) is duplicated."),
        (OUTCODES + "NG8,-1.18,52.96\n", 4, "the position is not in the United Kingdom"),
    ],
)
async def test_a_faulty_table_changes_nothing(places: Places, table: str, line: int | None, message: str) -> None:
    """It is refused with the line and the fault, and the table before it stands."""
    await places.load(POSTCODES)
    answer = await places.load(table)
    assert 422 == answer.status_code
    [fault] = answer.json()["faults"]
    assert (line, message) == (fault["line"], fault["message"][: len(message)])
    assert 200 == (await places.find("NG7 1AA")).status_code


async def test_only_an_editor_loads(places: Places) -> None:
    """Any other role is refused, and nothing is kept."""
    assert 403 == (await places.load(OUTCODES, role="paramedic")).status_code
    assert 409 == (await places.find("TR1")).status_code


async def test_two_loads_at_once_leave_one_whole_table(places: Places) -> None:
    """One after the other; lookups go on meanwhile."""
    await places.load(POSTCODES)
    loaded = await asyncio.gather(*(places.load(table) for table in (OUTCODES, POSTCODES) * 2))
    assert [200] * 4 == [answer.status_code for answer in loaded]
    assert 2 == await places.database.pool.fetchval("select count(*) from places where length(code) <= 4")


@pytest.mark.fixtures
async def test_the_outcodes_of_the_reference_material(places: Places, fixtures_folder: Path) -> None:
    """All 2,867 are loaded, and one that is known is where it should be."""
    loaded = await places.load((fixtures_folder / "places" / "outcodes.csv").read_bytes())
    assert {"postcodes": 0, "outcodes": 2867} == loaded.json()
    whole = await places.load((fixtures_folder / "places" / "postcodes_of_services.csv").read_bytes())
    assert 30_000 < whole.json()["postcodes"]
    assert 51.5 == round((await places.find("SE1 7EH")).json()["latitude"], 1)
