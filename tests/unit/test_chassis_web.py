"""The routes of a process: every answer has a shape, and no failure shows what it should not."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from services.chassis.failures import Transient
from services.chassis.identity import CallerOf, Verifier, make_keys, sign
from services.chassis.problems import Problem
from services.chassis.web import create_app

SENTINEL = "Ada SENTINEL 9000000009"


class Body(BaseModel):
    """A body with something to get wrong."""

    count: int


class Hosted:
    """A hosted service, as far as the web sees one."""

    def __init__(self, name: str, router: APIRouter) -> None:
        self.name = name
        self.routers = [router]
        self.reasons: list[str] = []

    def not_ready(self) -> list[str]:
        """What it is told to say."""
        return self.reasons

    async def measure(self) -> None:
        """It has nothing to measure."""


def routes() -> APIRouter:
    """A route for every way to fail."""
    router = APIRouter()

    @router.get("/whoami")
    async def whoami(caller: CallerOf) -> dict[str, str]:
        return {"organisation": caller.organisation}

    @router.get("/things/{thing}")
    async def fail(thing: str) -> dict[str, str]:
        failures: dict[str, Exception] = {
            "bug": KeyError(SENTINEL),
            "away": Transient(SENTINEL),
            "database": asyncpg.CannotConnectNowError(SENTINEL),
            "problem": Problem(409, "Sent before with another body", "Use another key.", headers={"X-Why": "key"}),
        }
        raise failures[thing]

    @router.get("/half")
    async def half() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            raise KeyError(SENTINEL)

        return StreamingResponse(parts())

    @router.post("/count")
    async def count(body: Body) -> Body:
        return body

    return router


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public key set."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def hosted() -> Hosted:
    """The hosted service."""
    return Hosted("booking", routes())


@pytest.fixture
def app(hosted: Hosted, keys: tuple[Path, Path]) -> FastAPI:
    """The application of that service."""
    return create_app([hosted], Verifier.from_file(keys[1]))  # type: ignore[list-item]


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose calls fail when an exception leaves the application."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        yield client


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The problem that an answer is."""
    assert "application/problem+json" == answer.headers["content-type"]
    problem: dict[str, Any] = answer.json()
    assert answer.status_code == problem["status"]
    assert {"type", "title", "status", "detail"} <= problem.keys()
    return problem


async def test_a_problem_is_answered_as_one(client: httpx.AsyncClient) -> None:
    """RFC 9457, with its headers."""
    answer = await client.get("/things/problem")
    assert "Sent before with another body" == problem_of(answer)["title"]
    assert "key" == answer.headers["x-why"]


async def test_a_bug_is_answered_without_a_trace(client: httpx.AsyncClient, logged: io.StringIO) -> None:
    """500, and neither the answer nor the log repeats the exception's text; no exception reaches the server."""
    answer = await client.get("/things/bug")
    assert 500 == problem_of(answer)["status"]
    assert "SENTINEL" not in answer.text
    assert "Traceback" not in answer.text
    line = json.loads(logged.getvalue())
    assert ("unexpected", "/things/{thing}", "KeyError") == (line["event"], line["route"], line["error"])
    assert line["reason"].startswith("test_chassis_web.py:")
    assert "SENTINEL" not in logged.getvalue()


@pytest.mark.parametrize("thing", ["away", "database"])
async def test_what_is_away_is_answered_with_when_to_ask_again(
    client: httpx.AsyncClient, logged: io.StringIO, thing: str
) -> None:
    """503 with Retry-After: nothing is wrong with the request."""
    answer = await client.get(f"/things/{thing}")
    assert 503 == problem_of(answer)["status"]
    assert "1" == answer.headers["retry-after"]
    assert "SENTINEL" not in answer.text + logged.getvalue()


