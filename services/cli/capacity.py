"""`onward capacity`: how full a service is, and who says so."""

from datetime import datetime
from typing import Annotated, Any

import httpx
import typer

from contracts.opening_hours import LONDON
from services.cli import local
from services.cli.connection import TRUST, AsJson, Connection, Folder, Token, Url, answered, connect
from services.cli.speaking import print_json
from services.pathways.capacity import DEFAULT_RESET_MINUTES

SECONDS = 20.0

app = typer.Typer(help="How full services are.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(help="The service's id.")]
Speaking = Annotated[
    str,
    typer.Option(help="For whom to speak, when the local system signs the token; the service's own if not given."),
]


@app.command("report")
def report(
    service: Named,
    capacity: Annotated[str, typer.Argument(metavar="red|amber|green")],
    reset_in_minutes: Annotated[int, typer.Option(help="For how long it holds.")] = DEFAULT_RESET_MINUTES,
    notes: Annotated[str, typer.Option(help="For the service's own organisation; nothing about a patient.")] = "",
    organisation: Speaking = "",
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Say how full a service is. Only its own organisation may."""
    connection = connect(folder, url, token, organisation=TRUST, role="capacity-reporter", practitioner="onward")
    own = organisation or _organisation_of(service, connection)
    connection = connect(folder, url, token, organisation=own, role="capacity-reporter", practitioner="onward")
    body = {"capacity": capacity, "reset_in_minutes": reset_in_minutes, "notes": notes}
    response = httpx.put(_address(connection, service), json=body, headers=connection.headers, timeout=SECONDS)
    made = answered(response)
    if as_json:
        print_json(made)
    else:
        print(f"{service}: {made['capacity']} until {clock(made['resets_at'])}, report {made['version']}")


@app.command("show")
def show(
    service: Named,
    limit: Annotated[int, typer.Option(min=1, help="How many reports.")] = 10,
    before: Annotated[int | None, typer.Option(help="Only reports before this version.")] = None,
    organisation: Speaking = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """How full a service is, since when and until when, and what it reported before."""
    connection = connect(folder, url, token, organisation=organisation, role="paramedic", practitioner="onward")
    asked = {"limit": limit} if before is None else {"limit": limit, "before": before}
    response = httpx.get(_address(connection, service), params=asked, headers=connection.headers, timeout=SECONDS)
    history = answered(response)
    if as_json:
        print_json(history)
    else:
        print("\n".join(lines_of(history)))


def lines_of(history: dict[str, Any]) -> list[str]:
    """Capacity and reports for people, in Europe/London time."""
    lines = [f"{history['service_id']}: {in_words(history['status'], history['since'], history['until'])}"]
    for one in history["reports"]:
        notes = f": {one['notes']}" if one["notes"] else ""
        who = ", ".join(filter(None, (one["reported_by"], one["practitioner"], one["role"])))
        lines.append(f"  {one['version']:>4}  {clock(one['reported_at'])}  {one['capacity']:6} by {who}{notes}")
    if history["before"] is not None:
        lines.append(f"  older ones: --before {history['before']}")
    return lines


def in_words(status: str, since: str | None, until: str | None) -> str:
    """How full, since when and until when."""
    if since is None:
        return f"{status}, it never reported"
    return f"{status} since {clock(since)}" + ("" if until is None else f", until {clock(until)}")


def clock(instant: str) -> str:
    """A time as it is read out: London's clock and the day."""
    return f"{datetime.fromisoformat(instant).astimezone(LONDON):%H:%M on %d %B}"


def _organisation_of(service: str, connection: Connection) -> str:
    response = httpx.get(f"{connection.url}/services/{service}", headers=connection.headers, timeout=SECONDS)
    return str(answered(response)["service"]["organisation"])


def _address(connection: Connection, service: str) -> str:
    return f"{connection.url}/services/{service}/capacity"
