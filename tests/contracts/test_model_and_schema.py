"""Model and schema agree: over the golden examples with one thing altered, both refuse, or neither."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.generate import schema_of
from tests.contracts.golden_examples import VALID, VALID_BY_NAME, Example, faults_by_schema

VALUES = st.sampled_from([None, True, 0, -1, 3, 0.5, 10**6, "", "x", "any", [], ["x"], {}, {"x": 1}])
"""What may stand in the place of a value: something of every kind."""

BEYOND_THE_SCHEMA = (
    "needs at least one session",
    "needs accept_within_minutes",
    "not patients_an_hour",
    "a diary kept elsewhere is of",
)
"""Rules between attributes, which the model alone has. See contracts/README.md."""

BEYOND_THE_MODEL = {"/type", "/specversion"}
"""What a model need not ask: its reader looks at the type first, and there is one version of CloudEvents."""


def places(document: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something could be altered, by the way there."""
    if isinstance(document, (dict, list)):
        for name, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield (*at, name)
            yield from places(value, (*at, name))


@st.composite
def altered(draw: st.DrawFn) -> tuple[Example, Any]:
    """A valid example, and what it says once one value is replaced or removed."""
    example = draw(st.sampled_from(VALID))
    document = example.document
    *way, last = draw(st.sampled_from(list(places(document))))
    inner = document
    for part in way:
        inner = inner[part]
    if draw(st.booleans()):
        del inner[last]
    else:
        inner[last] = draw(VALUES)
    return example, document


@settings(deadline=None)
@given(altered())
def test_model_and_schema_agree(case: tuple[Example, Any]) -> None:
    """Whoever checks by the published schema sends nothing that is refused, and is refused nothing that is taken."""
    example, document = case
    faults = faults_by_schema(schema_of(example.contract), document)
    assume(not faults & BEYOND_THE_MODEL)
    try:
        example.contract.read(json.dumps(document).encode())
        refusal = ""
    except ValidationError as error:
        refusal = str(error)
    assume(not any(rule in refusal for rule in BEYOND_THE_SCHEMA))
    assert bool(refusal) == bool(faults), refusal


@pytest.mark.parametrize(
    ("attribute", "value", "taken_by"),
    [
        ("time", "2026-03-04 06:00:00Z", "model"),
        ("time", "2026-03-04T06:00Z", "model"),
        ("time", "1772604000", "model"),
        ("time", "0001-12-30T23:59:59Z", "schema"),
        ("time", "9999-02-01T00:00:00Z", "schema"),
        ("id", "8329bf5f29124f3e8b06a97011e21eac", "model"),
        ("version", 1.0, "schema"),
    ],
)
def test_where_they_differ_is_known(attribute: str, value: Any, taken_by: str) -> None:
    """What contracts/README.md lists as read by one of the two alone."""
    example = VALID_BY_NAME["capacity.reported/least"]
    document = example.document
    (document["data"] if attribute == "version" else document)[attribute] = value
    taken = set() if faults_by_schema(schema_of(example.contract), document) else {"schema"}
    with suppress(ValidationError):
        example.contract.read(json.dumps(document).encode())
        taken.add("model")
    assert {taken_by} == taken
