"""The OpenAPI document is true: asked in every way that it allows, and in some that it does not, each operation answers
as it says. Schemathesis makes the requests of the document, and holds the answers to it."""

import os
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.edges.routes import DOCUMENT, OPERATIONS, ROUTES
from tests.edges.whole_system import Whole

pytestmark = pytest.mark.backing

EXAMPLES = int(os.environ.get("ONWARD_FUZZ_EXAMPLES", "4"))
"""How often each operation is asked; `make fuzz` asks more often."""

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """A connection that is kept. Of a stream the head alone is read."""

    def cut_short(response: requests.Response, **_: object) -> None:
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            response._content = b""
            response.close()

    with requests.Session() as one:
        one.hooks["response"] = [cut_short]
        yield one


def cases(label: str, whole: Whole) -> st.SearchStrategy[schemathesis.Case]:
    """Requests of an operation, half of them of what is there."""
    method, path = label.split(" ")
    operation = SCHEMA[path][method]
    known = whole.values | ROUTES[label].values
    there = {one["name"]: known[one["name"]] for one in OPERATIONS[label].get("parameters", ()) if one["in"] == "path"}
    modes = [GenerationMode.POSITIVE]
    if "parameters" in OPERATIONS[label] or "requestBody" in OPERATIONS[label]:
        modes.append(GenerationMode.NEGATIVE)
    return st.one_of(
        operation.as_strategy(generation_mode=mode, **more)
        for mode in modes
        for more in ([{}, {"path_parameters": there}] if there else [{}])
    )


@pytest.mark.parametrize("label", ROUTES)
def test_an_operation_answers_as_documented(label: str, whole: Whole, session: requests.Session) -> None:
    """No 500, and no status, header, media type or body that the document does not have; and 401 to nobody."""
    route = ROUTES[label]
    bearer = {"Authorization": f"Bearer {whole.token(route.organisation, route.role)}"}
    asking = {"base_url": whole.url, "session": session, "timeout": PATIENCE_SECONDS}

    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES < 10,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(label, whole))
    def answers(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=bearer, checks=CHECKS, **asking)
        if "401" in OPERATIONS[label]["responses"]:
            refused = case.call(headers={"Authorization": "Bearer nobody"}, **asking)
            assert 401 == refused.status_code

    answers()
