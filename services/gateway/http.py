"""`POST /referrals`: a request in, one answer out. What is decided is decided elsewhere."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from contracts.people import Desk, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData, Submission
from services.chassis import traces
from services.chassis.bodies import received
from services.chassis.failures import is_transient
from services.chassis.identity import Caller, CallerOf
from services.chassis.problems import Problem
from services.gateway.answer import PENDING, UNKNOWN, Answer, Pending
from services.gateway.body import read
from services.gateway.desks import Desks
from services.gateway.handlers import KeyTaken, Result, Settled, Transaction, Unknown
from services.gateway.marks import marks_of
from services.gateway.overload import Refusal
from services.gateway.preferences import preference_of
from services.gateway.settings import GatewaySettings
from services.gateway.store import NewAttempt
from services.gateway.traces import traceparent_of

_UUID = re.compile(r'"?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"?', re.IGNORECASE | re.ASCII)
"""The draft standard writes the key in quotes; most senders do not."""


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
    router = APIRouter(tags=["referrals"])

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
        _speaks_for_itself(request, caller)
        key = _key_of(request)
        desk = desks.of(caller.organisation)
        if desk is None:
            raise _without_desk(caller.organisation, known=desks_known())
        submission, digest = read(await received(request, settings.body_bytes), organisation=caller.organisation)
        event = _event(submission, caller, desk, request, now=clock(), new_id=new_id, settings=settings)
        preference = preference_of(
            request.headers.getlist("prefer"), default=settings.wait_seconds, longest=settings.longest_wait_seconds
        )
        try:
            result = await transaction.submit(
                NewAttempt(caller.organisation, key, digest, event), seconds=preference.seconds, gone=request.receive
            )
        except Exception as error:
            if not is_transient(error):
                raise
            raise _not_now("The submission cannot be stored at the moment.") from error
        return _response(result, preference.applied)

    @router.get(
        "/attempts/{key}",
        summary="What came of a submission, by its Idempotency-Key; refers nobody",
        responses=ATTEMPT_RESPONSES,
    )
    async def attempt(key: UUID, request: Request, caller: CallerOf) -> Response:
        # For a sender that lost the answer, and whose submission is too old to be sent again.
        _speaks_for_itself(request, caller)
        try:
            result = await transaction.outcome(caller.organisation, key)
        except Exception as error:
            if not is_transient(error):
                raise
            raise _not_now("What was received cannot be read at the moment.") from error
        if result is None:
            raise Problem(
                404,
                "Nothing was received under this key",
                "Your organisation has no submission under this key. If the patient still needs it, send it.",
            )
        return _response(result, None, settled=200)

    return router


def _speaks_for_itself(request: Request, caller: Caller) -> None:
    if any(said != caller.organisation for said in request.query_params.getlist("organisation")):
        raise Problem(
            403,
            "Another organisation's name",
            "The query names an organisation that the token does not act for. Leave it out: who refers is taken from "
            "the token.",
        )


def _key_of(request: Request) -> UUID:
    said = request.headers.getlist("idempotency-key")
    match = _UUID.fullmatch(said[0].strip()) if len(said) == 1 else None
    if match is None:
        raise Problem(
            400,
            "An Idempotency-Key is needed",
            "Send one header Idempotency-Key with a UUID made for this submission, and the same one with every retry "
            "of it, so that a retry is never a second referral.",
        )
    return UUID(match[1])


def _without_desk(organisation: str, *, known: bool) -> Problem:
    if not known:
        return _not_now("The gateway is starting and has not read every organisation's desk yet.")
    return Problem(
        403,
        "The organisation has no desk",
        f"{organisation} has no desk listed, so nobody would own its referrals. "
        "List one in the directory, with the telephone where someone answers: onward directory load.",
    )


def _not_now(what: str) -> Problem:
    return Problem(
        503,
        "Not now",
        f"{what} This request put nothing on the log. Ask again in a moment with the same Idempotency-Key.",
        headers={"Retry-After": "1"},
    )


def _event(
    submission: Submission,
    caller: Caller,
    desk: Desk,
    request: Request,
    *,
    now: datetime,
    new_id: Callable[[], UUID],
    settings: GatewaySettings,
) -> ReferralSubmitted:
    try:
        referrer = Referrer(organisation=caller.organisation, practitioner=caller.practitioner, role=caller.role)
    except ValidationError:
        raise Problem(
            403,
            "The token cannot be used here",
            "Its claims organisation, practitioner and role must be an ODS code and two texts of 1 to 100 characters.",
        ) from None
    event = ReferralSubmitted.first(
        ReferralSubmittedData(
            submission=submission,
            referrer=referrer,
            desk=desk,
            answer_by=now + settings.answer_within,
            marks=marks_of(submission, now),
        ),
        id=new_id(),
        source=f"onward/gateway/{caller.organisation}",
        subject=str(new_id()),
        time=now,
    )
    traceparent = traces.current() or traceparent_of(request.headers.get("traceparent"))
    return event.model_copy(update={"traceparent": traceparent}) if traceparent else event


def _response(result: Result, applied: str | None, *, settled: int = 201) -> Response:
    headers = {} if applied is None else {"Preference-Applied": applied}
    if isinstance(result, Refusal):
        raise Problem(
            429,
            "Too much is under way",
            f"{result.why} This submission would not be answered in time, and nothing of it was kept. Send it again, "
            f"with the same Idempotency-Key, after {result.retry_seconds} seconds, or telephone.",
            headers=headers | {"Retry-After": str(result.retry_seconds)},
        )
    if isinstance(result, KeyTaken):
        raise Problem(
            409,
            "The key was used for another body",
            "This Idempotency-Key stands for a submission with another content. Nothing was stored or sent on. "
            "Make a new key for a new submission; send the first body for its answer.",
            headers=headers,
        )
    if isinstance(result, Unknown):
        # No id: whoever reads a referral that was answered must find it.
        unknown = Pending(referral_id=None, outcome="unknown", next_step=UNKNOWN)
        return Response(unknown.model_dump_json(), 202, headers, "application/json")
    headers["Location"] = f"/referrals/{result.referral}"
    if isinstance(result, Settled):
        return Response(result.body, settled, headers, "application/json")
    pending = Pending(referral_id=result.referral, outcome="pending", next_step=PENDING)
    return Response(pending.model_dump_json(), 202, headers, "application/json")


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


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Names the attempt. The same key and body always get the same referral and outcome.",
    "schema": {"type": "string", "format": "uuid"},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N`: wait up to N seconds for the outcome, at most 30; `respond-async`: do not wait.",
    "schema": {"type": "string", "default": "wait=5"},
}
REQUEST: dict[str, Any] = {
    "parameters": [_KEY, _PREFER],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": inlined(Submission.model_json_schema())}},
    },
}
_LOCATION = {"Location": {"description": "The referral", "schema": {"type": "string"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    201: {"model": Answer, "description": "The outcome", "headers": _LOCATION},
    202: {
        "model": Pending,
        "description": "Not settled in time, or unknown: ask again with the same key",
        "headers": _LOCATION,
    },
    400: {"description": "No usable Idempotency-Key, or a body that is not JSON"},
    401: {"description": "No valid token"},
    403: {"description": "Another organisation's name, or an organisation without a desk"},
    409: {"description": "The key was used for another body; nothing was sent on"},
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
    200: {"model": Answer, "description": "The outcome", "headers": _LOCATION},
    202: {"model": Pending, "description": "Received, and not settled yet", "headers": _LOCATION},
    401: {"description": "No valid token"},
    403: {"description": "Another organisation's name"},
    404: {"description": "Nothing was received under this key"},
    503: {"description": "Not now"},
}
