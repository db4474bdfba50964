"""Reading the body of an action: what is refused, and how."""

import json
from typing import Any, get_args
from uuid import UUID

import pytest

from contracts.actions import Accept, Action, ActionName, Redirect
from contracts.submissions import AcceptedType
from services.chassis.problems import Problem
from services.gateway.body import read_action
from tests.action_examples import OTHER, REFERRAL, WHOLE

EITHER = ["/accept", "/accept/0/service", "/accept/0/service_type"]
"""Where neither `any`, a service nor a type is named: what each would need."""


def reading(body: Any, *, referral: UUID = REFERRAL, seen: int | None = None) -> tuple[Action, bytes]:
    """What is read of a body, given as JSON or as bytes."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_action(sent, organisation="RX8", referral=referral, seen_version=seen)


def refusal(body: Any) -> Problem:
    """The problem with a body."""
    with pytest.raises(Problem) as raised:
        reading(body)
    return raised.value


def pointers(problem: Problem) -> list[str]:
    """Where a problem says the faults are."""
    return sorted(fault["pointer"] for fault in problem.body["faults"])


def test_every_action_of_the_contract_is_read() -> None:
    """Each into its own form."""
    read = {name: reading({"action": name} | said)[0].action for name, said in WHOLE.items()}
    assert {name: name for name in get_args(ActionName)} == read


def test_what_an_action_says_is_kept() -> None:
    """With its values as they were sent."""
    assert (
        Accept(action="accept", words="Bring the walking frame."),
        Redirect(action="redirect", accept=(AcceptedType(service_type=135),), agreed=True),
    ) == tuple(reading({"action": name} | WHOLE[name])[0] for name in ("accept", "redirect"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"action": "reject", "reason": "busy", "words": "", "word": "?"}, ["/reason", "/word", "/words"]),
        ({"action": "reject"}, ["/reason"]),
        ({"action": "accept", "reason": "no-capacity"}, ["/reason"]),
        ({"action": "redirect", "accept": [], "agreed": False}, ["/accept", "/agreed"]),
        ({"action": "redirect", "accept": [{"service_type": 146, "service": "S"}], "agreed": True}, EITHER),
        ({"action": "rebook", "accept": [{"service": "no id"}]}, EITHER),
        ({"action": "wait", "service": "no id", "until": "tomorrow"}, ["/service", "/until"]),
        ({"action": "wait", "service": "S", "until": "2026-03-03T12:00:00"}, ["/until"]),
        ({"action": "give_outcome", "kind": "cured", "documents": ["letter"]}, ["/documents/0", "/kind"]),
        ({"action": "leave_message", "words": "\x00"}, ["/words"]),
        ({"action": "leave_message", "words": "a" * 2001}, ["/words"]),
        ({"action": "acept", "words": "x"}, ["/action"]),
        ({"action": ["accept"]}, ["/action"]),
        ({"words": "x"}, ["/action"]),
        ({}, ["/action"]),
        ([], [""]),
        ("accept", [""]),
    ],
)
def test_every_fault_is_named_with_its_pointer(body: Any, expected: list[str]) -> None:
    """Of the action that is named; of one that nobody knows, the name."""
    problem = refusal(body)
    assert 422 == problem.status
    assert expected == sorted(set(pointers(problem)))


def test_a_fault_repeats_no_value() -> None:
    """What was sent may be of a patient."""
    assert "Smith" not in json.dumps(refusal({"action": "Smith", "words": "Smith"}).body)
    assert "Smith" not in json.dumps(refusal({"action": "reject", "reason": "Smith"}).body)


def test_a_name_that_is_given_twice_is_a_fault() -> None:
    """Which of the two was meant, nobody can say: also of the action's own name."""
    assert ["/reason"] == pointers(refusal(b'{"action":"reject","reason":"other","reason":"no-capacity"}'))
    assert ["/action"] == pointers(refusal(b'{"action":"reject","action":"accept","words":"x"}'))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"action": accept}', b"[" * 60_000])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    """400, with where it ends."""
    assert 400 == refusal(body).status


@pytest.mark.parametrize("claim", [{"organisation": "RX9"}, {"referrer": {"organisation": "RX9"}}, {"desk": "RX9"}])
def test_an_action_speaks_for_its_token_alone(claim: dict[str, Any]) -> None:
    """403, also where the action has other faults."""
    assert [403, 403] == [refusal({"action": name} | claim).status for name in ("accept", "acept")]


def test_the_digest_is_of_all_that_is_asked() -> None:
    """Another spelling is the same; another action, referral or version seen is not."""
    body = {"action": "reject", "reason": "other"}
    respelt = b'{ "reason": "other",\n "action": "reject" }'
    same = {reading(body)[1], reading(respelt)[1]}
    others = {
        reading(body | {"words": "x"})[1],
        reading(body, referral=OTHER)[1],
        reading(body, seen=3)[1],
        reading(body, seen=4)[1],
    }
    assert (1, 4, set()) == (len(same), len(others), same & others)
