"""`onward documents`: what one desk attaches to a referral for the other, listed and fetched."""

import mimetypes
from pathlib import Path
from typing import Annotated
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import typer

from services.cli import local
from services.cli.connection import TRUST, AsJson, Folder, Organisation, Token, Url, answered, connect
from services.cli.refer import uuid_in
from services.cli.speaking import Refused, print_json, say
from services.referrals.documents import KINDS

SECONDS = 60.0

app = typer.Typer(help="Documents on a referral: attach one, list them, fetch one.", no_args_is_help=True)

Referral = Annotated[UUID, typer.Argument(help="The referral's id.")]


@app.command()
def attach(
    referral: Referral,
    file: Annotated[Path, typer.Argument(help="A PDF, JPEG, PNG or text in UTF-8.", exists=True, dir_okay=False)],
    kind: Annotated[str, typer.Option(help=f"What it is: {', '.join(KINDS)}.")] = "other",
    title: Annotated[str, typer.Option(help="What the other desk reads; the file's name if not given.")] = "",
    key: Annotated[str, typer.Option(help="The key of an attempt that got no answer; a new one if not given.")] = "",
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Attach a document for the other desk."""
    media_type, _ = mimetypes.guess_type(file.name)
    if media_type is None:
        raise Refused(f"{file.name} does not say what it is: its name ends in .pdf, .jpg, .png or .txt")
    attempt = uuid_in(key) if key else uuid4()
    connection = connect(folder, url, token, organisation=organisation, role="desk", practitioner="onward")
    say(f"Idempotency-Key {attempt}: if no answer comes, ask again with --key {attempt}")
    headers = {
        **connection.headers,
        "Idempotency-Key": str(attempt),
        "Content-Type": media_type,
        "Document-Title": quote(title or file.name),
    }
    with file.open("rb") as content:
        response = httpx.post(
            f"{connection.url}/referrals/{referral}/documents",
            content=content,
            params={"kind": kind},
            headers=headers,
            timeout=SECONDS,
        )
    document = answered(response)
    if as_json:
        print_json(document)
    else:
        print(f"{document['document_id']}  {document['kind']}, {document['bytes']} bytes, {document['media_type']}")


@app.command("list")
def list_them(
    referral: Referral,
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """What is attached, the first one first."""
    connection = connect(folder, url, token, organisation=organisation, role="desk", practitioner="onward")
    address = f"{connection.url}/referrals/{referral}/documents"
    documents = answered(httpx.get(address, headers=connection.headers, timeout=SECONDS))["documents"]
    if as_json:
        print_json(documents)
        return
    for one in documents:
        print(f"{one['document_id']}  {one['kind']}, {one['bytes']} bytes, {one['media_type']}, by {one['by']}")
    print(f"{len(documents)} in all" if documents else "None")


@app.command()
def fetch(
    referral: Referral,
    document: Annotated[UUID, typer.Argument(help="Which, as `list` says.")],
    file: Annotated[Path, typer.Argument(help="Where to put it; what is there already is not replaced.")],
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
) -> None:
    """Save a document. That you read it is written down."""
    connection = connect(folder, url, token, organisation=organisation, role="desk", practitioner="onward")
    address = f"{connection.url}/referrals/{referral}/documents/{document}"
    with httpx.stream("GET", address, headers=connection.headers, timeout=SECONDS) as response:
        if not response.is_success:
            response.read()
            answered(response)
        with file.open("xb") as kept:
            for piece in response.iter_bytes():
                kept.write(piece)
    say(f"{file}: {file.stat().st_size} bytes")
