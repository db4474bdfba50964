"""The forms of directory files: TOML, JSON, JSON lines, CSV and FHIR bundles, read one entry at a time."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

import ijson
from ijson.common import JSONError, ObjectBuilder

from services.chassis import json_text
from services.pathways.faults import FileFault

Kind = Literal["services", "desks"]
Form = Literal["toml", "json", "jsonl", "csv"]

FORMS: dict[str, Form] = {
    ".toml": "toml",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
}
"""By a file's ending. A FHIR bundle is JSON, and known by what it says that it is."""

MEDIA_TYPES: dict[str, Form] = {
    "application/json": "json",
    "application/fhir+json": "json",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "text/csv": "csv",
}

MOST_BYTES_A_LINE = 256 * 1024
"""Of JSON lines and CSV: an entry without an end must not fill the memory."""

MOST_BYTES_A_VALUE = 1024 * 1024
"""Of JSON, for the same reason: an entry, or what stands beside the lists of entries."""

HALF_A_CHARACTER = re.compile(rb"\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]", re.IGNORECASE)
"""One surrogate without the other (RFC 8259, section 8.2)."""

KINDS: tuple[Kind, ...] = ("services", "desks")


class Raw(NamedTuple):
    """An entry as it was read, before anything is known of it: what its file calls JSON, and where it stands."""

    kind: Kind
    value: Any
    line: int | None
    pointer: str = ""


Reader = Callable[[BinaryIO], Iterator[Raw | FileFault]]


def read_toml(file: BinaryIO) -> Iterator[Raw | FileFault]:
    """Written by hand, so it is small: read at once. A line is that of the entry's header."""
    try:
        text = file.read().decode()
        document = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        yield FileFault(pointer="", message=f"it cannot be read as TOML: {error}")
        return
    lines = text.splitlines()
    for name, values in document.items():
        yield from _listed(name, values)
        if name in KINDS and isinstance(values, list):
            headers = [n for n, line in enumerate(lines, 1) if re.match(rf"\s*\[\[\s*{name}\s*\]\]", line)]
            known = len(headers) == len(values)
            for number, value in enumerate(values):
                # Through JSON, so that TOML's dates are read as the wire's are.
                plain = json.loads(json.dumps(value, default=str))
                yield Raw(name, plain, headers[number] if known else None, f"/{name}/{number}")


def read_json_lines(file: BinaryIO) -> Iterator[Raw | FileFault]:
    """One service or desk a line, as JSON. What has a service's attributes is a service."""
    for number, line in lines_of(file):
        if isinstance(line, FileFault):
            yield line
        elif line.strip():
            try:
                document = json_text.parse(line)
            except (ValueError, RecursionError) as error:
                yield FileFault(pointer="", line=number, message=f"it is not JSON, or half a file: {error}")
                continue
            if found := json_text.faults(document):
                yield from (FileFault(pointer=at, line=number, message=message) for at, message in found)
                continue
            value = document.value
            is_service = not isinstance(value, dict) or bool({"service_id", "service_type", "position"} & value.keys())
            yield Raw("services" if is_service else "desks", value, number)


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes | FileFault]]:
    """Each line with its number, from 1. One that is too long ends the file."""
    number = 0
    while line := file.readline(MOST_BYTES_A_LINE):
        number += 1
        if len(line) == MOST_BYTES_A_LINE:
            message = f"it is longer than {MOST_BYTES_A_LINE} bytes: is a line's end missing?"
            yield number, FileFault(pointer="", line=number, message=message)
            return
        yield number, line


Parsed = tuple[str, Any]
"""An event of the parser, and its value."""

STEPS = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
"""How much deeper an event leads."""

DEEPEST = 32
"""A FHIR bundle needs about ten."""


class Unsound(Exception):
    """A document is JSON and cannot be used; the message says why."""


class Value(NamedTuple):
    """A value directly in a JSON document, or an item of a list there."""

    name: str
    number: int | None
    """Of an item."""
    line: int
    value: Any


def read_json(file: BinaryIO) -> Iterator[Raw | FileFault]:
    """A document of services and desks, or a FHIR bundle, which says so by its `resourceType`."""
    from services.pathways.directory_fhir import read_bundle  # its library is large, and few files need it

    if _is_bundle(file):
        yield from read_bundle(file)
        return
    for one in json_values(file):
        if isinstance(one, FileFault):
            yield one
        elif one.number is None:
            yield from _listed(one.name, one.value, one.line)
        elif one.name in KINDS:
            yield Raw(
                "services" if one.name == "services" else "desks", one.value, one.line, f"/{one.name}/{one.number}"
            )
        elif one.number == 0:
            yield from _listed(one.name, [], one.line)


