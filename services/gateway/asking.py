"""What every request to the gateway says of itself: for whom, under which key; and how what came of it is answered."""

from typing import TypeVar

from fastapi import Request, Response

from contracts.envelope import Event
from services.chassis import traces
from services.chassis.attempt_keys import key_of
from services.chassis.direct import Answering, DirectRoute
from services.chassis.failures import is_transient
from services.chassis.identity import Caller, caller_of
from services.chassis.problems import PROBLEM, Problem
from services.gateway.answer import PENDING, UNKNOWN, Pending
from services.gateway.handlers import KeyTaken, Known, Result, Settled, Transaction, Unknown
from services.gateway.overload import Refusal
from services.gateway.preferences import Preference, preference_of
from services.gateway.settings import GatewaySettings
from services.gateway.store import Kind, NewAttempt
from services.gateway.traces import traceparent_of

BAD_REQUEST = 400

Told = TypeVar("Told", bound=Event)


def speaks_for_itself(request: Request, caller: Caller) -> None:
    """Raises a problem, 403, where the query names another organisation than the token's."""
    if any(said != caller.organisation for said in request.query_params.getlist("organisation")):
        raise Problem(
            403,
            "Another organisation's name",
            "The query names an organisation that the token does not act for. Leave it out: who asks is taken from the "
            "token.",
        )


def not_now(what: str) -> Problem:
    """503: this request put nothing on the log."""
    return Problem(
        503,
        "Not now",
        f"{what} This request put nothing on the log. Ask again in a moment with the same Idempotency-Key.",
        headers={"Retry-After": "1"},
    )


def traced(event: Told, request: Request) -> Told:
    """The event in the trace of its request, where there is one."""
    traceparent = traces.current() or traceparent_of(request.headers.get("traceparent"))
    return event.model_copy(update={"traceparent": traceparent}) if traceparent else event


def doorkept(kind: Kind, transaction: Transaction, settings: GatewaySettings) -> type[DirectRoute]:
    """A class of routes that look for room before anything else of what is posted is looked at: a refusal is to cost
    little, for what it takes is taken from those who were let in."""

    class Doorkept(DirectRoute):
        def get_route_handler(self) -> Answering:
            answer = super().get_route_handler()

            async def behind_the_door(request: Request) -> Response:
                if request.method == "POST" and transaction.may_refuse():
                    await _let_in(request, kind, transaction, settings)
                return await answer(request)

            return behind_the_door

    return Doorkept


async def _let_in(request: Request, kind: Kind, transaction: Transaction, settings: GatewaySettings) -> None:
    """Raises a problem, 429, where there is no room; and what the route itself would of who asks and of the key."""
    caller = await caller_of(request, None)
    speaks_for_itself(request, caller)
    preference = _preference_of(request, settings)
    refusal = await transaction.refusal(caller.organisation, key_of(request, kind), seconds=preference.seconds)
    if refusal is not None:
        raise _no_room(refusal, preference, kind)


async def submitted(
    request: Request, attempt: NewAttempt, transaction: Transaction, settings: GatewaySettings
) -> tuple[Result, Response]:
    """What came of what is asked, after as long a wait as the sender prefers, and what they are told of it.

    Raises a problem: 409 or 429, or 503 where it cannot be stored.
    """
    preference = _preference_of(request, settings)
    try:
        result = await transaction.submit(attempt, seconds=preference.seconds, gone=request.receive)
    except Exception as error:
        if not is_transient(error):
            raise
        raise not_now(f"The {attempt.kind} cannot be stored at the moment.") from error
    if isinstance(result, Refusal):
        raise _no_room(result, preference, attempt.kind)
    return result, response(result, preference.applied, attempt.kind)


def _preference_of(request: Request, settings: GatewaySettings) -> Preference:
    return preference_of(
        request.headers.getlist("prefer"), default=settings.wait_seconds, longest=settings.longest_wait_seconds
    )


def _no_room(refusal: Refusal, preference: Preference, kind: Kind) -> Problem:
    return Problem(
        429,
        "Too much is under way",
        f"{refusal.why} This {kind} would not be answered in time, and nothing of it was kept. Send it again, "
        f"with the same Idempotency-Key, after {refusal.retry_seconds} seconds, or telephone.",
        headers=_applied(preference.applied) | {"Retry-After": str(refusal.retry_seconds)},
    )


def _applied(preference: str | None) -> dict[str, str]:
    return {} if preference is None else {"Preference-Applied": preference}


def response(result: Known, applied: str | None, kind: Kind, *, status: int | None = None) -> Response:
    """What the sender is told: an answer under its own status unless another is given.

    `applied` is what was honoured of its preference. Raises a problem, 409.
    """
    headers = _applied(applied)
    if isinstance(result, KeyTaken):
        raise Problem(
            409,
            "The key was used for something else",
            "This Idempotency-Key stands for a request with another content. Nothing was stored or sent on. "
            f"Make a new key for a new {kind}; send the first request again for its answer.",
            headers=headers,
        )
    if isinstance(result, Unknown):
        # No id: whoever reads a referral that was answered must find it.
        unknown = Pending(referral_id=None, outcome="unknown", next_step=UNKNOWN)
        return Response(unknown.model_dump_json(), 202, headers, "application/json")
    headers["Location"] = f"/referrals/{result.referral}"
    if isinstance(result, Settled):
        refused = result.answer.status >= BAD_REQUEST
        return Response(
            result.answer.body,
            result.answer.status if status is None else status,
            headers,
            PROBLEM if refused else "application/json",
        )
    pending = Pending(referral_id=result.referral, outcome="pending", next_step=PENDING)
    return Response(pending.model_dump_json(), 202, headers, "application/json")
