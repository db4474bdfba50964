"""What may be attached to a referral: four forms, told by their content. Pure: pieces in, a verdict out."""

import codecs
from hashlib import sha256
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.people import OrganisationCode
from contracts.referrals import Document, DocumentKind, ReferralDocumentAttached

MediaType = Literal["application/pdf", "image/jpeg", "image/png", "text/plain"]
MEDIA_TYPES: tuple[MediaType, ...] = get_args(MediaType)
KINDS: tuple[DocumentKind, ...] = get_args(DocumentKind)

ENDINGS: dict[MediaType, str] = {
    "application/pdf": "pdf",
    "image/jpeg": "jpg",
    "image/png": "png",
    "text/plain": "txt",
}
"""What a file of each form is called."""

BEGINS: dict[MediaType, bytes] = {
    "application/pdf": b"%PDF-",
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
}
"""The first bytes (ISO 32000-2, 7.5.2; ISO/IEC 10918-1, B.1.1.3; PNG third edition, 5.2 and 11.2.1)."""

ENDS: dict[MediaType, bytes] = {
    "application/pdf": b"%%EOF",
    "image/jpeg": b"\xff\xd9",
    "image/png": b"IEND\xae\x42\x60\x82",
}
"""What stands at the end of a whole one. Some writers put a few bytes behind it."""

TAIL = 1024
"""How far from its end that is looked for."""

_WHITE = frozenset("\t\n\r\f")


class AttachedDocument(Document):
    """A document on a referral, and who attached it when."""

    attached_at: AwareDatetime
    by: Annotated[OrganisationCode, Field(description="whose desk attached it")]

    @classmethod
    def told_in(cls, body: str) -> "AttachedDocument":
        """As the fact that told it says."""
        fact = ReferralDocumentAttached.read(body.encode())
        known = fact.data.document
        return cls(
            **{name: getattr(known, name) for name in Document.model_fields},
            attached_at=fact.time,
            by=fact.data.by.organisation,
        )


class AttachedDocuments(BaseModel):
    """The documents of a referral, the first one first."""

    documents: list[AttachedDocument]


class NotWhatItSays(Exception):
    """The content is not of the form that it is sent as; the message says what is wrong."""


class Content:
    """What is seen of a document while it passes by, piece by piece: its length, its sum, and whether it is whole."""

    def __init__(self, media_type: MediaType) -> None:
        self._media_type = media_type
        self._head = b""
        self._tail = b""
        self._sum = sha256()
        self._text = codecs.getincrementaldecoder("utf-8")()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Its sum so far, in hexadecimal."""
        return self._sum.hexdigest()

    def take(self, piece: bytes) -> None:
        """The next piece. Raises NotWhatItSays as soon as that is plain."""
        begins = BEGINS.get(self._media_type, b"")
        if len(self._head) < len(begins):
            self._head += piece[: len(begins) - len(self._head)]
            if not begins.startswith(self._head):
                raise NotWhatItSays(f"It does not begin as {_named(self._media_type)} does{_looks_like(piece)}.")
        if self._media_type == "text/plain":
            self._read(piece)
        self._tail = (self._tail + piece)[-TAIL:]
        self._sum.update(piece)
        self.bytes += len(piece)

    def end(self) -> None:
        """That was all. Raises NotWhatItSays."""
        if not self.bytes:
            raise NotWhatItSays("It is empty.")
        if self._media_type == "text/plain":
            self._read(b"", final=True)
        elif len(self._head) < len(BEGINS[self._media_type]) or ENDS[self._media_type] not in self._tail:
            raise NotWhatItSays(f"It is not whole: the end of {_named(self._media_type)} is missing.")

    def _read(self, piece: bytes, *, final: bool = False) -> None:
        try:
            text = self._text.decode(piece, final)
        except UnicodeDecodeError:
            raise NotWhatItSays("It is not text in UTF-8.") from None
        if any(one < " " and one not in _WHITE for one in text):
            raise NotWhatItSays("It holds control characters, which plain text has not.")


def _named(media_type: MediaType) -> str:
    return {"application/pdf": "a PDF", "image/jpeg": "a JPEG picture", "image/png": "a PNG picture"}[media_type]


def _looks_like(piece: bytes) -> str:
    found = next((one for one, begins in BEGINS.items() if piece.startswith(begins)), None)
    return "" if found is None else f"; it looks like {_named(found)}"


def file_name(document_id: UUID, media_type: str) -> str:
    """What the file is called: nothing that anybody wrote, which might name a patient or a path."""
    return f"{document_id}.{ENDINGS[media_type]}"  # type: ignore[index]
