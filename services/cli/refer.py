"""`onward refer`: one submission from a file, to where crew and patient accept."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import typer

from services.cli import local
from services.cli.connection import TRUST, AsJson, Folder, Organisation, Token, Url, answered, connect
from services.cli.speaking import Refused, print_json, say
from services.device.screen import answer_lines

SECONDS = 60.0
TYPE = "type:"
"""No service id has a colon."""


def refer(
    file: Annotated[str, typer.Argument(help="A submission as JSON; - for standard input.")] = "-",
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="A service by its id, as onward pathways shows it; type:135; or any. Repeated: in this order."
        ),
    ] = None,
    key: Annotated[str, typer.Option(help="The key of an attempt that got no answer; a new one if not given.")] = "",
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Refer a patient and show the answer. Exit code 1: nobody took the patient, or there is no outcome yet."""
    body = _submission(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes(), accept or [])
    attempt = uuid_in(key) if key else uuid4()
    connection = connect(folder, url, token, organisation=organisation, role="paramedic", practitioner="onward")
    say(f"Idempotency-Key {attempt}: if no answer comes, ask again with --key {attempt}")
    headers = {**connection.headers, "Idempotency-Key": str(attempt)}
    response = httpx.post(f"{connection.url}/referrals", json=body, headers=headers, timeout=SECONDS)
    answer = answered(response)
    if as_json:
        print_json(answer)
    elif response.status_code == httpx.codes.CREATED:
        print("\n".join(answer_lines(str(body.get("presentation")), response.status_code, answer)))
    else:
        print(answer["next_step"])
    if response.status_code != httpx.codes.CREATED or answer["outcome"] == "unplaced":
        raise typer.Exit(1)


def _submission(text: bytes, accept: list[str]) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise Refused(f"this is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused("a submission is a JSON object")
    return body if not accept else {**body, "accept": accepted(accept)}


def accepted(accept: list[str]) -> str | list[dict[str, str | int]]:
    """What a submission accepts: `any`, or services by id and types as `type:135`, in this order."""
    if accept == ["any"]:
        return "any"
    types = [one.removeprefix(TYPE) if one.startswith(TYPE) else None for one in accept]
    return [
        {"service": one} if number is None else {"service_type": int(number) if number.isdecimal() else number}
        for one, number in zip(accept, types, strict=True)
    ]


def uuid_in(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise Refused(f"{key} is not a key: it is a UUID, as was shown with the attempt") from None
