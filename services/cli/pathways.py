"""`onward pathways`: who could take such a patient, and why; refers nobody."""

from datetime import datetime
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from contracts.opening_hours import LONDON
from services.cli import local
from services.cli.capacity import clock, in_words
from services.cli.connection import TRUST, AsJson, Connection, Folder, Organisation, Token, Url, answered, connect
from services.cli.speaking import out, print_json

SECONDS = 20.0
WIDEST = 46
COLUMNS = {"": 2, "service": WIDEST, "km": 5, "open until": 12, "capacity": 16, "next free": 20}
"""Headings and widths; the widest takes what there is more."""
LEAST_WIDTH = 120
"""A pipe is as wide as this, whatever the console says."""

app = typer.Typer()

Latitude = Annotated[float | None, typer.Option(help="Where the patient is, degrees.")]
Longitude = Annotated[float | None, typer.Option(help="Where the patient is, degrees.")]
Town = Annotated[str, typer.Option(help="In place of a position: a town of the built-in table.")]
Postcode = Annotated[str, typer.Option(help="In place of a position: a postcode or its first part.")]
Presentation = Annotated[str, typer.Option(help="What the crew selected.")]
Type = Annotated[list[int] | None, typer.Option(help="A type of service, such as 135; repeated: in this order.")]
Age = Annotated[int | None, typer.Option(help="How old the patient is.")]
AgeUnit = Annotated[str, typer.Option(help="days, months or years; years if not given.")]
Gender = Annotated[str, typer.Option(help="female, male, indeterminate or unknown.")]
Surgery = Annotated[str, typer.Option(help="Where the patient is registered: an ODS code.")]
Kilometres = Annotated[float | None, typer.Option("--km", help="How far to search.")]
At = Annotated[str, typer.Option(help="Search for another time than now, as 2026-01-14T12:00:00Z.")]


