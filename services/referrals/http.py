"""Referrals as they stand and as they stood, and the feed."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from anyio import Event
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

from contracts.people import Desk
from contracts.submissions import ServiceId
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.referrals.cursor import Cursor, start_of
from services.referrals.facts import FactType, Submitted
from services.referrals.feed import Feed
from services.referrals.finding import Finding, not_known_yet, speaks_for_itself, unknown
from services.referrals.handover import HandedOver, handed_over
from services.referrals.history import ReferralNow, ReferralVersion
from services.referrals.store import Referrals, Wanted

ENDING_SECONDS = 3.0
"""How long a stream may take to end by itself when the process stops."""


class Versions(BaseModel):
    """Every version of a referral, the first one first."""

    versions: list[ReferralVersion]


def routes(referrals: Referrals, feed: Feed, finding: Finding, clock: Callable[[], datetime]) -> APIRouter:
    """The routes of this service."""
    router = APIRouter(tags=["referrals"])

    @router.get(
        "/referrals/{referral_id}",
        summary="Where a referral stands",
        response_model=ReferralNow,
        responses=_READ | _UNCHANGED,
    )
    async def read(
        referral_id: UUID,
        caller: CallerOf,
        request: Request,
        response: Response,
        if_none_match: Annotated[str | None, Header(description="an ETag: 304 while the version is the same")] = None,
    ) -> ReferralNow | Response:
        """Its version is the ETag: send it with an action, in `If-Match`, and nothing is done that others overtook."""
        history = await finding.find(referral_id, caller, request, "read referral")
        headers = {"ETag": f'W/"{history.last}"', "Cache-Control": "private, no-cache"}
        if _names(if_none_match, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        # The other desk's patient is nothing to a service that sees this one.
        theirs = history.is_referred_by(caller.organisation)
        return history.now(caller.organisation, clock(), await referrals.duplicates(referral_id) if theirs else ())

    @router.get("/referrals/{referral_id}/versions", summary="Every version of a referral", responses=_READ)
    async def versions(referral_id: UUID, caller: CallerOf, request: Request) -> Versions:
        history = await finding.find(referral_id, caller, request, "read referral")
        return Versions(versions=[history.told(number) for number in range(1, history.last + 1)])

    @router.get("/referrals/{referral_id}/versions/{number}", summary="A referral as it stood", responses=_READ)
    async def version(referral_id: UUID, number: int, caller: CallerOf, request: Request) -> ReferralVersion:
        history = await finding.find(referral_id, caller, request, "read referral")
        try:
            return history.told(number)
        except LookupError:
            raise unknown("No such version", f"The referral has versions 1 to {history.last}.") from None

    @router.get(
        "/referrals/{referral_id}/handover",
        summary="What the crew hands over with the patient",
        responses=_READ | {500: {"description": "A part of what was submitted cannot be read: whom to telephone"}},
    )
    async def handover(referral_id: UUID, caller: CallerOf, request: Request, response: Response) -> HandedOver:
        """For the organisation that refers and the one whose service will see the patient."""
        await finding.find(referral_id, caller, request, "read handover")
        submitted = await referrals.submission(referral_id)
        if submitted is None:
            raise not_known_yet()
        if isinstance(submitted, Submitted):
            raise _not_readable(submitted.data.desk)
        response.headers["Cache-Control"] = "private, no-store"
        return handed_over(submitted)

    @router.get(
        "/events", summary="Facts as they happen", tags=["feed"], responses=_STREAM, response_class=EventSourceResponse
    )
    async def events(
        caller: CallerOf,
        request: Request,
        since: Annotated[
            str | None,
            Query(description="a cursor, or `now` to begin at the end; without it the stream begins at the beginning"),
        ] = None,
        types: Annotated[
            list[FactType] | None, Query(alias="type", description="only facts of these types; may be repeated")
        ] = None,
        referral: Annotated[UUID | None, Query(description="only facts of this referral")] = None,
        service: Annotated[
            ServiceId | None, Query(description="only facts of referrals placed with this service: outcome and after")
        ] = None,
        standings: Annotated[
            bool, Query(description="tell where each referral stands, too, before the fact that brought it there")
        ] = False,
        last_event_id: Annotated[
            str | None, Header(description="the `id` of the last event that was read; goes before `since`")
        ] = None,
    ) -> EventSourceResponse:
        """Facts of your organisation's referrals, in order, as Server-Sent Events.

        `id` is the cursor, `event` the type, `data` the CloudEvent. The referrer's organisation is told every fact; the
        receiving service's the outcome that names it and what follows. After a loss of the connection the stream
        resumes behind `Last-Event-ID` and loses nothing. A block with an `id` alone, and no data, is a sign of life.

        With `standings=true` a fact that moves its referral comes behind a block `standing` without an `id`: the
        referral as `GET /referrals/{id}` reads it from then on, without `asked`, `duplicates` and `actions`. Who keeps
        the last one of each referral has every referral as it stands. A receiver whose booking is withdrawn
        (`booking.withdrawn` with the `reference` that stands) and who is told no further standing is not on the
        referral any more. After a 410 forget what you kept and begin at `resume`.
        """
        speaks_for_itself(request, caller)
        start = start_of(last_event_id or since, Cursor(*await referrals.end()))
        wanted = Wanted(caller.organisation, types, referral, service, standings)
        ending = Event()
        return EventSourceResponse(
            feed.stream(caller, wanted, start, ending),
            ping=0,
            sep="\n",
            shutdown_event=ending,
            shutdown_grace_period=ENDING_SECONDS,
        )

    return router


def _not_readable(desk: Desk) -> Problem:
    return Problem(
        500,
        "What was submitted cannot be read",
        "It is kept as it came, and a part of it is not in the form that it should have. Nothing of it is shown, since "
        f"what is missing could not be told from what was never said. Telephone {desk.name}: {desk.telephone}.",
    )


def _names(if_none_match: str | None, etag: str) -> bool:
    """Whether an If-None-Match names this ETag (RFC 9110, 13.1.2: weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


_REFUSED: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid token"},
    403: {"description": "Another organisation's name"},
}
_READ = _REFUSED | {
    404: {"description": "No such referral for the token's organisation"},
    503: {"description": "Not known yet, or not now: ask again"},
}
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The version is still the one that was named"}}
_STREAM = _REFUSED | {
    200: {"description": "A stream of facts", "content": {"text/event-stream": {}}},
    400: {"description": "Not a cursor of this feed"},
    410: {"description": "A cursor from before a restore; `resume` says where to begin again"},
}
