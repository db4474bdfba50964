"""A JSON body over HTTP, read one way by every route: bounded, in one form, and each fault of it named.

FastAPI's own reading is not used for bodies: it keeps a body of any size, before it knows who sent it, and takes the
last of several members of one name.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from services.chassis import json_text
from services.chassis.json_text import Document
from services.chassis.problems import Fault, Problem, faults_of

MOST_BYTES = 65_536

M = TypeVar("M", bound=BaseModel)


async def received(request: Request, most_bytes: int = MOST_BYTES) -> bytes:
    """The whole body. Raises a problem: 415 for another form than JSON in UTF-8, 413 when too large, 400 for half."""
    sent_as(request, "application/json")
    too_large = Problem(413, "The body is too large", f"It may have at most {most_bytes} bytes. Nothing was kept.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 18 or int(announced) > most_bytes):
        raise too_large
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most_bytes:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect:
        raise Problem(400, "The body is not whole", "The connection ended before the body did.") from None
    return b"".join(chunks)


def sent_as(request: Request, *media_types: str) -> str:
    """As which of these media types the body is sent. Raises a problem, 415: another, none, or not plain UTF-8."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    said = media_type.strip().lower()
    if (
        said not in media_types
        or charset not in ("", "charset=utf-8")
        or request.headers.get("content-encoding", "identity").lower() != "identity"
    ):
        raise Problem(
            415,
            "The body is sent in a form that is not read",
            f"Send Content-Type: {' or '.join(media_types)}, in UTF-8 and not compressed.",
            headers={"Accept-Post": ", ".join(media_types)} if request.method == "POST" else {},
        )
    return said


def read(
    body: bytes, contract: type[M], *, title: str, refuse: Callable[[Any], None] = lambda _value: None
) -> tuple[M, Document]:
    """What the body says, and the document that says it.

    Raises a problem: 400 when it is not JSON, 422 with every fault, under this title. A member that the contract does
    not know is a fault: a misspelt one must not be lost in silence. `refuse` sees a faulty document first, and may
    raise a problem of its own.
    """
    try:
        said = contract.model_validate_json(body, extra="forbid")
    except ValidationError as error:
        raise _refusal(body, contract, error, title, refuse) from None
    document = json_text.parse(body)
    if document.repeats:  # the one fault of form that a valid body can have
        raise _faulty(title, [], json_text.faults(document))
    return said, document


def _refusal(
    body: bytes, contract: type[BaseModel], error: ValidationError, title: str, refuse: Callable[[Any], None]
) -> Problem:
    try:
        document = json_text.parse(body)
        found = json_text.faults(document)
    except (ValueError, RecursionError):
        document, found = Document(None, repeats=False), []
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    unread = first["type"] == "json_invalid"
    if unread and not found:
        return Problem(400, "The body is not JSON", first["msg"], faults=[Fault(pointer="", message=first["msg"])])
    refuse(document.value)
    return _faulty(title, _other_faults(document, contract) if unread else faults_of(error, document.value), found)


def _other_faults(document: Document, contract: type[BaseModel]) -> list[Fault]:
    """What else is wrong where half of a surrogate pair kept pydantic from reading the body at all."""
    try:
        readable = json.dumps(document.value, ensure_ascii=False).encode(errors="replace")
        contract.model_validate_json(readable, extra="forbid")
    except ValidationError as error:
        return faults_of(error, document.value)
    except RecursionError:
        return []
    return []


def _faulty(title: str, faults: list[Fault], found: list[tuple[str, str]]) -> Problem:
    return Problem(
        422,
        title,
        "Nothing was stored or sent on. Mend every fault and send it again.",
        faults=faults + [Fault(pointer=pointer, message=message) for pointer, message in found],
    )
