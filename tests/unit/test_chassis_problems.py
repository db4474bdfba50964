"""Faults of a body that has one of several forms: each is named where it is, and none repeats what was sent."""

import json
from typing import Any

import pytest
from pydantic import RootModel, ValidationError

from contracts.actions import Action
from services.chassis.problems import faults_of


def faults(body: Any) -> list[tuple[str, str]]:
    """What is wrong with an action, as a route says it."""
    try:
        RootModel[Action].model_validate_json(json.dumps(body), extra="forbid")
    except ValidationError as error:
        return [(fault.pointer, fault.message) for fault in faults_of(error, body)]
    return []


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"action": "accept"}, []),
        ({"action": "reject"}, ["/reason"]),
        ({"action": "reject", "reason": "full"}, ["/reason"]),
        ({"action": "accept", "reason": "full"}, ["/reason"]),
        ({"action": "rebook", "accept": [{"service": "a b"}]}, ["/accept", "/accept/0/service"]),
        ({"action": "give_outcome", "kind": "died", "documents": ["x"]}, ["/documents/0"]),
        ({"action": "decline"}, ["/action"]),
        ({}, ["/action"]),
        ([], [""]),
    ],
)
def test_a_fault_of_a_form_is_named_where_it_is(body: Any, pointers: list[str]) -> None:
    """The name of the form that was tried is in no pointer, though it may be that of a member."""
    assert pointers == sorted({pointer for pointer, _ in faults(body)} - {"/accept/0/service_type"})


def test_a_form_that_is_not_known_is_answered_with_those_that_are() -> None:
    """And what was sent is not repeated."""
    ((_, message),) = faults({"action": "patient Doe"})
    assert (True, False) == ("'give_outcome'" in message, "Doe" in message)
