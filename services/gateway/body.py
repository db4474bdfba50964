"""The body of a submission or an action: what it says and its digest, or a problem that names every fault of it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pydantic import RootModel

from contracts.actions import Action
from contracts.submissions import Submission
from services.chassis import bodies
from services.chassis.json_text import Document
from services.chassis.problems import Problem
from services.gateway import canonical


def read(body: bytes, *, organisation: str) -> tuple[Submission, bytes]:
    """The submission and its digest.

    Raises a problem as every route with a JSON body does, and 403 when it speaks for an organisation other than the
    caller's.
    """

    submission, document = bodies.read(
        body, Submission, title="The submission cannot be used", refuse=_only_for(organisation)
    )
    return submission, canonical.digest(document)


class AskedAction(RootModel[Action]):
    """The body of `POST /referrals/{id}/actions`."""


def read_action(body: bytes, *, organisation: str, referral: UUID, seen_version: int | None) -> tuple[Action, bytes]:
    """The action, and the digest of all that is asked: of which referral, and which version of it was seen.

    Raises a problem as `read` does.
    """
    asked, document = bodies.read(body, AskedAction, title="The action cannot be used", refuse=_only_for(organisation))
    whole = {"referral": str(referral), "seen_version": seen_version, "action": document.value}
    return asked.root, canonical.digest(Document(whole, repeats=False))


def _only_for(organisation: str) -> Callable[[Any], None]:
    """Refuses, 403, a document that speaks for another organisation."""

    def refuse(document: Any) -> None:
        if speaks_for_another(document, organisation):
            raise Problem(
                403,
                "Another organisation's name",
                "The body names an organisation that the token does not act for. "
                "Leave it out: who asks is taken from the token.",
            )

    return refuse


def speaks_for_another(document: Any, organisation: str) -> bool:
    """Whether a body claims, where one might expect to say so, that another organisation asks."""
    if not isinstance(document, dict):
        return False
    claims = [document.get("organisation")]
    for name in ("referrer", "desk"):
        said = document.get(name)
        claims.append(said.get("organisation") if isinstance(said, dict) else said)
    return any(isinstance(claim, str) and claim != organisation for claim in claims)
