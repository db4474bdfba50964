"""The body of a submission: what it says and its digest, or a problem that names every fault of it."""

import json
from typing import Any

from pydantic import ValidationError

from contracts.submissions import Submission
from services.chassis.problems import Fault, Problem, faults_of
from services.gateway import canonical


def read(body: bytes, *, organisation: str) -> tuple[Submission, bytes]:
    """The submission and its digest.

    Raises a problem: 400 when it is not JSON, 403 when it speaks for an organisation other than the caller's, 422 with
    every fault when it is not a submission. A member that the contract does not know is a fault: a misspelt
    observation must not be lost in silence.
    """
    try:
        submission = Submission.model_validate_json(body, extra="forbid")
    except ValidationError as error:
        raise _refusal(body, error, organisation) from None
    document = canonical.parse(body)
    if document.repeats:  # the one fault of form that a valid submission can have
        raise _faulty([], canonical.faults(document))
    return submission, canonical.digest(document)


def _refusal(body: bytes, error: ValidationError, organisation: str) -> Problem:
    try:
        document = canonical.parse(body)
        found = canonical.faults(document)
    except (ValueError, RecursionError):
        document, found = canonical.Document(None, repeats=False), []
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    unread = first["type"] == "json_invalid"
    if unread and not found:
        return Problem(400, "The body is not JSON", first["msg"], faults=[Fault(pointer="", message=first["msg"])])
    if speaks_for_another(document.value, organisation):
        return Problem(
            403,
            "Another organisation's name",
            "The body names an organisation that the token does not act for. "
            "Leave it out: who refers is taken from the token.",
        )
    return _faulty(_other_faults(document) if unread else faults_of(error), found)


def _other_faults(document: canonical.Document) -> list[Fault]:
    """What else is wrong where half of a surrogate pair kept pydantic from reading the body at all."""
    try:
        readable = json.dumps(document.value, ensure_ascii=False).encode(errors="replace")
        Submission.model_validate_json(readable, extra="forbid")
    except ValidationError as error:
        return faults_of(error)
    except RecursionError:
        return []
    return []


def _faulty(faults: list[Fault], found: list[tuple[str, str]]) -> Problem:
    return Problem(
        422,
        "The submission cannot be used",
        "Nothing was stored or sent on. Mend every fault and send it again, with any key.",
        faults=faults + [Fault(pointer=pointer, message=message) for pointer, message in found],
    )


def speaks_for_another(document: Any, organisation: str) -> bool:
    """Whether a body claims, where one might expect to say so, that another organisation refers."""
    if not isinstance(document, dict):
        return False
    claims = [document.get("organisation")]
    for name in ("referrer", "desk"):
        said = document.get(name)
        claims.append(said.get("organisation") if isinstance(said, dict) else said)
    return any(isinstance(claim, str) and claim != organisation for claim in claims)
