"""Referrals as they stand and as they stood, and the feed."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from anyio import Event
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

from contracts.submissions import ServiceId
from contracts.topics import Topic
from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.identity import Caller, CallerOf
from services.chassis.problems import Problem
from services.referrals.cursor import Cursor, start_of
from services.referrals.facts import FactType
from services.referrals.feed import Feed
from services.referrals.handover import HandedOver, handed_over
from services.referrals.history import History, ReferralNow, ReferralVersion
from services.referrals.news import News, heard
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals, Wanted

ENDING_SECONDS = 3.0
"""How long a stream may take to end by itself when the process stops."""

LOOK_SECONDS = 0.1
"""How often a read looks again for a referral that may be on its way."""


class Progress(Protocol):
    """How far this service's group has read: its host knows."""

    async def end_offset(self, topic: Topic, key: str) -> int:
        """End of the partition that holds this key, now."""

    async def has_passed(self, topic: Topic, key: str, end: int) -> bool:
        """Whether the group has processed that partition up to an end offset."""


class Versions(BaseModel):
    """Every version of a referral, the first one first."""

    versions: list[ReferralVersion]


def routes(
    referrals: Referrals,
    feed: Feed,
    news: News,
    database: Database,
    progress: Progress,
    settings: ReferralsSettings,
    clock: Callable[[], datetime],
) -> APIRouter:
    """The routes of this service."""
    router = APIRouter(tags=["referrals"])

    async def find(referral_id: UUID, caller: Caller, request: Request, action: str = "read referral") -> History:
        _speaks_for_itself(request, caller)
        history = await referrals.history(referral_id) or await arrival(referral_id)
        if history is None or not history.concerns(caller.organisation):
            raise _unknown("No such referral", "There is no referral of this id for your organisation.")
        await audit(database.pool, caller, action, [str(referral_id)])
        return history

    async def arrival(referral_id: UUID) -> History | None:
        """A referral that may still be on the log; None once all that was there at the request is stored."""
        key = str(referral_id)
        end = await progress.end_offset(Topic.SUBMISSIONS, key)
        deadline = time.monotonic() + settings.arrival_seconds
        while True:
            bell = news.bell
            passed = await progress.has_passed(Topic.SUBMISSIONS, key, end)
            # After the question: what the group had passed by then is in the tables now.
            history = await referrals.history(referral_id)
            if history is not None or passed:
                return history
            if time.monotonic() >= deadline:
                raise _not_known_yet()
            await heard(bell, within=LOOK_SECONDS)

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
        history = await find(referral_id, caller, request)
        headers = {"ETag": f'W/"{history.last}"', "Cache-Control": "private, no-cache"}
        if _names(if_none_match, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return history.now(caller.organisation, clock())

    @router.get("/referrals/{referral_id}/versions", summary="Every version of a referral", responses=_READ)
    async def versions(referral_id: UUID, caller: CallerOf, request: Request) -> Versions:
        history = await find(referral_id, caller, request)
        return Versions(versions=[history.told(number) for number in range(1, history.last + 1)])

    @router.get("/referrals/{referral_id}/versions/{number}", summary="A referral as it stood", responses=_READ)
    async def version(referral_id: UUID, number: int, caller: CallerOf, request: Request) -> ReferralVersion:
        history = await find(referral_id, caller, request)
        try:
            return history.told(number)
        except LookupError:
            raise _unknown("No such version", f"The referral has versions 1 to {history.last}.") from None

    @router.get(
        "/referrals/{referral_id}/handover",
        summary="What the crew hands over with the patient",
        responses=_READ,
    )
    async def handover(referral_id: UUID, caller: CallerOf, request: Request, response: Response) -> HandedOver:
        """For the organisation that refers and the one whose service will see the patient."""
        await find(referral_id, caller, request, "read handover")
        submitted = await referrals.submission(referral_id)
        if submitted is None:
            raise _not_known_yet()
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
        last_event_id: Annotated[
            str | None, Header(description="the `id` of the last event that was read; goes before `since`")
        ] = None,
    ) -> EventSourceResponse:
        """Facts of your organisation's referrals, in order, as Server-Sent Events.

        `id` is the cursor, `event` the type, `data` the CloudEvent. The referrer's organisation is told every fact; the
        receiving service's the outcome that names it and what follows. After a loss of the connection the stream
        resumes behind `Last-Event-ID` and loses nothing. A block with an `id` alone, and no data, is a sign of life.
        """
        _speaks_for_itself(request, caller)
        start = start_of(last_event_id or since, Cursor(*await referrals.end()))
        wanted = Wanted(caller.organisation, types, referral, service)
        ending = Event()
        return EventSourceResponse(
            feed.stream(caller, wanted, start, ending),
            ping=0,
            sep="\n",
            shutdown_event=ending,
            shutdown_grace_period=ENDING_SECONDS,
        )

    return router


def _speaks_for_itself(request: Request, caller: Caller) -> None:
    if any(said != caller.organisation for said in request.query_params.getlist("organisation")):
        raise Problem(
            403,
            "Another organisation's name",
            "The query names an organisation that the token does not act for. Leave it out.",
        )


def _unknown(title: str, detail: str) -> Problem:
    return Problem(404, title, detail)


def _not_known_yet() -> Problem:
    return Problem(
        503,
        "Not known yet",
        "What was sent lately is still being read, and what you ask for may be among it. Ask again in a moment.",
        headers={"Retry-After": "1"},
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