async def test_an_answer_that_fails_half_way_ends_there(app: FastAPI, logged: io.StringIO) -> None:
    """What was sent cannot be taken back: it is left incomplete, and the server closes the connection on it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/half", "raw_path": b"/half", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert ["http.response.start", "http.response.body"] == [message["type"] for message in sent]
    assert (b"first", True) == (sent[1]["body"], sent[1]["more_body"])
    assert "unexpected" == json.loads(logged.getvalue())["event"]
    assert "SENTINEL" not in logged.getvalue()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/count", 405)])
async def test_a_wrong_address_is_answered_as_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """The framework's own refusals have the same shape as ours."""
    assert status == problem_of(await client.request(method, path))["status"]


@pytest.mark.parametrize("body", [b"", b"junk", b"[]", b'{"count": "Ada SENTINEL"}', b'{"count": {"SENTINEL": 1}}'])
async def test_a_faulty_request_is_answered_with_its_faults(client: httpx.AsyncClient, body: bytes) -> None:
    """422 with the place of each fault, and no value of the request."""
    answer = await client.post("/count", content=body, headers={"content-type": "application/json"})
    problem = problem_of(answer)
    assert 422 == problem["status"]
    assert problem["faults"]
    assert "SENTINEL" not in answer.text


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic QWRhOnNlY3JldA==", "Bearer junk"])
async def test_a_call_without_a_token_that_holds_is_unauthorised(
    client: httpx.AsyncClient, authorization: str | None
) -> None:
    """401 and what to send."""
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await client.get("/whoami", headers=headers)
    assert 401 == problem_of(answer)["status"]
    assert "Bearer" == answer.headers["www-authenticate"]


async def test_an_expired_token_is_told_apart(client: httpx.AsyncClient, keys: tuple[Path, Path]) -> None:
    """The device knows that it needs a new one."""
    past = datetime(2025, 1, 1, tzinfo=UTC)
    token = sign(keys[0], organisation="RX1", practitioner="P1", role="paramedic", now=past)
    answer = await client.get("/whoami", headers={"authorization": f"Bearer {token}"})
    assert "the token has expired: ask for a new one" == problem_of(answer)["detail"]


async def test_a_token_that_holds_names_the_caller(client: httpx.AsyncClient, keys: tuple[Path, Path]) -> None:
    """The route learns who calls."""
    token = sign(keys[0], organisation="RX1", practitioner="P1", role="paramedic", now=datetime.now(UTC))
    answer = await client.get("/whoami", headers={"authorization": f"bearer {token}"})
    assert {"organisation": "RX1"} == answer.json()


async def test_the_process_is_live_whatever_it_waits_for(client: httpx.AsyncClient, hosted: Hosted) -> None:
    """A restart cures nothing that is merely away."""
    hosted.reasons = ["desks: joining its group"]
    assert 200 == (await client.get("/health/live")).status_code


async def test_readiness_lists_every_reason(client: httpx.AsyncClient, hosted: Hosted) -> None:
    """503 with the reasons of each hosted service; 200 when there are none."""
    hosted.reasons = ["desks: joining its group", "Kafka has not answered for 6 s"]
    answer = await client.get("/health/ready")
    assert 503 == answer.status_code
    assert {"status": "not ready", "services": {"booking": hosted.reasons}} == answer.json()
    hosted.reasons = []
    answer = await client.get("/health/ready")
    assert (200, {"status": "ready", "services": {"booking": []}}) == (answer.status_code, answer.json())


async def test_responses_are_measured_by_their_route(client: httpx.AsyncClient) -> None:
    """The template and not the path, so that no id becomes a label."""
    await client.get("/things/problem")
    measured = (await client.get("/metrics")).text
    assert 'onward_http_seconds_count{method="GET",route="/things/{thing}",status="409"}' in measured
    assert "/things/problem" not in measured


async def test_events_are_described_beside_the_routes(client: httpx.AsyncClient) -> None:
    """As a page for people, and as AsyncAPI for programs."""
    page, document = await client.get("/docs/events"), await client.get("/asyncapi.json")
    assert ("text/html", "3.0.0") == (page.headers["content-type"].partition(";")[0], document.json()["asyncapi"])