def json_values(file: BinaryIO) -> Iterator[Value | FileFault]:
    """The values of a JSON object, one at a time, however large it is; lists are taken apart. Reads from the start."""
    file.seek(0)
    lines = _Lines(file)
    try:
        events = _sound(ijson.basic_parse(lines, use_float=True))
        first = next(events, None)
        if first is None or first[0] != "start_map":
            for _ in events:  # it may not even be JSON
                pass
            yield FileFault(pointer="", line=1, message="it is not an object with services and desks")
            return
        for event, value in events:
            if event == "map_key":  # of the document itself: its values are taken whole
                yield from _values_of(value, events, lines)
    except Unsound as error:
        yield FileFault(pointer="", line=lines.read_so_far, message=str(error))
    except (JSONError, ValueError, RecursionError) as error:
        said = str(error).removeprefix("b'").split("\n")[0].split("\\n")[0]
        yield FileFault(pointer="", line=lines.read_so_far, message=f"it is not JSON, or half a file: {said}")


def _sound(events: Iterator[Parsed]) -> Iterator[Parsed]:
    """The same events. Raises Unsound for what has no one meaning, and what is nested deeper than any directory."""
    within: list[set[str]] = []
    """The names so far of each object that is open, and an empty set for each list."""
    for event, value in events:
        step = STEPS.get(event, 0)
        if step > 0:
            within.append(set())
            if len(within) > DEEPEST:
                raise Unsound(f"it is nested more than {DEEPEST} deep")
        elif step < 0:
            within.pop()
        elif event == "map_key":
            if value in within[-1]:
                raise Unsound(f"{value[:50]} is given more than once in one object")
            within[-1].add(value)
        if isinstance(value, str) and "\0" in value:
            raise Unsound("a text holds the NUL character, which no database can store")
        yield event, value


def _values_of(name: str, events: Iterator[Parsed], lines: "_Lines") -> Iterator[Value]:
    lines.value_begins()
    event, value = next(events)
    if event != "start_array":
        yield Value(name, None, lines.read_so_far, _built(event, value, events))
        return
    number = 0
    for event, value in events:
        if event == "end_array":
            break
        line = lines.read_so_far
        yield Value(name, number, line, _built(event, value, events))
        number += 1
        lines.value_begins()
    if not number:
        yield Value(name, None, lines.read_so_far, [])


def _built(event: str, value: Any, events: Iterator[Parsed]) -> Any:
    """The value that begins with this event."""
    if event not in ("start_map", "start_array"):
        return value
    builder, depth = ObjectBuilder(), 1
    builder.event(event, value)
    while depth:
        event, value = next(events)
        depth += STEPS.get(event, 0)
        builder.event(event, value)
    return builder.value


def _is_bundle(file: BinaryIO) -> bool:
    """Whether the document names a resource type. Most name it first; one that names it last is read through."""
    for one in json_values(file):
        if isinstance(one, FileFault) or one.name in KINDS:
            return False
        if one.name == "resourceType":
            return True
    return False


def _listed(name: str, values: Any, line: int | None = None) -> Iterator[FileFault]:
    """What is wrong with a member of a document of services and desks."""
    if name not in KINDS:
        message = "a directory has services and desks, and nothing of this name"
        yield FileFault(pointer=f"/{name}", line=line, message=message)
    elif not isinstance(values, list):
        yield FileFault(pointer=f"/{name}", line=line, message="it is not a list")


class _Lines:
    """A file that is handed out line by line, so that it is known where an entry begins."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines = 0
        self._ended = True
        self._of_value = 0

    def value_begins(self) -> None:
        """What is read from now on is another value's."""
        self._of_value = 0

    @property
    def read_so_far(self) -> int:
        """The number of the line that was handed out last, from 1."""
        return max(1, self._lines)

    def read(self, size: int = -1) -> bytes:
        """The next line, or a piece of it where it is long; nothing where nothing is asked for.

        Raises Unsound when one value has no end, for the parser keeps it until it is whole.
        """
        if size == 0:
            return b""
        line = self._file.readline(64 * 1024)
        self._of_value += len(line)
        if self._of_value > MOST_BYTES_A_VALUE:
            raise Unsound(f"a value is longer than {MOST_BYTES_A_VALUE} bytes: is its end missing?")
        if b"\\u" in line and HALF_A_CHARACTER.search(line):
            raise Unsound("half a character is escaped")  # the library would read a question mark
        if line and self._ended:
            self._lines += 1
        self._ended = line.endswith(b"\n")
        return line
