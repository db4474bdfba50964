"""Places over HTTP: the position of what a crew has, and loading an open postcode table."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.chassis.bodies import sent_as
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.pathways.http import EDITOR
from services.pathways.places import NoTable, Place, PlaceUnknown
from services.pathways.postcodes import Counted, Postcodes, PostcodesFaulty
from services.pathways.upload import uploaded


def routes(postcodes: Postcodes) -> APIRouter:
    """The routes of places."""
    router = APIRouter(tags=["places"])

    @router.get(
        "/places",
        summary="The position of a town, an outcode or a postcode",
        responses={
            404: {"description": "Not in the table; towns of similar names are given"},
            409: {"description": "A postcode was asked for and no postcode table has been loaded"},
        },
    )
    async def find(q: Annotated[str, Query(min_length=2, max_length=80)], _caller: CallerOf) -> Place:
        """What has the form of a postcode or outcode is looked up as one, all else among the towns."""
        return await position_of(postcodes, q)

    @router.post(
        "/places/import",
        summary="Load an open postcode table, in the place of the one before, whole or not at all",
        responses={
            403: {"description": "The token's role may not change the table"},
            400: {"description": "Half a body"},
            413: {"description": "The body is too large; nothing was kept"},
            415: {"description": "The body is not text/csv"},
            422: {"description": "Every faulty line; nothing was kept"},
        },
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def load(request: Request, caller: CallerOf) -> Counted:
        """CSV with a line of names: the ONS Postcode Directory, or `outcode,latitude,longitude`."""
        if caller.role != EDITOR:
            raise Problem(403, "Not yours to change", f"Only the role {EDITOR} may change the postcode table.")
        sent_as(request, "text/csv")
        async with uploaded(request) as table:
            try:
                return await postcodes.load(table, by=caller)
            except PostcodesFaulty as faulty:
                detail = "Nothing of it was kept. Mend each fault and send it again."
                raise Problem(422, "The postcode table does not hold", detail, faults=faulty.faults) from None

    return router


async def position_of(postcodes: Postcodes, asked: str) -> Place:
    """The place that was named. Raises Problem, with what to do."""
    try:
        return await postcodes.find(asked)
    except NoTable as error:
        raise Problem(409, "No postcode table", str(error)) from None
    except PlaceUnknown as error:
        raise Problem(404, "No such place", str(error)) from None
