"""Reading the body of a submission: what is refused, and how."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.problems import Problem
from services.gateway.body import read
from tests.gateway_examples import submission


def sent(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value).encode()


def refusal(body: bytes, organisation: str = "RX9") -> Problem:
    """The problem with a body."""
    with pytest.raises(Problem) as raised:
        read(body, organisation=organisation)
    return raised.value


def pointers(problem: Problem) -> list[str]:
    """Where a problem says the faults are, each place once."""
    return list(dict.fromkeys(fault["pointer"] for fault in problem.body["faults"]))


def test_a_whole_submission_is_read() -> None:
    """With the values as they were sent."""
    read_back, digest = read(sent(submission()), organisation="RX9")
    assert (18, "fall", 32) == (read_back.observations.respiration_per_min, read_back.presentation, len(digest))


def test_an_answer_of_no_known_kind_is_a_fault_of_its_own() -> None:
    """Each with its pointer: free text, a truth, a time without offset, a name that is no question's."""
    answers = {"ecg": "looks fine", "struck_head": True, "onset": "2026-03-02T16:00:00", "fell?": "no"}
    problem = refusal(sent(submission(findings={"answers": answers})))
    assert [f"/findings/answers/{name}" for name in answers] == pointers(problem)


def test_every_fault_is_named_at_once_with_its_pointer() -> None:
    """Of kind, of range, of pattern, missing, unknown, twice, inexact and not text: one refusal."""
    body = sent(
        submission(
            patient={"age": {"value": -1, "unit": "fortnights"}, "nhs_number": "12", "shoe_size": 2**53},
            position={"latitude": 91},
            presentation="Fall!",
            observations={"pulse_per_min": "fast", "pulse": 80},
            narrative="\u0000",
        )
    ).replace(b'"accept"', b'"accept": 1, "accept"')
    problem = refusal(body)
    assert 422 == problem.status
    assert {
        "/patient/age/value",
        "/patient/age/unit",
        "/patient/nhs_number",
        "/patient/shoe_size",
        "/position/latitude",
        "/position/longitude",
        "/presentation",
        "/observations/pulse_per_min",
        "/observations/pulse",
        "/narrative",
        "/accept",
    } == set(pointers(problem))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"accept": []}, "/accept"),
        ({"accept": "anywhere"}, "/accept"),
        ({"accept": [{"service_type": 146}, {"service": "not an id"}]}, "/accept/1/service"),
        ({"accept": [{"service_type": 146, "service": "S"}]}, "/accept/0/service"),
        ({"extra": 1}, "/extra"),
        ({"Extra": 1}, "/Extra"),
        ({"a/b~c[d]": 1}, "/a~1b~0c[d]"),
        ({"observations": {"on_oxygen": 1}}, "/observations/on_oxygen"),
        ({"observations": {"respiration_per_min": 18.0}}, "/observations/respiration_per_min"),
        ({"patient": None}, "/patient"),
        ({"patient": {"name": "A\u0000"}}, "/patient/name"),
        ({"patient": {"contact": {"email": "a\u0000@b"}}}, "/patient/contact/email"),
        ({"position": {"latitude": 54.9, "longitude": 10**400}}, "/position/longitude"),
        ({"narrative": "\ud800"}, "/narrative"),
        ({"patient": {"name": "x\udfff"}}, "/patient/name"),
    ],
)
def test_a_fault_is_named_where_it_is(change: dict[str, Any], pointer: str) -> None:
    """Under the name that the sender gave it."""
    problem = refusal(sent(submission(**change)))
    assert (422, True) == (problem.status, pointer in pointers(problem))


def test_half_of_a_surrogate_pair_hides_no_other_fault() -> None:
    """Such a text cannot be read as one, but the rest of the body can."""
    problem = refusal(sent(submission(narrative="\ud800", presentation="?")))
    assert (422, ["/presentation", "/narrative"]) == (problem.status, pointers(problem))


def test_a_name_given_twice_is_refused_even_where_both_are_valid() -> None:
    """Which one was meant, nobody can say: parsers differ."""
    body = sent(submission()).replace(b'"presentation"', b'"presentation": "stroke", "presentation"')
    problem = refusal(body)
    assert (422, ["/presentation"]) == (problem.status, pointers(problem))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"patient": {},}',
        b"\xef\xbb\xbf{}",
        b'{"narrative": "\xff"}',
        b"{'patient': 1}",
        b"[" * 60_000,
        b'{"a":' * 12_000,
        sent(submission()) + b"x",
        "{}".encode("utf-16"),
    ],
)
def test_what_is_not_json_is_refused_with_where(body: bytes) -> None:
    """With line and column."""
    problem = refusal(body)
    assert (400, True) == (problem.status, " at line " in problem.body["detail"])


@pytest.mark.parametrize("value", [None, [], 1, "text", True])
def test_json_that_is_no_object_is_refused(value: Any) -> None:
    """At the root, whose pointer is empty."""
    problem = refusal(sent(value))
    assert (422, [""]) == (problem.status, pointers(problem))


@pytest.mark.parametrize(
    "claim",
    [
        {"organisation": "RX1"},
        {"referrer": {"organisation": "RX1"}},
        {"referrer": "RX1"},
        {"desk": {"organisation": "RX1"}},
    ],
)
def test_a_body_that_claims_another_organisation_is_forbidden(claim: dict[str, Any]) -> None:
    """Also where it has other faults; who refers is taken from the token."""
    assert [403, 403] == [
        refusal(sent(submission(**claim))).status,
        refusal(sent(submission(presentation="?", **claim))).status,
    ]


def test_a_body_that_names_the_caller_is_only_faulty() -> None:
    """It is no member of a submission, and no false claim."""
    problem = refusal(sent(submission(organisation="RX9")))
    assert (422, ["/organisation"]) == (problem.status, pointers(problem))


def test_a_refusal_repeats_no_value() -> None:
    """An answer to a fault is shown and logged where patient data may not go."""
    said = json.dumps(
        refusal(
            sent(submission(patient={"name": "Ada" * 99, "nhs_number": "90000000x9"}, narrative="x" * 2001 + "secret"))
        ).body
    )
    assert (False, False, False) == ("Ada" in said, "90000000x9" in said, "secret" in said)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(sent))
def test_any_bytes_are_refused_as_a_problem(body: bytes) -> None:
    """Never with another exception, which would be a fault of ours."""
    assert refusal(body).status in (400, 422)


@given(
    st.sampled_from(["patient", "position", "presentation", "findings", "observations", "accept", "narrative", "new"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(st.characters()), part, max_size=3),
        max_leaves=8,
    ),
)
def test_any_member_is_read_or_refused_as_a_problem(name: str, value: Any) -> None:
    """Lone surrogates, NaN, huge integers and strange names included."""
    try:
        read(sent(submission(**{name: value})), organisation="RX9")
        status = 201
    except Problem as problem:
        status = problem.status
    assert status in (201, 422)
