"""Errors over HTTP: RFC 9457 problem details. What was wrong, where, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

PROBLEM = "application/problem+json"


class Fault(BaseModel):
    """One thing wrong with a body, and where: a JSON pointer (RFC 6901)."""

    pointer: str
    message: str


class ProblemBody(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: Annotated[str, Field(description="a sentence: what to do")]


class Problem(Exception):
    """An answer that is not the one asked for. Never a stack trace, never patient data."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
        if faults:
            self.body["faults"] = [fault.model_dump() for fault in faults]


def respond(problem: Problem) -> Response:
    """The response that a problem is."""
    return JSONResponse(problem.body, problem.status, headers=problem.headers, media_type=PROBLEM)


def faults_of(error: ValidationError, document: Any = None) -> list[Fault]:
    """Every fault of a body, with its JSON pointer. Messages never repeat the value.

    The document is needed where a member says which of several forms another has, such as the action of an action:
    pydantic names that form in the way to the fault, and only what is in the document tells it from a member.
    """
    faults: dict[tuple[str, str], Fault] = {}
    for one in error.errors(include_url=False, include_input=False):
        parts, message = _way(one["loc"], one["type"], document), one["msg"]
        if one["type"] in _OF_NO_FORM:
            context = one["ctx"]
            parts.append(context["discriminator"].strip("'"))
            message = f"must be one of {context['expected_tags']}" if "expected_tags" in context else "Field required"
        pointer = "".join(f"/{_escaped(part)}" for part in parts)
        faults[pointer, message] = Fault(pointer=pointer, message=message)
    return list(faults.values())


_OF_NO_FORM = ("union_tag_invalid", "union_tag_not_found")


def _way(place: Sequence[str | int], kind: str, document: Any) -> list[str | int]:
    """Where in the document a fault is: without what names a branch of a union, which is no part of it."""
    way: list[str | int] = []
    for number, part in enumerate(place, start=1):
        is_last = number == len(place)
        if is_last and kind in ("missing", "extra_forbidden"):
            way.append(part)  # as the contract, or the sender, calls it, whatever that looks like
        elif not _names_a_branch(part) and (document is None or _holds(document, part)):
            way.append(part)
            document = None if document is None else document[part]
    return way


def _holds(document: Any, part: str | int) -> bool:
    if isinstance(document, dict):
        return part in document
    return isinstance(document, list) and isinstance(part, int) and part < len(document)


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _names_a_branch(part: str | int) -> bool:
    """Pydantic names the branch of a union that it tried, which is no part of the document."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part)
