"""Documents on a referral: attached by one desk for the other, read by the two alone."""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import unquote
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from contracts.people import Referrer
from contracts.referrals import Document, DocumentKind, DocumentTitle
from services.chassis.attempt_keys import key_of, referrer_of
from services.chassis.bodies import sent_as
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.referrals.documents import (
    MEDIA_TYPES,
    AttachedDocument,
    AttachedDocuments,
    Content,
    MediaType,
    NotWhatItSays,
    file_name,
)
from services.referrals.documents_store import Documents, KeyTaken, Left, NotOnIt, Said, TooMany
from services.referrals.finding import Finding, unknown
from services.referrals.news import News
from services.referrals.objects import PIECE_BYTES

TITLE = "Document-Title"

_TITLE: TypeAdapter[str] = TypeAdapter(DocumentTitle)


def document_routes(documents: Documents, finding: Finding, news: News, *, most_bytes: int) -> APIRouter:
    """The routes of documents, each of at most so many bytes."""
    router = APIRouter(tags=["documents"])

    async def kept(upload: UUID, request: Request, content: Content) -> None:
        """Keep the body piece by piece, never more of it in memory."""
        number = 0
        async for piece in _pieces(request, most_bytes):
            content.take(piece)
            await documents.write(upload, number, piece)
            number += 1
        content.end()

    @router.post(
        "/referrals/{referral_id}/documents",
        summary="Attach a document for the other desk",
        status_code=201,
        responses=_ATTACHED,
        openapi_extra=_REQUEST,
    )
    async def attach(
        referral_id: UUID,
        request: Request,
        response: Response,
        caller: CallerOf,
        kind: Annotated[DocumentKind, Query(description="what it is")] = "other",
    ) -> AttachedDocument:
        """The body is the document itself, in one of four forms, and must be what its Content-Type says.

        Told to the other desk. An outcome may name it, as a discharge summary.
        """
        key = key_of(request, "document")
        by = referrer_of(caller)
        media_type: MediaType = sent_as(request, *MEDIA_TYPES)  # type: ignore[assignment]
        title = _title(request)
        await finding.find(referral_id, caller, request, "attach document")
        content = Content(media_type)
        upload = await documents.begin()
        try:
            await kept(upload, request, content)
            document = Document(
                document_id=upload,
                kind=kind,
                title=title,
                media_type=media_type,
                bytes=content.bytes,
                sha256=content.sha256,
            )
            attached = await documents.attach(_said(referral_id, by, key, document))
        except (NotWhatItSays, Problem, KeyTaken, TooMany, NotOnIt, Left, ClientDisconnect) as error:
            await documents.drop(upload)
            raise _problem(error, media_type) from None
        if attached.document_id != upload:
            await documents.drop(upload)  # it came before, under the same key
        news.ring()
        response.headers["Location"] = f"/referrals/{referral_id}/documents/{attached.document_id}"
        return attached

    @router.get("/referrals/{referral_id}/documents", summary="The documents of a referral", responses=_READ | _NOT_YET)
    async def of_referral(
        referral_id: UUID, request: Request, response: Response, caller: CallerOf
    ) -> AttachedDocuments:
        await finding.find(referral_id, caller, request, "list documents")
        response.headers["Cache-Control"] = "private, no-store"
        return AttachedDocuments(documents=await documents.of_referral(referral_id))

    @router.get(
        "/referrals/{referral_id}/documents/{document_id}",
        summary="A document",
        responses=_READ | _CONTENT | _NOT_YET,
        response_class=StreamingResponse,
    )
    async def content_of(referral_id: UUID, document_id: UUID, request: Request, caller: CallerOf) -> StreamingResponse:
        """As it was attached, to be saved and not shown: whoever shows it decides to trust it."""
        await finding.find(referral_id, caller, request, "read document", [document_id])
        found = await documents.find(referral_id, document_id)
        if found is None:
            raise unknown("No such document", "The referral has no document of this id.")
        document, pieces = found
        charset = "; charset=utf-8" if document.media_type == "text/plain" else ""
        return StreamingResponse(
            pieces,
            headers={
                "Content-Type": f"{document.media_type}{charset}",
                "Content-Length": str(document.bytes),
                "Content-Disposition": f'attachment; filename="{file_name(document_id, document.media_type)}"',
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, no-store",
                "ETag": f'"{document.sha256}"',
            },
        )

    return router


