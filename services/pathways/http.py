"""The directory over HTTP: loading a whole document, and reading one entry."""

from fastapi import APIRouter, Request

from contracts.directory import ServiceListedData
from contracts.people import Desk
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.pathways.directory_file import DirectoryFaulty, parse
from services.pathways.store import Listings, Loaded

EDITOR = "directory-editor"
"""The role that may change the directory."""

DOCUMENT = {
    "type": "object",
    "properties": {
        # The entry's schema is among the document's components: the other route answers with it.
        "services": {"type": "array", "items": {"$ref": "#/components/schemas/Service"}},
        "desks": {"type": "array", "items": Desk.model_json_schema()},
    },
    "additionalProperties": False,
}


def routes(listings: Listings) -> APIRouter:
    """The routes of the directory."""
    router = APIRouter(tags=["directory"])

    @router.post(
        "/services/import",
        summary="Load a directory document: services and desks, whole or not at all",
        responses={
            403: {"description": "The token's role may not change the directory"},
            422: {"description": "Every faulty entry, with its JSON pointer; nothing was kept"},
        },
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": DOCUMENT}}}},
    )
    async def load(request: Request, caller: CallerOf, delist_missing: bool = False) -> Loaded:
        """List every service and desk of the document; what stands as it was is not told again.

        With `delist_missing`, active services that are not in the document are delisted.
        """
        if caller.role != EDITOR:
            raise Problem(403, "Not yours to change", f"Only the role {EDITOR} may change the directory.")
        try:
            directory = parse(await request.body())
        except DirectoryFaulty as faulty:
            detail = "Nothing of it was kept. Mend each fault and send it again."
            raise Problem(422, "The directory does not hold", detail, faults=faulty.faults) from None
        return await listings.load(directory.services, directory.desks, by=caller, delist_missing=delist_missing)

    @router.get("/services/{service_id}", summary="A directory entry, with its version")
    async def read(service_id: str, _caller: CallerOf) -> ServiceListedData:
        """The entry as it is listed, also one that is delisted."""
        entry = await listings.service(service_id)
        if entry is None:
            raise Problem(404, "No such service", "The directory has no entry of this id.")
        return entry

    return router
