"""Lookup over HTTP: who could take such a patient, in which order and why. Refers nobody, holds and keeps nothing.

No audit row is written: a lookup names no patient and reads nothing that is kept of one.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request

from contracts.people import Position
from contracts.submissions import ServiceId
from services.chassis.identity import Caller, CallerOf
from services.chassis.problems import Fault, Problem
from services.pathways import lookup
from services.pathways.codes import CodeTable
from services.pathways.free_slots import FreeSlots
from services.pathways.index import Index
from services.pathways.places import PlaceUnknown
from services.pathways.postcodes import Postcodes
from services.pathways.request import SearchRequest
from services.pathways.search import explain, search


def routes(
    index: Index,
    free_slots: FreeSlots,
    postcodes: Postcodes,
    codes: CodeTable,
    *,
    complete: Callable[[], bool],
    clock: Callable[[], datetime],
) -> APIRouter:
    """The routes of lookup. `complete` says whether the index has read what there was when it started."""
    router = APIRouter(tags=["pathways"])

    async def request_of(request: Request, caller: Caller, *, besides: frozenset[str] = frozenset()) -> SearchRequest:
        if not complete() or index.not_ready() is not None:
            detail = index.not_ready() or "The directory is still being read."
            raise Problem(503, "Not now", detail, headers={"Retry-After": "1"})
        params = request.query_params
        given = {name: params.getlist(name) for name in params if name not in besides}
        try:
            query = lookup.read(given, codes)
        except lookup.Faulty as faulty:
            raise _faulty(*faulty.faults) from None
        return lookup.request_of(query, await position_of(query), codes, role=caller.role, now=clock())

    async def position_of(query: lookup.Query) -> Position:
        if query.latitude is not None and query.longitude is not None:
            return Position(latitude=query.latitude, longitude=query.longitude)
        name = "postcode" if query.town is None else "town"
        try:
            return (await postcodes.find(query.town or query.postcode or "")).position
        except PlaceUnknown as error:
            raise _faulty(Fault(pointer=f"/{name}", message=str(error))) from None

    @router.get(
        "/pathways",
        summary="Who could take such a patient, in which order and why; refers nobody",
        responses=_ANSWERS,
        openapi_extra={"parameters": _parameters()},
    )
    async def pathways(request: Request, caller: CallerOf) -> lookup.Found:
        """The services that a referral could name in `accept`, the best first, and those that nearly could.

        Send no name and no number of a patient: none is asked for, and none is taken. Which types are fit for a
        patient depends on what the crew found: `POST /triage` tells them, to be given here as `type`, in that order.
        """
        asked = await request_of(request, caller)
        directory = index.snapshot
        return lookup.found(search(directory, asked), asked, directory, free_slots)

    @router.get(
        "/pathways/explanation",
        summary="Of one service its place in a search and why, or every criterion that excludes it",
        responses=_ANSWERS | {404: {"description": "The directory has no entry of this id"}},
        openapi_extra={"parameters": _parameters()},
    )
    async def explanation(service: ServiceId, request: Request, caller: CallerOf) -> lookup.ShownExplanation:
        """The same parameters as `GET /pathways`, and the service's id."""
        asked = await request_of(request, caller, besides=frozenset({"service"}))
        directory = index.snapshot
        explained = explain(directory, asked, service)
        if explained is None:
            raise Problem(404, "No such service", "The directory has no entry of this id.")
        return lookup.explained(explained, asked, service, directory)

    return router


def _faulty(*faults: Fault) -> Problem:
    detail = "Mend each parameter that is named and ask again."
    return Problem(422, "The parameters do not hold", detail, faults=faults)


def _parameters() -> list[dict[str, Any]]:
    """What `lookup.Query` takes, as OpenAPI describes parameters: FastAPI would find its faults one kind at a time."""
    described: Mapping[str, Any] = deepcopy(lookup.Query.model_json_schema()["properties"])
    return [
        {"name": name, "in": "query", "required": False, "description": one.pop("description"), "schema": one}
        for name, one in described.items()
    ]


_ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid token"},
    422: {"description": "Every fault of the parameters; each pointer names one"},
    503: {"description": "The directory is not read yet, or is empty"},
}
