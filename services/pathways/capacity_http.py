"""Capacity over HTTP: a service's own organisation reports it, and everyone may know it."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from contracts.envelope import Text
from contracts.submissions import ServiceId
from services.chassis.bodies import read, received
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.pathways.capacity import (
    DEFAULT_RESET_MINUTES,
    LEAST_RESET_MINUTES,
    MOST_NOTES,
    MOST_RESET_MINUTES,
    Reported,
)
from services.pathways.capacity_store import CapacityReports, History, NoSuchService, NotItsOwn, Report

MOST_REPORTS = 200
MOST_BYTES = 16_384
"""The longest notes, in any spelling, and all else."""


class CapacityBody(BaseModel):
    """How full a service is."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    capacity: Reported
    reset_in_minutes: int = Field(
        default=DEFAULT_RESET_MINUTES,
        ge=LEAST_RESET_MINUTES,
        le=MOST_RESET_MINUTES,
        description="for how long it holds; after that the service is unknown",
    )
    notes: Annotated[Text, StringConstraints(max_length=MOST_NOTES)] = Field(
        default="", description="for the service's own organisation; nothing about a patient"
    )


def routes(reports: CapacityReports) -> APIRouter:
    """The routes of capacity."""
    router = APIRouter(tags=["directory"])

    @router.put(
        "/services/{service_id}/capacity",
        summary="Report how full a service is",
        responses=_REPORTED,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": CapacityBody.model_json_schema()}},
            }
        },
    )
    async def report(service_id: ServiceId, request: Request, caller: CallerOf) -> Report:
        """The service is this full from now on, until the report runs out or another takes its place."""
        body, _ = read(await received(request, MOST_BYTES), CapacityBody, title="The report cannot be used")
        try:
            return await reports.report(
                service_id,
                body.capacity,
                reset_in=timedelta(minutes=body.reset_in_minutes),
                notes=body.notes,
                by=caller,
            )
        except NoSuchService:
            raise _no_such_service() from None
        except NotItsOwn:
            detail = "Only the organisation that provides a service may report for it, and the token is another's."
            raise Problem(403, "Not yours to report", detail) from None

    @router.get(
        "/services/{service_id}/capacity", summary="How full a service is, and what it reported", responses=_READ
    )
    async def history(
        service_id: ServiceId,
        caller: CallerOf,
        before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="only reports before this version")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_REPORTS, description="at most so many reports")] = 20,
    ) -> History:
        """Who reported, and their notes, are told to the service's own organisation only."""
        try:
            return await reports.history(service_id, before=before, limit=limit, by=caller)
        except NoSuchService:
            raise _no_such_service() from None

    return router


def _no_such_service() -> Problem:
    return Problem(404, "No such service", "The directory has no entry of this id.")


_READ: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid token"},
    404: {"description": "The directory has no entry of this id"},
    422: {"description": "Every fault of the request"},
}
_REPORTED = _READ | {
    400: {"description": "The body is not JSON"},
    403: {"description": "The service is another organisation's"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is not application/json"},
}
