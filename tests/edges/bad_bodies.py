"""Bodies that are too large, in another form, no JSON, or JSON that nobody could mean."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.document_examples import WHOLE as DOCUMENTS
from tests.edges.routes import MANY, Ask, Bad, Case

MANY_BYTES = 10 * 1024 * 1024
DEEP = 100_000


def bad_media_types(case: Case) -> Iterator[Bad]:
    """Another form, another character set, compressed, or none said."""
    if not case.media_types:
        return
    good = case.good()
    first = case.media_types[0]
    wrong = ("text/plain", "application/xml", "multipart/form-data; boundary=x", "x", "application/json/x", "\xff")
    wrong = tuple(one for one in wrong if one not in case.media_types)
    for said in (*wrong, f"{first}; charset=latin-1", f"{first}; charset=utf-16"):
        headers = {**good.headers, "Content-Type": said.encode("latin-1")}
        yield f"sent as {said}", replace(good, headers=headers), {415}
    yield (
        "sent as nothing",
        replace(good, headers={k: v for k, v in good.headers.items() if k != "Content-Type"}),
        {415},
    )
    yield "compressed", replace(good, headers={**good.headers, "Content-Encoding": "gzip"}), {415}


REFUSED = {400, 413, 422}

LARGE: dict[str, bytes] = {
    "10 MB of brackets": b"[" * MANY_BYTES,
    "10 MB of members": b'{"a":' * (MANY_BYTES // 5),
    "10 MB of one text": b'{"patient":"' + b"x" * MANY_BYTES + b'"}',
    "10 MB of one number": b'{"patient":' + b"9" * MANY_BYTES + b"}",
    "10 MB of blanks": b" " * MANY_BYTES,
    "10 MB of NUL": b"\0" * MANY_BYTES,
    "10 MB of short lines": b"x\n" * (MANY_BYTES // 2),
    "10 MB of cells": b"x," * (MANY_BYTES // 2),
    "10 MB of a quoted cell": b'"' + b"x\n" * (MANY_BYTES // 2),
    "10 MB of quoted cells": b'"x\n",' * (MANY_BYTES // 5),
    "10 MB of items": b'{"services":[' + b"1," * (MANY_BYTES // 2),
}


def large_bodies(case: Case) -> Iterator[Bad]:
    """Ten megabytes of several things, announced and not; also where no body is taken."""
    if not case.media_types:
        for in_parts in (False, True):
            yield (
                "10 MB to nobody",
                replace(case.good(), body=b"x" * MANY_BYTES, in_parts=in_parts),
                {case.route.answers},
            )
        return
    for media_type in case.media_types:
        good = case.good(media_type)
        for number, (what, body) in enumerate(LARGE.items()):
            for in_parts in (False, True) if MANY else (number % 2 == 0,):
                yield f"{media_type}: {what}", replace(good, body=body, in_parts=in_parts), REFUSED
        yield (
            f"{media_type}: a length that is no length",
            replace(good, headers={**good.headers, "Content-Length": "9" * 30}),
            {400, 413},
        )


def no_documents(case: Case) -> Iterator[Bad]:
    """Sent as what it is not, half of it, or nothing."""
    for media_type in case.media_types:
        if media_type not in DOCUMENTS:
            continue
        good = case.good(media_type)
        others = {f"as {one} says": case.good(one).body for one in case.media_types if one != media_type}
        if media_type == "text/plain":
            others = {"not UTF-8": b"\xe9", "NUL": b"a\0"}
        else:
            others |= {"half": good.body[: len(good.body) // 2], "three bytes": good.body[:3], "JSON": b"{}"}
        for what, body in {"nothing": b"", **others}.items():
            yield f"{media_type}: {what}", replace(good, body=body), {422}


def no_json(case: Case) -> Iterator[Bad]:
    """Empty, half, another kind of value, other letters; nested without end."""
    for media_type in case.media_types:
        if media_type in DOCUMENTS:  # kept as it is, and not read
            continue
        good = case.good(media_type)
        for what, body in {
            "nothing": b"",
            "blank": b" \n",
            "half": good.body[: len(good.body) // 2],
            "twice": good.body * 2 if media_type == "application/json" else b"{}{}",
            "UTF-16": good.body.decode().encode("utf-16"),
            "not UTF-8": good.body.replace(b"e", b"\xe9", 1),
            "an encoded surrogate": good.body.replace(b"e", b"\xed\xa0\x80", 1),
            "NUL": good.body.replace(b"e", b"\0", 1),
            "null": b"null",
            "a number": b"7",
            "a huge number": b"1" + b"0" * 400,
            "more digits than are read": b"1" + b"0" * 5000,
            "infinity": b"1e400",
            "NaN": b"NaN",
            "a text": b'"x"',
            "a list": b"[]",
            "an empty object": b"{}",
            "brackets": b"[" * DEEP,
            "brackets that end": b"[" * DEEP + b"]" * DEEP,
            "members": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        }.items():
            yield f"{media_type}: {what}", replace(good, body=body), REFUSED


LEAVES: dict[str, str] = {
    "1e400": "1e400",
    "-1e400": "-1e400",
    "10**400": "1" + "0" * 400,
    "5000 digits": "1" * 5000,
    "NaN": "NaN",
    "NUL": '"\\u0000"',
    "half a surrogate pair": '"\\ud800"',
    "the other half": '"x\\udc00x"',
    "deep brackets": "[" * DEEP + "]" * DEEP,
    "deep members": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep brackets without an end": "[" * DEEP,
}
"""What may stand in the place of any value."""


def bad_values(case: Case) -> Iterator[Bad]:
    """Each value of a JSON body in turn replaced by each of these."""
    for good, document in _json_bodies(case):
        for number, way in enumerate(_places(document)):
            leaves = list(LEAVES.items())
            for what, raw in leaves if MANY else (leaves[number % len(leaves)],):
                yield f"{_pointer(way)}: {what}", replace(good, body=_with(document, way, raw)), REFUSED


def bad_members(case: Case) -> Iterator[Bad]:
    """In each object of a JSON body: a member that nobody knows, one twice, and names that are no text."""
    for good, document in _json_bodies(case):
        # A bundle says much that is not read.
        unknown = REFUSED | ({200} if good.headers["Content-Type"] == "application/fhir+json" else set())
        for way in ((), *_places(document)):
            part = _at(document, way)
            if not isinstance(part, dict) or not part:
                continue
            text = json.dumps(part)
            first = json.dumps(next(iter(part)))
            for what, raw, statuses in (
                ("twice", f"{text[:-1]},{first}:{json.dumps(next(iter(part.values())))}}}", REFUSED),
                ("twice, escaped", f'{text[:-1]},"\\u{ord(first[1]):04x}{first[2:]}:null}}', REFUSED),
                ("half a surrogate pair in a name", f'{text[:-1]},"\\ud800":1}}', REFUSED),
                ("members", text[:-1] + "".join(f',"n{n}":1' for n in range(1000)) + "}", unknown),
            ):
                yield f"{_pointer(way)}: {what}", replace(good, body=_with(document, way, raw)), statuses


def _json_bodies(case: Case) -> Iterator[tuple[Ask, Any]]:
    for media_type in case.media_types:
        if media_type != "text/csv" and media_type not in DOCUMENTS:
            good = case.good(media_type)
            yield good, json.loads(good.body)


Way = tuple[str | int, ...]
"""The names and numbers that lead to a value."""


def _places(document: Any, at: Way = ()) -> Iterator[Way]:
    if isinstance(document, dict | list):
        for name, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield (*at, name)
            yield from _places(value, (*at, name))


def _at(document: Any, way: Way) -> Any:
    for part in way:
        document = document[part]
    return document


def _pointer(way: Way) -> str:
    return "".join(f"/{part}" for part in way)


HOLE = "@a hole@"


def _with(document: Any, way: Way, raw: str) -> bytes:
    """The document with raw JSON in the place of one of its values."""
    if not way:
        return raw.encode()
    other = copy.deepcopy(document)
    _at(other, way[:-1])[way[-1]] = HOLE
    return json.dumps(other).replace(json.dumps(HOLE), raw).encode()
