"""`POST /referrals`: a request in, one answer out. What is decided is decided elsewhere."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from contracts.people import Desk, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData, Submission
from services.chassis.attempt_keys import key_of, referrer_of
from services.chassis.bodies import received
from services.chassis.failures import is_transient
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.gateway.answer import Answer, Pending
from services.gateway.asking import doorkept, not_now, response, speaks_for_itself, submitted, traced
from services.gateway.body import read
from services.gateway.decided import ActionAnswer
from services.gateway.desks import Desks
from services.gateway.handlers import Transaction
from services.gateway.marks import marks_of
from services.gateway.settings import GatewaySettings
from services.gateway.store import NewAttempt


def routes(
    transaction: Transaction,
    *,
    settings: GatewaySettings,
    desks: Desks,
    desks_known: Callable[[], bool],
    clock: Callable[[], datetime],
    new_id: Callable[[], UUID],
) -> APIRouter:
    """The gateway's routes. `desks_known` says whether every desk was read, and one that is missing is not listed."""
    router = APIRouter(tags=["referrals"], route_class=doorkept("submission", transaction, settings))

    @router.post(
        "/referrals",
        summary="Refer a patient, find the pathway and book, in one transaction",
        status_code=201,
        responses=RESPONSES,
        openapi_extra=REQUEST,
    )
    async def refer(request: Request, caller: CallerOf) -> Response:
        # The body is read raw: the digest is of what was sent, and one refusal names every fault. The answer is the
        # sender's own referral without the patient's identity, so it leaves no row in the audit.
        speaks_for_itself(request, caller)
        key = key_of(request, "submission")
        desk = desks.of(caller.organisation)
        if desk is None:
            raise _without_desk(caller.organisation, known=desks_known())
        submission, digest = read(await received(request, settings.body_bytes), organisation=caller.organisation)
        event = _event(submission, referrer_of(caller), desk, now=clock(), new_id=new_id, settings=settings)
        attempt = NewAttempt(caller.organisation, key, digest, traced(event, request))
        _, answer = await submitted(request, attempt, transaction, settings)
        return answer

    @router.get(
        "/attempts/{key}",
        summary="What came of a submission or an action, by its Idempotency-Key; does nothing",
        responses=ATTEMPT_RESPONSES,
    )
    async def attempt(key: UUID, request: Request, caller: CallerOf) -> Response:
        # For a sender that lost the answer, and whose submission is too old to be sent again.
        speaks_for_itself(request, caller)
        try:
            result = await transaction.outcome(caller.organisation, key)
        except Exception as error:
            if not is_transient(error):
                raise
            raise not_now("What was received cannot be read at the moment.") from error
        if result is None:
            raise Problem(
                404,
                "Nothing was received under this key",
                "Your organisation has no submission and no action under this key. If the patient still needs it, send "
                "it.",
            )
        return response(result, None, "submission", status=200)

    return router


def _without_desk(organisation: str, *, known: bool) -> Problem:
    if not known:
        return not_now("The gateway is starting and has not read every organisation's desk yet.")
    return Problem(
        403,
        "The organisation has no desk",
        f"{organisation} has no desk listed, so nobody would own its referrals. "
        "List one in the directory, with the telephone where someone answers: onward directory load.",
    )


def _event(
    submission: Submission,
    referrer: Referrer,
    desk: Desk,
    *,
    now: datetime,
    new_id: Callable[[], UUID],
    settings: GatewaySettings,
) -> ReferralSubmitted:
    return ReferralSubmitted.first(
        ReferralSubmittedData(
            submission=submission,
            referrer=referrer,
            desk=desk,
            answer_by=now + settings.answer_within,
            marks=marks_of(submission, now),
        ),
        id=new_id(),
        source=f"onward/gateway/{referrer.organisation}",
        subject=str(new_id()),
        time=now,
    )


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema with its `$defs` put where they are referred to, closed to unknown members.

    An OpenAPI document resolves `#/$defs/…` at its own root, so they cannot stay. The schema must not be recursive.
    """
    definitions = schema.get("$defs", {})

    def inline(part: Any) -> Any:
        if isinstance(part, list):
            return [inline(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            said_here = {name: value for name, value in part.items() if name != "$ref"}
            return inline(definitions[part["$ref"].rsplit("/", 1)[1]]) | said_here
        closed = {"additionalProperties": False} if part.get("additionalProperties") is True else {}
        return {name: inline(value) for name, value in part.items() if name != "$defs"} | closed

    whole: dict[str, Any] = inline(schema)
    return whole


KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Names the attempt. The same key and request always get the same outcome.",
    "schema": {"type": "string", "format": "uuid"},
}
PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N`: wait up to N seconds for the outcome, at most 30; `respond-async`: do not wait.",
    "schema": {"type": "string", "default": "wait=5"},
}
REQUEST: dict[str, Any] = {
    "parameters": [KEY, PREFER],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": inlined(Submission.model_json_schema())}},
    },
}
LOCATION = {"Location": {"description": "The referral", "schema": {"type": "string"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    201: {"model": Answer, "description": "The outcome", "headers": LOCATION},
    202: {
        "model": Pending,
        "description": "Not settled in time, or unknown: ask again with the same key",
        "headers": LOCATION,
    },
    400: {"description": "No usable Idempotency-Key, or a body that is not JSON"},
    401: {"description": "No valid token"},
    403: {"description": "Another organisation's name, or an organisation without a desk"},
    409: {"description": "The key was used for something else; nothing was sent on"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is not application/json"},
    422: {"description": "Every fault of the body, each with its JSON pointer; nothing was sent on"},
    429: {
        "description": "Too much is under way for an answer in time; nothing was kept",
        "headers": {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
    },
    503: {"description": "Not now; this request put nothing on the log"},
}
ATTEMPT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Answer | ActionAnswer,
        "description": "What it was answered; of an action that was refused the problem, with its `status`",
        "headers": LOCATION,
    },
    202: {"model": Pending, "description": "Received, and not settled yet", "headers": LOCATION},
    401: {"description": "No valid token"},
    403: {"description": "Another organisation's name"},
    404: {"description": "Nothing was received under this key"},
    503: {"description": "Not now"},
}
