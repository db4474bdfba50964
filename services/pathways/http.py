"""The directory over HTTP: loading a whole document, and reading one entry."""

import asyncio
import tempfile

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from contracts.directory import ServiceListedData
from contracts.people import Desk
from contracts.submissions import ServiceId
from services.chassis.bodies import sent_as
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.pathways.directory_file import DirectoryFaulty, entries, sound, write_rows
from services.pathways.directory_forms import MEDIA_TYPES
from services.pathways.store import Listings, Loaded
from services.pathways.upload import uploaded

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

CONTENT = {
    media_type: {"schema": DOCUMENT if media_type == "application/json" else {"type": "string"}}
    for media_type in MEDIA_TYPES
}


def routes(listings: Listings) -> APIRouter:
    """The routes of the directory."""
    router = APIRouter(tags=["directory"])

    @router.post(
        "/services/import",
        summary="Load a directory document: services and desks, whole or not at all",
        responses={
            403: {"description": "The token's role may not change the directory"},
            413: {"description": "The body is too large; nothing was kept"},
            400: {"description": "Half a body"},
            415: {"description": "The body is sent in a form that is not read"},
            422: {"description": "Every faulty entry, with its JSON pointer; nothing was kept"},
        },
        openapi_extra={"requestBody": {"required": True, "content": CONTENT}},
    )
    async def load(request: Request, caller: CallerOf, delist_missing: bool = False) -> Loaded:
        """List every service and desk of the document; what stands as it was is not told again.

        JSON, JSON lines (a service or a desk each), CSV, or a FHIR bundle; the body may be as large as a nation's.

        With `delist_missing`, active services that are not in the document are delisted.
        """
        if caller.role != EDITOR:
            raise Problem(403, "Not yours to change", f"Only the role {EDITOR} may change the directory.")
        form = MEDIA_TYPES[sent_as(request, *MEDIA_TYPES)]
        async with uploaded(request) as body:
            with tempfile.TemporaryFile() as rows:
                try:
                    # In a thread: the loop has searches to answer meanwhile.
                    await asyncio.to_thread(lambda: write_rows(sound(entries(body, form)), rows))
                except DirectoryFaulty as faulty:
                    detail = "Nothing of it was kept. Mend each fault and send it again."
                    raise Problem(422, "The directory does not hold", detail, faults=faulty.faults) from None
                return await listings.load(rows, by=caller, delist_missing=delist_missing)

    @router.get(
        "/services/export",
        summary="All that the directory holds, delisted services too, as JSON lines",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/jsonl": {}}}},
    )
    async def export(_caller: CallerOf) -> StreamingResponse:
        """Services, then desks, one a line, as `POST /services/import` takes them."""
        return StreamingResponse(listings.pages(), media_type="application/jsonl")

    @router.get(
        "/services/{service_id}",
        summary="A directory entry, with its version",
        responses={404: {"description": "The directory has no entry of this id"}},
    )
    async def read(service_id: ServiceId, _caller: CallerOf) -> ServiceListedData:
        """The entry as it is listed, also one that is delisted."""
        entry = await listings.service(service_id)
        if entry is None:
            raise Problem(404, "No such service", "The directory has no entry of this id.")
        return entry

    return router
