"""Dead letters on the command line: what could not be read, why, and a second try. For the operator of the system."""

from typing import Annotated, Any

import httpx
import typer

from services.cli import local
from services.cli.connection import AsJson, Connection, Folder, Token, Url, answered, connect
from services.cli.speaking import Refused, print_json

OPERATOR = "ONWARD"
"""The organisation whose operators a system listens to, unless it is told otherwise."""

app = typer.Typer(help="Records that a service could not use, and a second try.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="What `list` calls it by.")]
Reader = Annotated[str, typer.Option(help="Only this service's.")]
Organisation = Annotated[str, typer.Option(help="The operator, when the local system signs the token.")]


@app.command("list")
def list_them(
    reader: Reader = "",
    replayed: Annotated[bool, typer.Option(help="Those that were sent again too.")] = False,
    organisation: Organisation = OPERATOR,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """What waits, without its content, in the order in which it came."""
    found = _all(_as_operator(folder, url, token, organisation), reader, replayed=replayed)
    if as_json:
        print_json(found)
        return
    for one in found:
        print(_line(one))
    print(f"{len(found)} in all" if found else "None")


@app.command()
def show(
    number: Number,
    organisation: Organisation = OPERATOR,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """One with its content, headers and history. It may hold a patient's data: that you read it is written down."""
    one = _one(_as_operator(folder, url, token, organisation), number)
    if as_json:
        print_json(one)
        return
    print(_line(one))
    for header in one["headers"]:
        print(f"  header  {header['name']}: {header['value']}{' (base64)' if header['base64'] else ''}")
    print(f"  key     {one['key']}")
    print(f"  value   {one['value']}{' (base64)' if one['value_is_base64'] else ''}")


@app.command()
def explain(
    number: Number,
    organisation: Organisation = OPERATOR,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Why it could not be used each time, what is wrong with it now, and what to do. None of its content is shown."""
    one = _one(_as_operator(folder, url, token, organisation), number)
    if as_json:
        print_json({name: one[name] for name in ("number", "reader", "topic", "history", "fault", "advice")})
        return
    print(_line(one))
    for death in one["history"]:
        print(f"  read at {death['origin']}: {death['why']}")
    print(f"  now     {one['fault'] or 'it holds against its contract'}")
    print(f"  do      {one['advice']}")


@app.command()
def replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="Which; or name a reader for all that wait.")] = None,
    reader: Reader = "",
    dry_run: Annotated[bool, typer.Option(help="Say what would be sent where, and send nothing.")] = False,
    organisation: Organisation = OPERATOR,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, each to the service that could not use it and to no other.

    What fails again is a new dead letter. Exit code 1 when one of them was not sent.
    """
    if bool(numbers) == bool(reader):
        raise Refused("name either the numbers or a --reader: `onward dead-letters list` shows them")
    connection = _as_operator(folder, url, token, organisation)
    chosen = numbers or [one["number"] for one in _all(connection, reader, replayed=False)]
    said: list[dict[str, Any]] = []
    refused: dict[int, str] = {}
    for number in chosen:
        try:
            said.append(answered(_call(connection, "POST", f"/dead-letters/{number}/replay", dry_run=dry_run)))
        except Refused as error:
            refused[number] = str(error)
    if as_json:
        print_json({"replays": said, "refused": refused})
    else:
        for one in said:
            verb = "sent" if one["sent"] else "would be sent"
            doubt = f"; it would fail again: {one['fault']}" if one["fault"] else ""
            print(f"{one['number']:>6}  {verb} to {one['to']} as of {one['topic']}{doubt}")
        for number, why in refused.items():
            print(f"{number:>6}  NOT sent: {why}")
    if refused:
        raise typer.Exit(1)


def _as_operator(folder: Any, url: str, token: str, organisation: str) -> Connection:
    return connect(folder, url, token, organisation=organisation, role="operator", practitioner="onward")


def _call(connection: Connection, method: str, path: str, **query: Any) -> httpx.Response:
    return httpx.request(method, f"{connection.url}{path}", params=query, headers=connection.headers, timeout=30.0)


def _all(connection: Connection, reader: str, *, replayed: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"replayed": replayed} | ({"reader": reader} if reader else {})
    after: int | None = 0
    while after is not None:
        page = answered(_call(connection, "GET", "/dead-letters", **query, after=after))
        found += page["dead_letters"]
        after = page["more_after"]
    return found


def _one(connection: Connection, number: int) -> dict[str, Any]:
    return dict(answered(_call(connection, "GET", f"/dead-letters/{number}")))


def _line(one: dict[str, Any]) -> str:
    again = f", {one['deaths']} times" if one["deaths"] > 1 else ""
    of = f"  referral {one['referral_id']}" if one["referral_id"] else ""
    state = "sent again" if one["replayed_at"] else f"due {one['due']}"
    return f"{one['number']:>6}  {one['reader']:12} {one['topic']:13} {state}  {one['why']}{again}{of}"
