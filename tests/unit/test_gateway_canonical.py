"""The canonical form and the digest of a document."""

import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.json_text import faults, parse
from services.gateway.canonical import digest
from tests.gateway_examples import submission

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), part, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same document with the members of every object in another order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name], chance) for name in chance.sample(list(value), len(value))}
    return [shuffled(part, chance) for part in value] if isinstance(value, list) else value


def test_the_digest_is_of_the_rfc_8785_form() -> None:
    """The example of RFC 8785, section 3.2.2 and 3.2.3, typed in from there."""
    body = rb"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    canonical = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert hashlib.sha256(canonical.encode()).digest() == digest(parse(body))


@given(JSON, st.randoms(use_true_random=False), st.booleans())
def test_spelling_makes_no_difference(value: Any, chance: random.Random, escaped: bool) -> None:
    """Order of members, white space and escapes leave the digest as it is."""
    plain = json.dumps(value).encode()
    other = json.dumps(shuffled(value, chance), indent=3, ensure_ascii=escaped).encode()
    assert digest(parse(plain)) == digest(parse(other))


@pytest.mark.parametrize(("one", "other"), [("5", "5.0"), ("5", "5e0"), ("0", "-0.0"), ('"é"', '"\\u00e9"')])
def test_equal_values_are_equal(one: str, other: str) -> None:
    """A number is a number, however it is written; so is a text."""
    assert digest(parse(one.encode())) == digest(parse(other.encode()))


@pytest.mark.parametrize(("one", "other"), [("5", '"5"'), ("0", "false"), ("{}", "[]"), ("null", "{}")])
def test_different_values_differ(one: str, other: str) -> None:
    """What only looks alike is not the same body."""
    assert digest(parse(one.encode())) != digest(parse(other.encode()))


def test_one_changed_observation_is_another_body() -> None:
    """A digest covers every member."""
    one = digest(parse(json.dumps(submission()).encode()))
    other = digest(parse(json.dumps(submission(observations={"respiration_per_min": 19})).encode()))
    assert one != other


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"a": 1, "a": 1}', [("/a", "given more than once")]),
        ('{"b": [{"a/b": 1, "c": 2, "a/b": 3}]}', [("/b/0/a~1b", "given more than once")]),
        ('{"a": 9007199254740991, "b": -9007199254740991}', []),
        ('{"a": 9007199254740992}', [("/a", "an integer beyond 2^53 is not exact in JSON")]),
        ('{"a": [0, -9007199254740992]}', [("/a/1", "an integer beyond 2^53 is not exact in JSON")]),
        ('{"a": "\\ud800"}', [("/a", "half of a surrogate pair is not text")]),
        ('{"a": "\\ud83d\\ude00"}', []),
        ('{"\\udc00": 1}', [("/?", "half of a surrogate pair in a name is not text")]),
        ('{"a": NaN, "b": -Infinity, "c": 1e999}', [(f"/{n}", "not a finite number") for n in "abc"]),
        ('{"a": "é😀", "b": null}', []),
    ],
)
def test_what_has_no_canonical_form_is_named_with_its_place(body: str, expected: list[tuple[str, str]]) -> None:
    """Every such place, as a JSON pointer."""
    assert expected == faults(parse(body.encode()))


@pytest.mark.parametrize("body", ['{"a": 1, "a": 1}', '{"a": 9007199254740992}', '{"a": "\\ud800"}', "[1e999]"])
def test_what_has_faults_has_no_digest(body: str) -> None:
    """Never a digest of half a document."""
    with pytest.raises(ValueError):
        digest(parse(body.encode()))


@given(JSON)
def test_what_has_no_faults_has_a_digest(value: Any) -> None:
    """The two agree, so a body that passed cannot fail later."""
    document = parse(json.dumps(value).encode())
    assert (32, []) == (len(digest(document)), faults(document))
