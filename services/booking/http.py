"""Free slots over HTTP. To look at: a slot is held by a referral alone."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from contracts.diaries import FreeSlot
from contracts.envelope import Instant
from contracts.placements import BookingKind
from contracts.submissions import ServiceId
from services.booking.free_slots import FreeSlots
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem

MOST_SLOTS = 200


class FreeSlotsShown(BaseModel):
    """Free slots of a service, the earliest first."""

    service_id: str
    booking: BookingKind = Field(
        description="without `slots` there are hours, where it takes so many an hour; neither where we keep no diary"
    )
    as_of: datetime
    slots: list[FreeSlot]
    more_from: datetime | None = Field(description="ask with this `from` for more; none where there are none")


def routes(free_slots: FreeSlots, *, clock: Callable[[], datetime], horizon: timedelta) -> APIRouter:
    """The routes of booking."""
    router = APIRouter(tags=["slots"])

    @router.get(
        "/services/{service_id}/slots",
        summary="Free slots of a service",
        responses={
            401: {"description": "No valid token"},
            404: {"description": "Booking knows no service of this id"},
            422: {"description": "Every fault of the request"},
        },
    )
    async def slots(
        service_id: ServiceId,
        _caller: CallerOf,
        begin: Annotated[
            Instant | None, Query(alias="from", description="slots that begin then or later; from now on if none")
        ] = None,
        until: Annotated[
            Instant | None, Query(description="slots that begin before then; up to the horizon if none")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_SLOTS, description="at most so many")] = 50,
    ) -> FreeSlotsShown:
        """What could be held at this moment. Looking holds nothing: another referral may take it first."""
        page = await free_slots.page(service_id, begin=begin, until=until or clock() + horizon, limit=limit)
        if page is None:
            raise Problem(404, "No such service", "Booking has no service of this id.")
        return FreeSlotsShown(
            service_id=service_id,
            booking=page.booking,
            as_of=page.as_of,
            slots=list(page.slots),
            more_from=page.more_from,
        )

    return router
