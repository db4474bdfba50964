"""What the documentation says of `POST /referrals` and of actions."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import jsonschema
import pytest
from fastapi import FastAPI

from services.gateway.action_http import action_routes
from services.gateway.desks import Desks
from services.gateway.handlers import Transaction
from services.gateway.http import inlined, routes
from services.gateway.settings import GatewaySettings
from tests.action_examples import WHOLE
from tests.gateway_examples import submission


@pytest.fixture
def operations() -> dict[str, Any]:
    """The operations of each path, as the OpenAPI document describes them."""
    app = FastAPI()
    for serve in (routes, action_routes):
        app.include_router(
            serve(
                cast("Transaction", None),
                settings=GatewaySettings(),
                desks=Desks(),
                desks_known=lambda: True,
                clock=lambda: datetime.now(UTC),
                new_id=uuid4,
            )
        )
    described: dict[str, Any] = app.openapi()["paths"]
    return described


@pytest.fixture
def operation(operations: dict[str, Any]) -> dict[str, Any]:
    """`POST /referrals`."""
    described: dict[str, Any] = operations["/referrals"]["post"]
    return described


@pytest.fixture
def action(operations: dict[str, Any]) -> dict[str, Any]:
    """`POST /referrals/{referral_id}/actions`."""
    described: dict[str, Any] = operations["/referrals/{referral_id}/actions"]["post"]
    return described


def references(part: Any) -> Iterator[str]:
    """Every reference in a part of a schema."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref")
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_the_body_is_described_although_it_is_read_raw(operation: dict[str, Any]) -> None:
    """A submission holds by the documented schema, and one with a misspelt observation does not."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(schema)
    misspelt = submission(observations={"pulse": 80})
    assert (True, False) == (validator.is_valid(submission()), validator.is_valid(misspelt))


@pytest.mark.parametrize(("name", "said"), WHOLE.items())
def test_every_action_is_described(action: dict[str, Any], name: str, said: dict[str, Any]) -> None:
    """It holds by the documented schema; with a misspelt member, or none that it needs, it does not."""
    schema = action["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(schema)
    whole = {"action": name} | said
    assert (True, False, not said or name == "accept") == (
        validator.is_valid(whole),
        validator.is_valid(whole | {"word": "x"}),
        validator.is_valid({"action": name}),
    )


def test_the_described_bodies_refer_to_nothing_outside_themselves(
    operation: dict[str, Any], action: dict[str, Any]
) -> None:
    """A reference into `$defs` would point nowhere in the whole document."""
    assert [] == [*references(operation["requestBody"]), *references(action["requestBody"])]
    assert "#/$defs" not in json.dumps(action["requestBody"])


def test_every_answer_is_described(operation: dict[str, Any]) -> None:
    """With its status, so that a device's author knows what to expect."""
    assert {"201", "202", "400", "401", "403", "409", "413", "415", "422", "429", "503"} == set(operation["responses"])


def test_every_answer_to_an_action_is_described(action: dict[str, Any]) -> None:
    """What is done, what is not, and why."""
    described = {"200", "202", "400", "401", "403", "404", "409", "412", "413", "415", "422", "429", "503"}
    assert described == set(action["responses"])


def test_the_key_is_required(operation: dict[str, Any], action: dict[str, Any]) -> None:
    """And said to be a UUID in a header; of an action the referral too, in the path."""
    one, other = (
        [(one["name"], one["in"]) for one in described["parameters"] if one.get("required")]
        for described in (operation, action)
    )
    key = ("Idempotency-Key", "header")
    assert ([key], {key, ("referral_id", "path")}) == (one, set(other))


def test_inlining_keeps_what_is_said_beside_a_reference() -> None:
    """A default or description there belongs to the member, not to the definition."""
    schema = {"$defs": {"A": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/A", "default": 1}}}
    assert {"properties": {"a": {"type": "integer", "default": 1}}} == json.loads(json.dumps(inlined(schema)))
