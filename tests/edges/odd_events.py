"""Events that their contract allows and nobody would send: as odd as it lets them be.

Made of the contract's own schema, so a new type of event is taken up by itself. Written here because the library for
it, hypothesis-jsonschema, is kept no longer and reads neither `$ref` nor today's hypothesis.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from hypothesis import reject
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.envelope import FIRST_INSTANT, LAST_INSTANT, Event
from contracts.generate import declared, schema_of
from services.chassis.publishing import MAX_EVENT_BYTES

Schema = Mapping[str, Any]

DESCRIBED = {"title", "description", "default", "examples", "$schema", "$id", "$defs", "x-topic", "discriminator"}
"""What says nothing of which values there may be."""
READ = DESCRIBED | {
    *("$ref", "anyOf", "oneOf", "const", "enum", "type", "properties", "required", "additionalProperties"),
    *(
        "patternProperties",
        "propertyNames",
        "maxProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "pattern",
        "format",
    ),
    *("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}

FIRST, LAST = (one.replace(tzinfo=None) for one in (FIRST_INSTANT, LAST_INSTANT))

LONG = 5_000
"""Letters of a text that nobody bounds."""
HUGE = 10**40
MANY = 60
TRIES = 3
IDS = [str(UUID(int=number)) for number in (0, 1, 2, 2**128 - 1)]
"""Few, so that events meet each other."""
SHORT = ["a", "S-1", "NHS", *IDS]
INSTANTS = [
    "0001-12-31T00:00:00Z",
    "0002-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59.999999-12:00",
    "1970-01-01T00:00:00Z",
    "2026-03-29T01:30:00+00:00",
    "2026-10-25T01:30:00+01:00",
    "9999-01-02T00:00:00Z",
    "9998-12-31T23:59:59.999999-23:59",
]

characters = st.characters(codec="utf-8", exclude_characters="\0")
texts = st.text(characters, max_size=12)
unknown = st.recursive(
    st.none() | st.booleans() | st.integers(-HUGE, HUGE) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


def events(contract: type[Event]) -> st.SearchStrategy[bytes]:
    """Kafka values that this contract reads."""
    whole = _Maker(schema_of(contract)).whole

    # Not by `filter`, which writes the whole strategy down whenever it draws once more.
    @st.composite
    def read(draw: st.DrawFn) -> bytes:
        for _ in range(TRIES):
            if _is_read(contract, value := _written(draw(whole))):
                return value
        return reject()

    return read()


def contract_of(type_: str) -> type[Event]:
    """The contract of a type."""
    return declared()[type_]


def _written(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _is_read(contract: type[Event], value: bytes) -> bool:
    """Rules between attributes are the model's alone; and what is larger is on no topic."""
    try:
        contract.read(value)
    except ValidationError:
        return False
    return len(value) <= MAX_EVENT_BYTES


class _Maker:
    """Strategies for the parts of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._definitions: Schema = schema.get("$defs", {})
        self._made: dict[str, st.SearchStrategy[Any]] = {}
        self.whole = self._of(schema)

    def _of(self, part: Schema, name: str = "") -> st.SearchStrategy[Any]:
        assert set(part) <= READ, f"a schema says {set(part) - READ}, which is not read here yet"
        if "$ref" in part:
            return self._definition(part["$ref"].rsplit("/", 1)[1])
        if "const" in part:
            return st.just(part["const"])
        if "enum" in part:
            return st.sampled_from(part["enum"])
        for alternatives in ("anyOf", "oneOf"):
            if alternatives in part:
                return st.one_of([self._of(one, name) for one in part[alternatives]])
        match part["type"]:
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return _integers(part)
            case "number":
                return _numbers(part)
            case "string":
                return _strings(part, name)
            case "array":
                return self._lists(part)
            case "object":
                return self._objects(part)
        raise AssertionError(f"a schema has the type {part['type']}, which is not read here yet")

    def _definition(self, name: str) -> st.SearchStrategy[Any]:
        if name not in self._made:
            self._made[name] = st.deferred(lambda: self._of(self._definitions[name]))
        return self._made[name]

    def _lists(self, part: Schema) -> st.SearchStrategy[Any]:
        if "prefixItems" in part:
            return st.tuples(*(self._of(one) for one in part["prefixItems"])).map(list)
        least, most = part.get("minItems", 0), min(part.get("maxItems", MANY), MANY)
        items = self._of(part["items"])
        few = st.lists(items, min_size=least, max_size=max(least, min(most, 2)))
        return few | few | few | items.map(lambda one: [one] * most)

    def _objects(self, part: Schema) -> st.SearchStrategy[Any]:
        more = part.get("additionalProperties", True)
        if "properties" not in part:
            # A table: each of its names has a form, or any text will do.
            (form, values), *_ = part.get("patternProperties", {None: more}).items()
            names = self._of({"type": "string"} | ({} if form is None else {"pattern": form}))
            return st.dictionaries(names, self._of(values), max_size=min(part.get("maxProperties", 4), 4))
        properties = {name: self._of(one, name) for name, one in part["properties"].items()}
        required = {name: properties.pop(name) for name in part.get("required", ())}
        known = st.fixed_dictionaries(required, optional=properties)
        if more is False:
            return known
        extra = st.just({}) | st.just({}) | st.dictionaries(texts.map(lambda name: f"x{name}"), unknown, max_size=2)
        return st.builds(lambda attributes, others: others | attributes, known, extra)


def _integers(part: Schema) -> st.SearchStrategy[int]:
    least = part.get("minimum", part.get("exclusiveMinimum", -HUGE - 1) + 1)
    most = part.get("maximum", part.get("exclusiveMaximum", HUGE + 1) - 1)
    return st.integers(least, most) | st.sampled_from([least, most])


def _numbers(part: Schema) -> st.SearchStrategy[float]:
    limits = part.get("minimum"), part.get("maximum")
    drawn = st.floats(*limits, allow_nan=False, allow_infinity=False)
    edges = [one for one in (*limits, 1e308, -1e308, 5e-324) if one is not None and _between(one, *limits)]
    return drawn | st.sampled_from(edges)


def _between(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _strings(part: Schema, name: str) -> st.SearchStrategy[str]:
    match part.get("format"):
        case "uuid":
            return st.sampled_from(IDS) | st.uuids().map(str)
        case "date":
            return (st.dates() | st.sampled_from([date.min, date.max])).map(str)
        case "date-time":
            drawn = st.datetimes(FIRST, LAST, timezones=_offsets()).map(datetime.isoformat)
            return st.sampled_from(INSTANTS) | _soon() | drawn
        case None:
            pass
        case other:
            raise AssertionError(f"a schema has the format {other}, which is not read here yet")
    if "pattern" in part:
        drawn = st.from_regex(part["pattern"].replace("$", r"\Z"), alphabet=characters)
        short = list(filter(re.compile(part["pattern"]).search, SHORT))
        return st.sampled_from(short) | drawn if short else drawn
    least, most = part.get("minLength", 0), part.get("maxLength", LONG)
    drawn = st.text(characters, min_size=least, max_size=min(most, 30))
    # By number, for hypothesis writes down what it may choose from.
    full = st.sampled_from([0, 1]).map(lambda number: ("\U0001f691", "\u0301")[number] * most)
    odd = drawn | drawn | drawn | full
    return st.sampled_from(IDS) | odd if name in ("subject", "partitionkey") else odd


def _offsets() -> st.SearchStrategy[Any]:
    return st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def _soon() -> st.SearchStrategy[str]:
    """About now, as most of what is read."""
    return st.integers(-3600, 3600).map(lambda seconds: (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat())
