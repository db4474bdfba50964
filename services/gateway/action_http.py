"""`POST /referrals/{id}/actions`: a request in, one answer out. Whether it is done is for referrals to decide."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic_core import from_json

from contracts.actions import ReferralActionRequested, ReferralActionRequestedData
from services.chassis.attempt_keys import key_of, referrer_of
from services.chassis.bodies import received
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.gateway.answer import Pending
from services.gateway.asking import doorkept, not_now, speaks_for_itself, submitted, traced
from services.gateway.body import AskedAction, read_action
from services.gateway.decided import ActionAnswer
from services.gateway.desks import Desks
from services.gateway.handlers import Settled, Transaction
from services.gateway.http import KEY, LOCATION, PREFER, inlined
from services.gateway.settings import GatewaySettings
from services.gateway.store import NewAttempt

_VERSION = re.compile(r'(?:W/)?"([1-9][0-9]{0,8})"', re.ASCII)
"""Reads say weak ETags: a version names where a referral stands, not the bytes that say so."""


def action_routes(
    transaction: Transaction,
    *,
    settings: GatewaySettings,
    desks: Desks,
    desks_known: Callable[[], bool],
    clock: Callable[[], datetime],
    new_id: Callable[[], UUID],
) -> APIRouter:
    """The gateway's route of actions; the arguments as those of `routes`."""
    router = APIRouter(tags=["referrals"], route_class=doorkept("action", transaction, settings))

    @router.post(
        "/referrals/{referral_id}/actions",
        summary="Ask for something to be done with a referral",
        status_code=200,
        responses=RESPONSES,
        openapi_extra=REQUEST,
    )
    async def act(referral_id: UUID, request: Request, caller: CallerOf) -> Response:
        # As a submission's: read raw, and answered without the patient's identity.
        speaks_for_itself(request, caller)
        key = key_of(request, "action")
        seen_version = _version_seen(request)
        if not desks_known():  # who acts may have a desk, which would own the patient
            raise not_now("The gateway is starting and has not read every organisation's desk yet.")
        action, digest = read_action(
            await received(request, settings.body_bytes),
            organisation=caller.organisation,
            referral=referral_id,
            seen_version=seen_version,
        )
        event = ReferralActionRequested.first(
            ReferralActionRequestedData(
                action=action,
                by=referrer_of(caller),
                desk=desks.of(caller.organisation),
                seen_version=seen_version,
            ),
            id=new_id(),
            source=f"onward/gateway/{caller.organisation}",
            subject=str(referral_id),
            time=clock(),
        )
        attempt = NewAttempt(caller.organisation, key, digest, traced(event, request))
        result, answer = await submitted(request, attempt, transaction, settings)
        if isinstance(result, Settled) and (version := from_json(result.answer.body).get("version")):
            answer.headers["ETag"] = f'W/"{version}"'
        return answer

    return router


def _version_seen(request: Request) -> int | None:
    said = request.headers.getlist("if-match")
    if not said:
        return None
    match = _VERSION.fullmatch(said[0].strip()) if len(said) == 1 else None
    if match is None:
        raise Problem(
            400,
            "If-Match names no version",
            'Send the one ETag that a read of the referral gave, such as If-Match: "3", or leave it out.',
        )
    return int(match[1])


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of alternatives with its parts in place; a mapping of the discriminator would point to nowhere."""
    whole = inlined(schema)
    return whole | {"discriminator": {"propertyName": whole["discriminator"]["propertyName"]}}


REQUEST: dict[str, Any] = {
    "parameters": [
        KEY,
        {
            "name": "If-Match",
            "in": "header",
            "description": "The ETag of the version that you saw. If the referral has moved on since: 412.",
            "schema": {"type": "string"},
        },
        PREFER,
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _described(AskedAction.model_json_schema())}},
    },
}
_ETAG = {"ETag": {"description": "The version that it stands in now", "schema": {"type": "string"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ActionAnswer, "description": "Done, and where the referral stands now", "headers": LOCATION | _ETAG},
    202: {
        "model": Pending,
        "description": "Not decided in time, or unknown: ask again with the same key",
        "headers": LOCATION,
    },
    400: {"description": "No usable Idempotency-Key or If-Match, or a body that is not JSON"},
    401: {"description": "No valid token"},
    403: {"description": "Not yours to do, or another organisation's name"},
    404: {"description": "No such referral for the token's organisation"},
    409: {
        "description": "Not as the referral stands, not possible, or no other place was found: `refusal` says which, "
        "with where it stands and the next step; or the key was used for something else"
    },
    412: {"description": "The referral has moved on from the version in If-Match; it says to which"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is not application/json"},
    422: {"description": "Every fault of the body, each with its JSON pointer; nothing was sent on"},
    429: {
        "description": "Too much is under way for an answer in time; nothing was kept",
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
    },
    503: {"description": "Not now; this request put nothing on the log"},
}
