"""The Idempotency-Key: what makes a retry the same attempt."""

import re
from uuid import UUID

from fastapi import Request
from pydantic import ValidationError

from contracts.people import Referrer
from services.chassis.identity import Caller
from services.chassis.problems import Problem

_UUID = re.compile(r'"?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"?', re.IGNORECASE | re.ASCII)
"""The draft standard writes the key in quotes; most senders do not."""


def key_of(request: Request, kind: str) -> UUID:
    """The Idempotency-Key. Raises a problem, 400, where there is not exactly one."""
    said = request.headers.getlist("idempotency-key")
    match = _UUID.fullmatch(said[0].strip()) if len(said) == 1 else None
    if match is None:
        raise Problem(
            400,
            "An Idempotency-Key is needed",
            f"Send one header Idempotency-Key with a UUID made for this {kind}, and the same one with every retry "
            f"of it, so that a retry is never a second {kind}.",
        )
    return UUID(match[1])


def referrer_of(caller: Caller) -> Referrer:
    """Who asks, by the token. Raises a problem, 403, where its claims cannot be told."""
    try:
        return Referrer(organisation=caller.organisation, practitioner=caller.practitioner, role=caller.role)
    except ValidationError:
        raise Problem(
            403,
            "The token cannot be used here",
            "Its claims organisation, practitioner and role must be an ODS code and two texts of 1 to 100 characters.",
        ) from None
