"""What would be decided on a submission, by which rules, and what each presentation asks. Nothing is stored or told."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request, Response

from contracts.submissions import Submission
from services.chassis.bodies import read, received
from services.chassis.identity import CallerOf
from services.triage.asking import ListedPresentations, listed
from services.triage.dry_run import DryRun, dry_run
from services.triage.precedence import Rules


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
            415: {"description": "The body is not application/json"},
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
        submission, _ = read(await received(request), Submission, title="The submission cannot be used")
        return Response(dry_run(submission, rules, clock()).model_dump_json(), media_type="application/json")

    @router.get(
        "/presentations",
        summary="What a crew can select, and what each presentation asks",
        responses={401: {"description": "No valid token"}},
    )
    async def all_presentations(_caller: CallerOf) -> ListedPresentations:
        return presentations

    return router
