"""`onward directory`: checking, loading, writing and inventing directories."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from contracts.directory import Service
from services.chassis.versioned_table import read_table
from services.cli import local
from services.cli.connection import TRUST, AsJson, Connection, Folder, Organisation, Token, Url, answered, connect
from services.cli.speaking import Refused, print_json, say
from services.pathways.codes import CodeTable
from services.pathways.directory_export import FORMS, write
from services.pathways.directory_file import Entry, form_of, read, read_file
from services.pathways.directory_forms import MEDIA_TYPES
from services.pathways.invented import Codes, invented, region
from services.pathways.places import town_named
from services.pathways.settings import PathwaysSettings
from services.pathways.towns import town, towns

SHIPPED = next(iter(sorted((Path(__file__).parents[2] / "deploy" / "directory").glob("*.toml"))), Path("missing"))
"""The small directory of the invented region."""

LOAD_SECONDS = 1800.0
"""A nation's directory has a hundred thousand services."""

app = typer.Typer(help="The directory of services and desks.", no_args_is_help=True)

DirectoryFile = Annotated[
    Path, typer.Argument(help="TOML, JSON, JSON lines, CSV, or a FHIR bundle as JSON; its ending says which.")
]


def load(connection: Connection, file: Path, *, delist_missing: bool = False) -> dict[str, Any]:
    """Check a file here, then list all of it. Raises DirectoryFaulty or Refused, with nothing listed."""
    form = form_of(file)
    if form == "toml":
        return _send(connection, read_file(file).model_dump_json(exclude_unset=True).encode(), "json", delist_missing)
    counted(file)
    with file.open("rb") as body:
        return _send(connection, body, form, delist_missing)


def counted(file: Path) -> dict[str, int]:
    """How many services and desks a file holds. Raises DirectoryFaulty, which names each fault."""
    kinds = Counter("services" if isinstance(entry, Service) else "desks" for entry in read(file))
    return {kind: kinds[kind] for kind in ("services", "desks")}


def _send(connection: Connection, body: Any, form: str, delist_missing: bool) -> dict[str, Any]:
    media_type = next(name for name, known in MEDIA_TYPES.items() if known == form)
    response = httpx.post(
        f"{connection.url}/services/import",
        params={"delist_missing": delist_missing},
        content=body,
        headers=connection.headers | {"Content-Type": media_type},
        timeout=LOAD_SECONDS,
    )
    return dict(answered(response))


@app.command("load")
def directory_load(
    file: DirectoryFile,
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
        for kind, changes in counts.items():
            print(f"{kind}: " + ", ".join(f"{count} {what}" for what, count in changes.items()))


@app.command("check")
def directory_check(file: DirectoryFile, as_json: AsJson = False) -> None:
    """Read a file and name each fault with its line; lists nothing."""
    counts = counted(file)
    if as_json:
        print_json(counts)
    else:
        print(f"{file} holds: {counts['services']} services, {counts['desks']} desks")


Out = Annotated[Path, typer.Option("--out", help=f"Ends in {', '.join(FORMS)}. CSV has desks in a file beside it.")]


@app.command("export")
def directory_export(
    out: Out,
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Write what the directory holds, delisted services too, to a file that `load` reads."""
    connection = connect(folder, url, token, organisation=organisation, role="directory-editor", practitioner="onward")
    _wrote(write(exported(connection), out), as_json=as_json)


def exported(connection: Connection) -> Iterator[Entry]:
    """Every entry of the directory, delisted services too."""
    from contracts.people import Desk

    with httpx.stream(
        "GET", f"{connection.url}/services/export", headers=connection.headers, timeout=LOAD_SECONDS
    ) as response:
        if not response.is_success:
            response.read()
            answered(response)
        for line in response.iter_lines():
            contract: type[Entry] = Service if '"service_id":' in line else Desk
            yield contract.model_validate_json(line)


@app.command("generate")
def directory_generate(
    out: Out,
    in_region: Annotated[str, typer.Option("--region", help="A town: services of the towns within 60 km.")] = "",
    services: Annotated[int, typer.Option(help="How many services the region has.")] = 200,
    country: Annotated[int, typer.Option(help="Instead of a region: so many services all over England.")] = 0,
    seed: Annotated[int, typer.Option(help="Decides all: the same seed gives the same file.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Invent a directory on real geography: every type, hours, diaries, limits, a desk for each organisation."""
    if bool(in_region) == bool(country):
        raise Refused("say either --region TOWN, or --country COUNT for all of England")
    where, many = towns(), country
    if in_region:
        middle = town(town_named(in_region).name)
        assert middle is not None
        where, many = tuple(region(middle, where)), services
    codes = Codes.of(read_table(PathwaysSettings.read(os.environ).codes, CodeTable))
    try:
        _wrote(write(invented(where, many, seed, codes), out), as_json=as_json)
    except ValueError as error:
        raise Refused(str(error)) from None


def _wrote(files: list[Path], *, as_json: bool) -> None:
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        say(f"Wrote {', '.join(map(str, files))}")
