"""What the documentation says of `POST /referrals`."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import jsonschema
import pytest
from fastapi import FastAPI

from services.gateway.desks import Desks
from services.gateway.handlers import Transaction
from services.gateway.http import inlined, routes
from services.gateway.settings import GatewaySettings
from tests.gateway_examples import submission


@pytest.fixture
def operation() -> dict[str, Any]:
    """The operation, as the OpenAPI document describes it."""
    app = FastAPI()
    app.include_router(
        routes(
            cast("Transaction", None),
            settings=GatewaySettings(),
            desks=Desks(),
            desks_known=lambda: True,
            clock=lambda: datetime.now(UTC),
            new_id=uuid4,
        )
    )
    described: dict[str, Any] = app.openapi()["paths"]["/referrals"]["post"]
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


def test_the_described_body_refers_to_nothing_outside_itself(operation: dict[str, Any]) -> None:
    """A reference into `$defs` would point nowhere in the whole document."""
    assert [] == list(references(operation["requestBody"]))


def test_every_answer_is_described(operation: dict[str, Any]) -> None:
    """With its status, so that a device's author knows what to expect."""
    assert {"201", "202", "400", "401", "403", "409", "413", "415", "422", "429", "503"} == set(operation["responses"])


def test_the_key_is_required(operation: dict[str, Any]) -> None:
    """And said to be a UUID in a header."""
    required = [(one["name"], one["in"]) for one in operation["parameters"] if one.get("required")]
    assert [("Idempotency-Key", "header")] == required


def test_inlining_keeps_what_is_said_beside_a_reference() -> None:
    """A default or description there belongs to the member, not to the definition."""
    schema = {"$defs": {"A": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/A", "default": 1}}}
    assert {"properties": {"a": {"type": "integer", "default": 1}}} == json.loads(json.dumps(inlined(schema)))
