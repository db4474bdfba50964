"""Whether the next version of a contract may follow the last: what old records and old readers would not survive.

Works on JSON Schemas as `contracts.generate` writes them, and never on a model: what is frozen is all that is known of
an old party. Where it cannot tell, it says that the two differ. See docs/decisions/contracts-evolution.md.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

Schema = Mapping[str, Any]
Version = tuple[int, int]

FIRST: Version = (1, 0)

WORDS = frozenset({"$schema", "$id", "title", "description", "discriminator"})
"""Keywords that bind nobody: what the last says, each alternative says by a constant."""

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_ALTERNATIVES = ("anyOf", "oneOf")
"""Those of `oneOf` differ by a constant that each must have, so no record follows two of them."""
_COMPARED = frozenset(
    {"type", "enum", "const", *_ALTERNATIVES, "properties", "required", "additionalProperties", "items"}
)
_SEPARATELY = _COMPARED | {*_AT_LEAST, *_AT_MOST, "default"}


class Difference(NamedTuple):
    """One thing that a party would not survive."""

    pointer: str
    """Where in a record; `*` stands for any item."""
    fault: str
    breaks: Literal["old records", "old readers"]


class _Fault(NamedTuple):
    pointer: str
    fault: str


def differences(old: Schema, new: Schema) -> list[Difference]:
    """What of the old records a new reader would not read as they were meant, and what of the new ones an old reader.

    None: old and new may be read and written side by side.
    """
    before, after = meaning(old), meaning(new)
    return [
        *(Difference(*fault, "old records") for fault in _unread(after, before, "", reader_is_newer=True)),
        *(Difference(*fault, "old readers") for fault in _unread(before, after, "", reader_is_newer=False)),
    ]


def faults_of(history: Mapping[Version, Schema]) -> list[str]:
    """What is wrong with the versions of one contract, each against the one before; in words."""
    versions = sorted(history)
    if not versions:
        return []
    faults = [] if versions[0] == FIRST else [f"begins with version {in_words(versions[0])} and not {in_words(FIRST)}"]
    for last, following in pairwise(versions):
        found = differences(history[last], history[following])
        expected = next_version(last, found)
        if following != expected:
            faults.append(f"{in_words(following)} cannot follow {in_words(last)}: {advice(expected, found)}")
    return faults


def next_version(last: Version, found: Sequence[Difference]) -> Version | None:
    """The version that may follow with these differences; none where old records would not survive.

    The minor number rises when both versions may be read and written side by side, the major one when every old reader
    must be upgraded before the first writer.
    """
    if any(one.breaks == "old records" for one in found):
        return None
    return (last[0] + 1, 0) if found else (last[0], last[1] + 1)


def advice(version: Version | None, found: Sequence[Difference]) -> str:
    """What to do about differences whose next version is this one."""
    if version is None:
        old = [one for one in found if one.breaks == "old records"]
        return f"old records would not survive it, so make a new type, or undo it. {_shown(old)}"
    if found:
        return f"declare {in_words(version)}, and upgrade every reader before the first writer. {_shown(found)}"
    return f"declare {in_words(version)}"


def in_words(version: Version) -> str:
    """A version as it is written: (1, 0) is 1.0."""
    return f"{version[0]}.{version[1]}"


def meaning(schema: Schema) -> dict[str, Any]:
    """What binds in a schema: references put in place, and no words. A schema that refers to itself is not for this."""
    definitions = schema.get("$defs", {})

    def bound(part: Any, *, names: bool = False) -> Any:
        if isinstance(part, list):
            return [bound(one) for one in part]
        if not isinstance(part, dict):
            return part
        if names:  # of attributes, which may be called like a keyword
            return {name: bound(value) for name, value in part.items()}
        referred = bound(definitions[part["$ref"].rsplit("/", 1)[1]]) if "$ref" in part else {}
        return referred | {
            keyword: value if keyword == "default" else bound(value, names=keyword == "properties")
            for keyword, value in part.items()
            if keyword not in WORDS and keyword not in ("$ref", "$defs")
        }

    whole: dict[str, Any] = bound(schema)
    return whole


def _unread(reader: Schema, writer: Schema, at: str, *, reader_is_newer: bool) -> list[_Fault]:
    """Everything that the writer may write and the reader does not read as it was meant."""
    faults = []
    for written in _branches(writer):
        against = [_unread_branch(read, written, at, reader_is_newer=reader_is_newer) for read in _branches(reader)]
        faults += sorted(against, key=len)[0]
    return faults


def _branches(schema: Schema) -> list[dict[str, Any]]:
    beside = {keyword: value for keyword, value in schema.items() if keyword not in _ALTERNATIVES}
    alternatives = [one for keyword in _ALTERNATIVES for one in schema.get(keyword, ())]
    return [beside | branch for alternative in alternatives for branch in _branches(alternative)] or [beside]


def _unread_branch(reader: Schema, writer: Schema, at: str, *, reader_is_newer: bool) -> list[_Fault]:
    kinds, known = _kinds(writer), _kinds(reader)
    if not kinds <= known:
        return [_Fault(at, f"may be {_listed(kinds - known)}, where {_listed(known)} is read")]
    faults = []
    values, taken = _values(writer), _values(reader)
    if taken is not None and values is None:
        faults.append(_Fault(at, f"may be anything, where {', '.join(sorted(taken))} is read"))
    elif taken is not None and values is not None and not values <= taken:
        faults.append(_Fault(at, f"may be {', '.join(sorted(values - taken))}, which is not read"))
    for keyword in (*_AT_LEAST, *_AT_MOST):
        limit, written = reader.get(keyword), writer.get(keyword)
        if limit is None:
            continue
        if written is None or (written < limit if keyword in _AT_LEAST else written > limit):
            faults.append(_Fault(at, f"may have {keyword} {_or_none(written)}, where {limit} is read"))
    for keyword in sorted(set(reader) - _SEPARATELY):
        if reader[keyword] != writer.get(keyword):
            written = _or_none(writer.get(keyword))
            faults.append(_Fault(at, f"may have {keyword} {written}, where {reader[keyword]} is read"))
    faults += _unread_attributes(reader, writer, at, reader_is_newer=reader_is_newer)
    if "array" in kinds and "items" in reader:
        faults += _unread(reader["items"], writer.get("items", {}), f"{at}/*", reader_is_newer=reader_is_newer)
    return faults


def _unread_attributes(reader: Schema, writer: Schema, at: str, *, reader_is_newer: bool) -> list[_Fault]:
    read, written = reader.get("properties", {}), writer.get("properties", {})
    read_others, written_others = _others(reader), _others(writer)
    needed = set(reader.get("required", ())) - set(writer.get("required", ()))
    faults = [_Fault(f"{at}/{name}", "may be missing, where it is needed") for name in sorted(needed)]
    for name, part in written.items():
        place = f"{at}/{name}"
        if name in read:
            faults += _unread(read[name], part, place, reader_is_newer=reader_is_newer)
            if reader_is_newer and name not in reader.get("required", ()) and not _keeps_default(part, read[name]):
                meant, now = part["default"], _or_none(read[name].get("default"))
                faults.append(_Fault(place, f"meant {json.dumps(meant)} when it was left out, and now {now}"))
        elif read_others is None:
            faults.append(_Fault(place, "may be there, where no other attribute is read"))
        elif read_others:
            faults += _unread(read_others, part, place, reader_is_newer=reader_is_newer)
        elif reader_is_newer:
            faults.append(_Fault(place, "is read no more, and what it says would be lost"))
    # An open object's other attributes are unknown ones, which nobody writes on purpose; a map's are its content.
    if written_others:
        for name in sorted(set(read) - set(written)):
            faults += _unread(read[name], written_others, f"{at}/{name}", reader_is_newer=reader_is_newer)
    if written_others is not None and read_others is None:
        faults.append(_Fault(at, "may have other attributes, where none is read"))
    elif written_others is not None and read_others:
        faults += _unread(read_others, written_others, f"{at}/*", reader_is_newer=reader_is_newer)
    elif written_others and reader_is_newer:
        faults.append(_Fault(f"{at}/*", "is read no more, and what it says would be lost"))
    return faults


def _others(schema: Schema) -> dict[str, Any] | None:
    """What attributes that are not named must be: none are allowed; empty where anything is."""
    others = schema.get("additionalProperties", True)
    if others is False:
        return None
    return {} if others is True else dict(others)


def _kinds(schema: Schema) -> frozenset[str]:
    if "type" not in schema:
        return _TYPES
    kind = schema["type"]
    kinds = frozenset([kind] if isinstance(kind, str) else kind)
    return kinds | {"integer"} if "number" in kinds else kinds


def _values(schema: Schema) -> frozenset[str] | None:
    """The values that are listed, as JSON; none where none are."""
    if "const" in schema:
        return frozenset([json.dumps(schema["const"])])
    return frozenset(json.dumps(value) for value in schema["enum"]) if "enum" in schema else None


def _keeps_default(old: Schema, new: Schema) -> bool:
    return "default" not in old or ("default" in new and _says_as_much(old["default"], new["default"]))


def _says_as_much(old: Any, new: Any) -> bool:
    """Whether a default says what it said. The default of an object grows with the object's attributes."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and _says_as_much(value, new[name]) for name, value in old.items())
    return json.dumps(old) == json.dumps(new)


def _listed(kinds: frozenset[str]) -> str:
    return "anything" if kinds == _TYPES else " or ".join(sorted(kinds))


def _or_none(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def _shown(found: Sequence[Difference]) -> str:
    return "; ".join(f"{one.pointer or '/'} {one.fault}" for one in found)