async def _pieces(request: Request, most_bytes: int) -> AsyncIterator[bytes]:
    """The body in pieces of PIECE_BYTES. Raises a problem, 413, and ClientDisconnect."""
    too_large = Problem(413, "The document is too large", f"It may have at most {most_bytes} bytes. Nothing was kept.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 18 or int(announced) > most_bytes):
        raise too_large
    waiting, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise too_large
        waiting += chunk
        while len(waiting) >= PIECE_BYTES:
            yield bytes(waiting[:PIECE_BYTES])
            del waiting[:PIECE_BYTES]
    if waiting:
        yield bytes(waiting)


def _title(request: Request) -> str:
    """What the document is called, from a header: an address is written down where no patient's name may stand."""
    said = request.headers.getlist(TITLE)
    try:
        title = unquote(said[0], errors="strict").strip() if len(said) == 1 and said[0].isascii() else ""
        return _TITLE.validate_python(title)
    except (UnicodeDecodeError, ValidationError):
        raise Problem(
            422,
            "The document has no title",
            f"Send one header {TITLE} with 1 to 200 characters, percent-encoded UTF-8 where they are not ASCII.",
        ) from None


def _said(referral_id: UUID, by: Referrer, key: UUID, document: Document) -> Said:
    parts = (referral_id, document.kind, document.title, document.media_type, document.sha256)
    return Said(referral_id, by, key, sha256("\0".join(map(str, parts)).encode()).digest(), document)


def _problem(error: Exception, media_type: str) -> Problem:
    """What the sender is told; nothing was kept."""
    match error:
        case Problem():
            return error
        case NotWhatItSays():
            return Problem(
                422,
                "The document is not what it says",
                f"It was sent as {media_type}. {error} Nothing was kept: send it as what it is, whole.",
            )
        case KeyTaken():
            return Problem(
                409,
                "The key was used for something else",
                "This Idempotency-Key stands for another document. Nothing was kept: a new document needs a new key.",
            )
        case TooMany():
            return Problem(409, "Too many documents", "The referral has as many as it may have. Nothing was kept.")
        case Left():
            return Problem(408, "It took too long", "Nothing was kept: send the document again.")
        case ClientDisconnect():
            return Problem(400, "The body is not whole", "The connection ended before the body did. Nothing was kept.")
    return unknown("No such referral", "There is no referral of this id for your organisation.")


_READ: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid token"},
    403: {"description": "Another organisation's name"},
    404: {"description": "No such referral for the token's organisation, or no such document on it"},
}
_NOT_YET: dict[int | str, dict[str, Any]] = {503: {"description": "Not known yet, or not now: ask again"}}
_FORMS: dict[str, Any] = {one: {"schema": {"type": "string", "format": "binary"}} for one in MEDIA_TYPES}
_CONTENT: dict[int | str, dict[str, Any]] = {200: {"description": "The document", "content": _FORMS}}
_ATTACHED: dict[int | str, dict[str, Any]] = {
    **_READ,
    201: {
        "description": "Attached; the same key gives the same document",
        "headers": {"Location": {"description": "Where it is read", "schema": {"type": "string"}}},
    },
    400: {"description": "No usable Idempotency-Key, or half a body"},
    408: {"description": "It took too long, and nothing was kept"},
    409: {"description": "The key was used for another document, or the referral has too many"},
    413: {"description": "The document is too large"},
    415: {"description": "Another form than those that are taken"},
    422: {"description": "The content is not what its Content-Type says, or is not whole; or a parameter has a fault"},
    **_NOT_YET,
}
_REQUEST: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "A UUID of this document; the same one with every retry.",
            "schema": {"type": "string", "format": "uuid"},
        },
        {
            "name": TITLE,
            "in": "header",
            "required": True,
            "description": "1 to 200 characters for the other desk, percent-encoded UTF-8 where they are not ASCII.",
            "schema": {"type": "string"},
        },
    ],
    "requestBody": {"required": True, "content": _FORMS},
}
