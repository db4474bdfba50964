"""The body of a submission: what it says and its digest, or a problem that names every fault of it."""

from typing import Any

from contracts.submissions import Submission
from services.chassis import bodies
from services.chassis.problems import Problem
from services.gateway import canonical


def read(body: bytes, *, organisation: str) -> tuple[Submission, bytes]:
    """The submission and its digest.

    Raises a problem as every route with a JSON body does, and 403 when it speaks for an organisation other than the
    caller's.
    """

    def refuse(document: Any) -> None:
        if speaks_for_another(document, organisation):
            raise Problem(
                403,
                "Another organisation's name",
                "The body names an organisation that the token does not act for. "
                "Leave it out: who refers is taken from the token.",
            )

    submission, document = bodies.read(body, Submission, title="The submission cannot be used", refuse=refuse)
    return submission, canonical.digest(document)


def speaks_for_another(document: Any, organisation: str) -> bool:
    """Whether a body claims, where one might expect to say so, that another organisation refers."""
    if not isinstance(document, dict):
        return False
    claims = [document.get("organisation")]
    for name in ("referrer", "desk"):
        said = document.get(name)
        claims.append(said.get("organisation") if isinstance(said, dict) else said)
    return any(isinstance(claim, str) and claim != organisation for claim in claims)
