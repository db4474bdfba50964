"""The digest of a JSON document in its canonical form, so that two spellings of one document are one document."""

import hashlib

import rfc8785

from services.chassis.json_text import Document


def digest(document: Document) -> bytes:
    """SHA-256 of a document in RFC 8785 form. Raises ValueError for one that has `faults`."""
    if document.repeats:
        raise ValueError("a document that repeats a name has no one canonical form")
    return hashlib.sha256(rfc8785.dumps(document.value)).digest()
