"""`onward directory`: loading and checking directory files."""

from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from services.cli import local
from services.cli.connection import TRUST, AsJson, Connection, Folder, Organisation, Token, Url, answered, connect
from services.cli.speaking import print_json
from services.pathways.directory_file import read_file

SHIPPED = next(iter(sorted((Path(__file__).parents[2] / "deploy" / "directory").glob("*.toml"))), Path("missing"))
"""The small directory of the invented region."""

app = typer.Typer(help="The directory of services and desks.", no_args_is_help=True)


def load(connection: Connection, file: Path, *, delist_missing: bool = False) -> dict[str, Any]:
    """Check a file here, then list all of it. Raises DirectoryFaulty or Refused, with nothing listed."""
    directory = read_file(file)
    response = httpx.post(
        f"{connection.url}/services/import",
        params={"delist_missing": delist_missing},
        content=directory.model_dump_json(exclude_unset=True),
        headers=connection.headers | {"Content-Type": "application/json"},
        timeout=120.0,
    )
    return dict(answered(response))


@app.command("load")
def directory_load(
    file: Annotated[Path, typer.Argument(help="A TOML or JSON file of services and desks.")],
    delist_missing: Annotated[bool, typer.Option(help="Delist active services that the file does not have.")] = False,
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """List every service and desk of a file, or none: each fault is named."""
    connection = connect(folder, url, token, organisation=organisation, role="directory-editor", practitioner="onward")
    counts = load(connection, file, delist_missing=delist_missing)
    if as_json:
        print_json(counts)
    else:
        for kind, counted in counts.items():
            print(f"{kind}: " + ", ".join(f"{count} {what}" for what, count in counted.items()))


@app.command("check")
def directory_check(
    file: Annotated[Path, typer.Argument(help="A TOML or JSON file of services and desks.")], as_json: AsJson = False
) -> None:
    """Read a file and name each fault; lists nothing."""
    directory = read_file(file)
    counts = {"services": len(directory.services), "desks": len(directory.desks)}
    if as_json:
        print_json(counts)
    else:
        print(f"{file} holds: {counts['services']} services, {counts['desks']} desks")
