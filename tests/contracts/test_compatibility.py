"""The checker of changes: each rule refuses what it should, and lets pass what harms nobody."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, Field, create_model

from contracts.compatibility import Schema, differences, faults_of, meaning
from contracts.envelope import Data
from tests.contracts.golden_examples import faults_by_schema

RECORDS, READERS = "old records", "old readers"
NEEDED: Any = ...


def attributes(**of: Any) -> dict[str, Any]:
    """The schema of a model with these attributes: a type, or a type and a default."""
    fields = {name: one if isinstance(one, tuple) else (one, NEEDED) for name, one in of.items()}
    return create_model("Planted", __base__=Data, **fields).model_json_schema()


class Tried(Data):
    """Something that the planted models hold."""

    why: Literal["full", "closed"]


class TriedForMore(Data):
    """The same, where one more word is known."""

    why: Literal["full", "closed", "on fire"]


class TriedAndSince(Data):
    """The same with an attribute more, which may be left out."""

    why: Literal["full", "closed"]
    since: str | None = None


class Hours(Data):
    """All of it may be left out."""

    always: bool = True


class HoursWithDates(Data):
    """The same with an attribute more."""

    always: bool = True
    dates: tuple[str, ...] = ()


class HoursElsewhere(Data):
    """The same, but left out it means something else."""

    always: bool = False


class Closed(Data):
    """Takes no unknown attribute."""

    model_config = ConfigDict(extra="forbid")
    why: Literal["full", "closed"]


class ClosedAndSince(Closed):
    """The same with an attribute more."""

    since: str | None = None


class Accept(Data):
    """One of several forms."""

    form: Literal["accept"]


class Reject(Data):
    """Another."""

    form: Literal["reject"]
    why: str


class RejectAndSince(Reject):
    """The same with an attribute more, which may be left out."""

    since: str | None = None


class Waive(Data):
    """A third."""

    form: Literal["waive"]


class Titled(Data):
    """Has an attribute that is called like a keyword."""

    title: str = "duty doctor"


HARMLESS = {
    "nothing changes": (attributes(a=str), attributes(a=str)),
    "an attribute that may be left out is added": (attributes(a=str), attributes(a=str, b=(str | None, None))),
    "an attribute that may be left out is added further in": (attributes(a=Tried), attributes(a=TriedAndSince)),
    "an attribute that may be left out is added to an item": (
        attributes(a=tuple[Tried, ...]),
        attributes(a=tuple[TriedAndSince, ...]),
    ),
    "a default grows with its object": (
        attributes(a=(Hours, Hours())),
        attributes(a=(HoursWithDates, HoursWithDates())),
    ),
    "words change": (
        attributes(a=Annotated[int, Field(description="minutes")]),
        attributes(a=Annotated[int, Field(description="minutes, rounded up", title="Minutes")]),
    ),
    "alternatives change places": (attributes(a=int | str | None), attributes(a=None | str | int)),
    "words of a vocabulary change places": (attributes(a=Literal["x", "y"]), attributes(a=Literal["y", "x"])),
    "a form has an attribute more that may be left out": (
        attributes(a=Annotated[Accept | Reject, Field(discriminator="form")]),
        attributes(a=Annotated[Accept | RejectAndSince, Field(discriminator="form")]),
    ),
}

BREAKING: dict[str, tuple[Schema, Schema, set[str]]] = {
    # What old records would not survive.
    "a needed attribute is added": (attributes(a=str), attributes(a=str, b=str), {RECORDS}),
    "an attribute becomes needed": (attributes(a=(str, "")), attributes(a=str), {RECORDS}),
    "an attribute that could be left out is removed": (attributes(a=(str, "")), attributes(), {RECORDS}),
    "null is no longer read": (attributes(a=int | None), attributes(a=int), {RECORDS}),
    "a number must be whole": (attributes(a=float), attributes(a=int), {RECORDS}),
    "a word is removed": (attributes(a=Literal["x", "y"]), attributes(a=Literal["x"]), {RECORDS}),
    "free text becomes a vocabulary": (attributes(a=str), attributes(a=Literal["x", "y"]), {RECORDS}),
    "a pattern is added": (attributes(a=str), attributes(a=Annotated[str, Field(pattern="^x$")]), {RECORDS}),
    "a lowest value is added": (attributes(a=int), attributes(a=Annotated[int, Field(ge=1)]), {RECORDS}),
    "a lowest value rises": (
        attributes(a=Annotated[int, Field(ge=1)]),
        attributes(a=Annotated[int, Field(ge=2)]),
        {RECORDS},
    ),
    "a highest value falls": (
        attributes(a=Annotated[int, Field(le=20)]),
        attributes(a=Annotated[int, Field(le=10)]),
        {RECORDS},
    ),
    "a text must be shorter": (
        attributes(a=Annotated[str, Field(max_length=20)]),
        attributes(a=Annotated[str, Field(max_length=10)]),
        {RECORDS},
    ),
    "a list must be longer": (
        attributes(a=tuple[str, ...]),
        attributes(a=Annotated[tuple[str, ...], Field(min_length=1)]),
        {RECORDS},
    ),
    "an item is narrowed": (attributes(a=tuple[TriedForMore, ...]), attributes(a=tuple[Tried, ...]), {RECORDS}),
    "a value of a map is narrowed": (
        attributes(a=dict[str, int]),
        attributes(a=dict[str, Annotated[int, Field(ge=0)]]),
        {RECORDS},
    ),
    "an alternative is removed": (attributes(a=Hours | tuple[str, ...]), attributes(a=Hours), {RECORDS}),
    "left out, it means something else": (attributes(a=(int, 30)), attributes(a=(int, 60)), {RECORDS}),
    "left out, it means something else further in": (
        attributes(a=(Hours, Hours())),
        attributes(a=(HoursElsewhere, HoursElsewhere())),
        {RECORDS},
    ),
    "left out, it means something else, called like a keyword": (
        attributes(a=(Titled, Titled())),
        attributes(a=(Titled, Titled(title="nurse in charge"))),
        {RECORDS},
    ),
    "a limit beside alternatives falls": (
        {"anyOf": [{"type": "integer"}, {"type": "null"}], "maximum": 20},
        {"anyOf": [{"type": "integer"}, {"type": "null"}], "maximum": 10},
        {RECORDS},
    ),
    "unknown attributes are refused": (attributes(a=Tried), attributes(a=Closed), {RECORDS}),
    # What old readers would not survive.
    "a word is added": (attributes(a=Literal["x"]), attributes(a=Literal["x", "y"]), {READERS}),
    "a word is added to an item": (attributes(a=tuple[Tried, ...]), attributes(a=tuple[TriedForMore, ...]), {READERS}),
    "a vocabulary becomes free text": (attributes(a=Literal["x", "y"]), attributes(a=str), {READERS}),
    "a needed attribute may be left out": (attributes(a=str), attributes(a=(str, "")), {READERS}),
    "null may be written": (attributes(a=int), attributes(a=int | None), {READERS}),
    "a number may be broken": (attributes(a=int), attributes(a=float), {READERS}),
    "an alternative is added": (attributes(a=Hours), attributes(a=Hours | tuple[str, ...]), {READERS}),
    "a pattern is dropped": (attributes(a=Annotated[str, Field(pattern="^x$")]), attributes(a=str), {READERS}),
    "a lowest value falls": (
        attributes(a=Annotated[int, Field(ge=2)]),
        attributes(a=Annotated[int, Field(ge=1)]),
        {READERS},
    ),
    "a highest value rises": (
        attributes(a=Annotated[int, Field(le=10)]),
        attributes(a=Annotated[int, Field(le=20)]),
        {READERS},
    ),
    "a list may be empty": (
        attributes(a=Annotated[tuple[str, ...], Field(min_length=1)]),
        attributes(a=tuple[str, ...]),
        {READERS},
    ),
    "unknown attributes are allowed": (attributes(a=Closed), attributes(a=Tried), {READERS}),
    "an attribute is added where no unknown one is taken": (
        attributes(a=Closed),
        attributes(a=ClosedAndSince),
        {READERS},
    ),
    # What neither would survive.
    "a map becomes an object of something else": (
        attributes(a=dict[str, int]),
        attributes(a=Closed),
        {RECORDS, READERS},
    ),
    "a form more": (
        attributes(a=Annotated[Accept | Reject, Field(discriminator="form")]),
        attributes(a=Annotated[Accept | Reject | Waive, Field(discriminator="form")]),
        {READERS},
    ),
    "a form is removed": (
        attributes(a=Annotated[Accept | Reject | Waive, Field(discriminator="form")]),
        attributes(a=Annotated[Accept | Reject, Field(discriminator="form")]),
        {RECORDS},
    ),
    "a needed attribute is removed": (attributes(a=str), attributes(), {RECORDS, READERS}),
    "a needed attribute is renamed": (attributes(a=str), attributes(b=str), {RECORDS, READERS}),
    "the type changes": (attributes(a=str), attributes(a=int), {RECORDS, READERS}),
    "a constant changes": (attributes(a=Literal["x"]), attributes(a=Literal["y"]), {RECORDS, READERS}),
    "a pattern changes": (
        attributes(a=Annotated[str, Field(pattern="^x$")]),
        attributes(a=Annotated[str, Field(pattern="^x+$")]),
        {RECORDS, READERS},
    ),
    "one becomes many": (attributes(a=Tried), attributes(a=tuple[Tried, ...]), {RECORDS, READERS}),
    "a map becomes an object": (attributes(a=dict[str, bool]), attributes(a=Hours), {RECORDS, READERS}),
    "the topic changes": ({"x-topic": "bookings"}, {"x-topic": "placements"}, {RECORDS, READERS}),
}


@pytest.mark.parametrize(("old", "new"), HARMLESS.values(), ids=list(HARMLESS))
def test_a_harmless_change_passes(old: Schema, new: Schema) -> None:
    """Old and new may be read and written side by side, and the next version is a minor one."""
    assert ([], []) == (differences(old, new), faults_of({(1, 0): old, (1, 1): new}))


@pytest.mark.parametrize(("old", "new", "breaks"), BREAKING.values(), ids=list(BREAKING))
def test_a_breaking_change_is_found(old: Schema, new: Schema, breaks: set[str]) -> None:
    """The checker says whom it breaks: old records, old readers, or both."""
    assert breaks == {difference.breaks for difference in differences(old, new)}


OF_RECORDS = {name: one for name, one in BREAKING.items() if RECORDS in one[2]}
OF_READERS = {name: one for name, one in BREAKING.items() if {READERS} == one[2]}


@pytest.mark.parametrize("version", [(1, 1), (2, 0)])
@pytest.mark.parametrize(("old", "new", "_"), OF_RECORDS.values(), ids=list(OF_RECORDS))
def test_what_old_records_do_not_survive_is_a_new_type(
    old: Schema, new: Schema, _: set[str], version: tuple[int, int]
) -> None:
    """No number of version lets it pass."""
    (fault,) = faults_of({(1, 0): old, version: new})
    assert "make a new type" in fault


@pytest.mark.parametrize(("old", "new", "_"), OF_READERS.values(), ids=list(OF_READERS))
def test_what_old_readers_do_not_survive_is_a_major_version(old: Schema, new: Schema, _: set[str]) -> None:
    """It passes as 2.0 alone, which tells everyone to upgrade readers first."""
    (fault,) = faults_of({(1, 0): old, (1, 1): new})
    assert (True, []) == ("declare 2.0" in fault, faults_of({(1, 0): old, (2, 0): new}))


@pytest.mark.parametrize("version", [(1, 2), (2, 0), (3, 0)])
def test_a_harmless_change_is_the_next_minor_version(version: tuple[int, int]) -> None:
    """Versions leave no gap, and a major one is not declared without a reason."""
    old, new = HARMLESS["an attribute that may be left out is added"]
    (fault,) = faults_of({(1, 0): old, version: new})
    assert "declare 1.1" in fault


def test_the_first_version_is_1_0() -> None:
    """A history that begins elsewhere has lost its beginning."""
    assert ["begins with version 1.1 and not 1.0"] == faults_of({(1, 1): attributes()})


def test_every_step_of_a_history_is_compared() -> None:
    """A fault between two old versions is found behind a sound last step."""
    one, two, three = attributes(a=str), attributes(a=int), attributes(a=int, b=(str, ""))
    (fault,) = faults_of({(1, 0): one, (1, 1): two, (1, 2): three})
    assert fault.startswith("1.1 cannot follow 1.0")


def test_a_difference_says_where() -> None:
    """The pointer leads into the record, through items and objects."""
    (found,) = differences(attributes(a=tuple[Tried, ...]), attributes(a=tuple[TriedForMore, ...]))
    assert ("/a/*/why", 'may be "on fire", which is not read') == (found.pointer, found.fault)


def test_a_difference_is_said_once() -> None:
    """An attribute that is needed now has no default, which is no second fault."""
    (found,) = differences(attributes(a=(str, "")), attributes(a=str))
    assert ("/a", "may be missing, where it is needed") == (found.pointer, found.fault)


def test_an_attribute_called_like_a_keyword_is_compared() -> None:
    """An attribute named title or description is no words of the schema."""
    old, new = attributes(title=str, description=str), attributes(title=int, description=str)
    assert {"/title"} == {difference.pointer for difference in differences(old, new)}


def test_words_and_names_of_definitions_do_not_bind() -> None:
    """A model may be renamed and described anew."""
    renamed = create_model("Attempted", __base__=Data, __doc__="Said anew.", why=(Literal["full", "closed"], NEEDED))
    assert meaning(attributes(a=Tried)) == meaning(attributes(a=renamed))


# Whatever the checker lets pass, a validator of JSON Schema must bear out: over schemas and records at random.

LIMITS = st.none() | st.integers(0, 3)
NAMES = st.sampled_from("abc")


def limited(kind: str, least: str, most: str) -> st.SearchStrategy[dict[str, Any]]:
    """A schema of a kind with limits, whose highest is no lower than its lowest."""
    return st.tuples(LIMITS, LIMITS).map(
        lambda limits: {
            "type": kind,
            **({} if limits[0] is None else {least: limits[0]}),
            **({} if limits[1] is None else {most: limits[1] + (limits[0] or 0)}),
        }
    )


LEAVES = st.one_of(
    limited("integer", "minimum", "maximum"),
    limited("number", "minimum", "maximum"),
    limited("string", "minLength", "maxLength"),
    st.sets(st.sampled_from(["x", "yy", "zzz"]), min_size=1).map(
        lambda words: {"type": "string", "enum": sorted(words)}
    ),
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"const": "x", "type": "string"}]),
)


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema of an object: named attributes, some of them needed, and others of a kind, any or none."""
    return st.builds(
        lambda properties, needed, others: {
            "type": "object",
            "properties": properties,
            "required": sorted(needed & set(properties)),
            "additionalProperties": others,
        },
        st.dictionaries(NAMES, inner, max_size=3),
        st.sets(NAMES),
        st.booleans() | LEAVES,
    )


