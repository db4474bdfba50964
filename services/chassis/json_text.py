"""JSON as it was sent: parsed without loss, so that what parsers differ about is seen and refused."""

import json
from collections import Counter
from dataclasses import dataclass
from math import isfinite
from typing import Any

LARGEST_INTEGER = 2**53 - 1
"""Beyond it a JSON number is not exact (I-JSON, RFC 7493, section 2.2, which RFC 8785 builds on)."""


class Repeating(dict[str, Any]):
    """An object in which a name stands more than once. Which of the values was meant, nobody can say."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document, and whether any object in it repeats a name."""

    value: Any
    repeats: bool


def parse(body: bytes) -> Document:
    """The JSON document. Raises ValueError when it is not JSON in UTF-8, and RecursionError when it is too deep."""
    repeating: list[Repeating] = []

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            times = Counter(name for name, _ in pairs)
            members = Repeating(members)
            members.names = frozenset(name for name, count in times.items() if count > 1)
            repeating.append(members)
        return members

    value = json.loads(body.decode(), object_pairs_hook=as_object)
    return Document(value, bool(repeating))


def faults(document: Document) -> list[tuple[str, str]]:
    """Why a parsed document has no one canonical form: JSON pointers and what is wrong there; none when it has one."""
    found: list[tuple[str, str]] = []
    _look("", document.value, found)
    return found


def _look(pointer: str, value: Any, found: list[tuple[str, str]]) -> None:
    if isinstance(value, str):
        if not _is_text(value):
            found.append((pointer, "half of a surrogate pair is not text"))
    elif isinstance(value, dict):
        if isinstance(value, Repeating):
            found.extend((_member(pointer, name), "given more than once") for name in sorted(value.names))
        for name, part in value.items():
            if not _is_text(name):
                found.append((_member(pointer, name), "half of a surrogate pair in a name is not text"))
            _look(_member(pointer, name), part, found)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _look(f"{pointer}/{index}", part, found)
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            found.append((pointer, "an integer beyond 2^53 is not exact in JSON"))
    elif isinstance(value, float) and not isfinite(value):
        found.append((pointer, "not a finite number"))


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _member(pointer: str, name: str) -> str:
    """The pointer to a member (RFC 6901), with what is not text in its name replaced."""
    return f"{pointer}/{name.encode(errors='replace').decode().replace('~', '~0').replace('/', '~1')}"
