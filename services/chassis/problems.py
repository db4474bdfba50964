"""Errors over HTTP: RFC 9457 problem details. What was wrong, where, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError


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


def faults_of(error: ValidationError) -> list[Fault]:
    """Every fault of a body, with its JSON pointer. Messages never repeat the value."""
    faults: dict[tuple[str, str], Fault] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        *way, last = one["loc"] or ("",)
        parts = [part for part in way if not _names_a_branch(part)]
        if one["loc"] and (one["type"] == "extra_forbidden" or not _names_a_branch(last)):
            parts.append(last)  # an unknown member bears the sender's name, which may look like a branch
        pointer = "".join(f"/{_escaped(part)}" for part in parts)
        faults[pointer, one["msg"]] = Fault(pointer=pointer, message=one["msg"])
    return list(faults.values())


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _names_a_branch(part: str | int) -> bool:
    """Pydantic names the branch of a union that it tried, which is no part of the document."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part)