SCHEMAS = st.recursive(
    LEAVES | st.just({}),
    lambda inner: st.one_of(
        objects(inner),
        st.builds(lambda limits, items: limits | {"items": items}, limited("array", "minItems", "maxItems"), inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
    ),
    max_leaves=6,
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two schemas; the second often made of the first, so that many are compatible."""
    old = draw(SCHEMAS)
    return old, draw(SCHEMAS | altered(old))


def altered(schema: Any) -> st.SearchStrategy[Any]:
    """The schema with parts of it left as they are, dropped, or made anew."""
    if "anyOf" in schema:
        return st.lists(st.sampled_from(schema["anyOf"]).flatmap(altered) | SCHEMAS, min_size=1, max_size=3).map(
            lambda branches: {"anyOf": branches}
        )
    if "properties" in schema:
        kept = {name: st.just(part) | altered(part) for name, part in schema["properties"].items()}
        return st.builds(
            lambda properties, needed: (
                schema | {"properties": properties, "required": sorted(needed & set(properties))}
            ),
            st.fixed_dictionaries(kept, optional={name: LEAVES for name in "abc" if name not in kept}),
            st.just(set(schema["required"])) | st.sets(NAMES),
        )
    if "items" in schema:
        return st.just(schema["items"]).flatmap(altered).map(lambda items: schema | {"items": items})
    dropped = [{key: value for key, value in schema.items() if key != name} for name in schema if name != "type"]
    return st.sampled_from([schema, *dropped]) | st.just(schema).map(lambda one: {"anyOf": [one, {"type": "null"}]})


def records(schema: Any) -> st.SearchStrategy[Any]:
    """What a writer with this schema may write: attributes that it knows, and no others."""
    if "anyOf" in schema:
        return st.one_of(*map(records, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "string":
            return st.text("xyz", min_size=schema.get("minLength", 0), max_size=schema.get("maxLength"))
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", 4)
            return st.lists(records(schema["items"]), min_size=least, max_size=max(least, most))
        case "object":
            known, others = schema["properties"], schema["additionalProperties"]
            needed = {name: records(known[name]) for name in schema["required"]}
            left_out = {name: records(part) for name, part in known.items() if name not in needed}
            more = {} if isinstance(others, bool) else {name: records(others) for name in "abcd" if name not in known}
            return st.fixed_dictionaries(needed, optional=left_out | more)
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
    return st.none() | st.booleans() | st.integers() | st.text("xyz") | st.just([1]) | st.just({"a": 1})


@settings(deadline=None)
@given(st.data())
def test_what_passes_is_read(data: st.DataObject) -> None:
    """Without a difference that breaks old records a new reader reads them all; and so an old reader the new ones."""
    old, new = data.draw(pairs())
    broken = {difference.breaks for difference in differences(old, new)}
    if RECORDS not in broken:
        assert set() == faults_by_schema(new, data.draw(records(old)))
    if READERS not in broken:
        assert set() == faults_by_schema(old, data.draw(records(new)))
