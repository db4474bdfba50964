"""`onward places`: positions of towns and postcodes, and the open table that postcodes need."""

from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from contracts.people import Position
from services.cli import local
from services.cli.connection import TRUST, AsJson, Connection, Folder, Organisation, Token, Url, answered, connect
from services.cli.speaking import print_json, say

LOAD_SECONDS = 1800.0
"""The whole ONS Postcode Directory has 2.7 million rows."""

app = typer.Typer(help="Positions of towns and postcodes.", no_args_is_help=True)


@app.command("load")
def load(
    file: Annotated[
        Path, typer.Argument(help="CSV: the ONS Postcode Directory, or the columns outcode,latitude,longitude.")
    ],
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Load an open postcode table in the place of the one before; each faulty line is named, and nothing kept."""
    connection = connect(folder, url, token, organisation=organisation, role="directory-editor", practitioner="onward")
    with file.open("rb") as table:
        response = httpx.post(
            f"{connection.url}/places/import",
            content=table,
            headers=connection.headers | {"Content-Type": "text/csv"},
            timeout=LOAD_SECONDS,
        )
    counted = answered(response)
    if as_json:
        print_json(counted)
    else:
        say(f"{file}: {counted['postcodes']} postcodes and {counted['outcodes']} outcodes have positions now")


@app.command("find")
def find(
    place: Annotated[str, typer.Argument(help="A town, an outcode or a postcode.")],
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """The position of a town, an outcode or a postcode."""
    connection = connect(folder, url, token, organisation=organisation, role="clinical-hub", practitioner="onward")
    found = located(connection, place)
    if as_json:
        print_json(found)
    else:
        print(f"{found['name']} ({found['kind']}): {found['latitude']} {found['longitude']}")


def located(connection: Connection, place: str) -> dict[str, Any]:
    """What the system says of a place: name, kind, latitude and longitude. Raises Refused, with what to do."""
    response = httpx.get(f"{connection.url}/places", params={"q": place}, headers=connection.headers, timeout=30.0)
    return dict(answered(response))


def position_of(connection: Connection, place: str) -> Position:
    """The position of a town, an outcode or a postcode. Raises Refused, with what to do."""
    found = located(connection, place)
    return Position(latitude=found["latitude"], longitude=found["longitude"])