@app.callback(invoke_without_command=True)
def pathways(
    context: typer.Context,
    latitude: Latitude = None,
    longitude: Longitude = None,
    town: Town = "",
    postcode: Postcode = "",
    presentation: Presentation = "",
    type: Type = None,
    age: Age = None,
    age_unit: AgeUnit = "",
    gender: Gender = "",
    surgery: Surgery = "",
    km: Kilometres = None,
    at: At = "",
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Who could take such a patient, in which order and why. Refers nobody. Exit code 1: nobody could."""
    if context.invoked_subcommand is not None:
        return
    asked = _asked(latitude, longitude, town, postcode, presentation, type, age, age_unit, gender, surgery, km, at)
    connection = connect(folder, url, token, organisation=organisation, role="paramedic", practitioner="onward")
    found = _get(connection, "/pathways", asked)
    if as_json:
        print_json(found)
    else:
        show(found, Console(width=max(out.width, LEAST_WIDTH), highlight=False))
    if not found["candidates"]:
        raise typer.Exit(1)


@app.command("explain")
def explain(
    service: Annotated[str, typer.Argument(help="The service's id.")],
    latitude: Latitude = None,
    longitude: Longitude = None,
    town: Town = "",
    postcode: Postcode = "",
    presentation: Presentation = "",
    type: Type = None,
    age: Age = None,
    age_unit: AgeUnit = "",
    gender: Gender = "",
    surgery: Surgery = "",
    km: Kilometres = None,
    at: At = "",
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Of one service its place and why, or every criterion that excludes it. Exit code 1: it is no candidate."""
    asked = _asked(latitude, longitude, town, postcode, presentation, type, age, age_unit, gender, surgery, km, at)
    connection = connect(folder, url, token, organisation=organisation, role="paramedic", practitioner="onward")
    explained = _get(connection, "/pathways/explanation", {**asked, "service": service})
    if as_json:
        print_json(explained)
    else:
        print("\n".join(explanation(explained)))
    if explained["place"] is None:
        raise typer.Exit(1)


def _asked(
    latitude: float | None,
    longitude: float | None,
    town: str,
    postcode: str,
    presentation: str,
    type: list[int] | None,
    age: int | None,
    age_unit: str,
    gender: str,
    surgery: str,
    km: float | None,
    at: str,
) -> dict[str, Any]:
    """The parameters, without those that were not given: the service says which are missing."""
    everything = {
        "latitude": latitude,
        "longitude": longitude,
        "town": town,
        "postcode": postcode,
        "presentation": presentation,
        "type": type,
        "age": age,
        "age_unit": age_unit,
        "gender": gender,
        "surgery": surgery,
        "km": km,
        "at": at,
    }
    return {name: value for name, value in everything.items() if value not in (None, "", [])}


def _get(connection: Connection, path: str, asked: dict[str, Any]) -> dict[str, Any]:
    response = httpx.get(f"{connection.url}{path}", params=asked, headers=connection.headers, timeout=SECONDS)
    return dict(answered(response))


def show(found: dict[str, Any], console: Console) -> None:
    """What was found, for people, in Europe/London time."""
    if not found["candidates"]:
        console.print("No service is suitable, open and not full.", markup=False)
    for title, services in (("", found["candidates"]), ("Nearest emergency departments", found["catch_all"])):
        if services:
            console.print(_table(title, services))
    if found["near_misses"]:
        console.print("\nFailed by one criterion alone:", markup=False)
    for one in found["near_misses"]:
        where = f"{one['name']} ({one['type_name']}), {one['distance_km']:.1f} km, {one['telephone']}"
        console.print(f"  {where}\n    {one['failed']}: {one['why']}", markup=False)
    console.print(f"\nSearched {found['search_km']:g} km around ({found['search_km_from']}).", markup=False)


def _table(title: str, services: list[dict[str, Any]]) -> Table:
    table = Table(title=title or None, title_justify="left", show_lines=True)
    for heading, width in COLUMNS.items():
        table.add_column(heading, min_width=width, max_width=width if width < WIDEST else None)
    for one in services:
        table.add_row(
            str(one["place"]),
            "\n".join(_said_of(one)),
            f"{one['distance_km']:.1f}",
            _open(one),
            in_words(**one["capacity"]),
            _next_free(one),
        )
    return table


def _said_of(one: dict[str, Any]) -> list[str]:
    lines = [f"{one['name']} ({one['type_name']})", f"{one['service_id']}, {one['telephone']}", one["why"]]
    return [*lines, *filter(None, (one["instructions"],)), *one["exclusions"]]


def _open(one: dict[str, Any]) -> str:
    until = "always" if one["open_until"] is None else clock(one["open_until"])
    return until if one["opens_at"] is None else f"from {clock(one['opens_at'])}, until {until}"


def _next_free(one: dict[str, Any]) -> str:
    slots = one["free_slots"]
    if one["booking"] == "acceptance":
        return f"accepts within {one['accept_within_minutes']} minutes"
    if one["booking"] == "delivery":
        return "as they come"
    if slots is None:
        return "not known"
    as_of = f"as of {clock(slots['as_of'])}"
    if not slots["next_free"]:
        return f"none, {as_of}"
    times = ", ".join(f"{_time(slot['begins'])}" for slot in slots["next_free"][:3])
    return f"{times}; {slots['free']} until {clock(slots['until'])}, {as_of}"


def _time(instant: str) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(LONDON):%H:%M}"


def explanation(explained: dict[str, Any]) -> list[str]:
    """Why a service stands where it stands, or why it is not there."""
    place = "no candidate" if explained["place"] is None else f"no. {explained['place']}"
    lines = [f"{explained['name']} ({explained['type_name']}): {place}"]
    if explained["excluded"]:
        lines += [f"  {one['criterion']}: {one['why']}" for one in explained["excluded"]]
    else:
        lines.append(f"  {explained['why']}")
    return [*lines, f"  capacity: {in_words(**explained['capacity'])}"]
