"""What would be decided on a submission, by which rules, and what each presentation asks. Nothing is stored or told."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from contracts.submissions import Submission
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem, faults_of
from services.triage.asking import ListedPresentations, listed
from services.triage.dry_run import DryRun, dry_run
from services.triage.precedence import Rules

MOST_BYTES = 65_536


def routes(rules: Rules, *, clock: Callable[[], datetime]) -> APIRouter:
    """Triage's routes, deciding by these rules. `clock` gives the time in UTC."""
    router = APIRouter(tags=["triage"])
    presentations = listed(rules)

    @router.post(
        "/triage",
        summary="What would be decided, and by which rules; stores nothing",
        responses={
            200: {"model": DryRun},
            400: {"description": "The body is not JSON"},
            401: {"description": "No valid token"},
            413: {"description": "The body is too large"},
            422: {"description": "Every fault of the body, each with its JSON pointer"},
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "A submission, as for POST /referrals",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def triage(request: Request, _caller: CallerOf) -> Response:
        # Read raw: FastAPI would let through what the contract does not know, and the gateway does not.
        submission = submission_in(await _body(request))
        return Response(dry_run(submission, rules, clock()).model_dump_json(), media_type="application/json")

    @router.get(
        "/presentations",
        summary="What a crew can select, and what each presentation asks",
        responses={401: {"description": "No valid token"}},
    )
    async def all_presentations(_caller: CallerOf) -> ListedPresentations:
        return presentations

    return router


def submission_in(body: bytes) -> Submission:
    """The submission that a body holds. Raises Problem: 400 when it is not JSON, 422 with every fault."""
    try:
        return Submission.model_validate_json(body, extra="forbid")
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] == "json_invalid":
            raise Problem(400, "The body is not JSON", "Send a submission as JSON in UTF-8.") from None
        raise Problem(
            422, "The submission cannot be used", "Mend each fault and send it again.", faults=faults_of(error)
        ) from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Problem(413, "The body is too large", f"A submission has at most {MOST_BYTES} bytes.")
    return bytes(body)
