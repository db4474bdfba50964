"""Routes that are reached without FastAPI's router: they answer as any other, and nothing else is reached that way."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from services.chassis.direct import DirectRoute, direct_among
from services.chassis.failures import Transient
from services.chassis.identity import CallerOf, Verifier, make_keys, sign
from services.chassis.problems import Problem
from services.chassis.web import create_app


class Hosted:
    """A hosted service, as far as the web sees one."""

    name = "gateway"

    def __init__(self, router: APIRouter) -> None:
        self.routers = [router]

    def not_ready(self) -> list[str]:
        """Nothing."""
        return []

    async def measure(self) -> None:
        """It has nothing to measure."""


def routes() -> APIRouter:
    """A direct route, and two that are not: one with something in its path, and one with more to be read."""
    router = APIRouter(route_class=DirectRoute)

    @router.post("/things", status_code=201)
    async def make(request: Request, caller: CallerOf) -> Response:
        match (await request.body()).decode():
            case "problem":
                raise Problem(409, "Sent before", "Use another key.", headers={"X-Why": "key"})
            case "away":
                raise Transient("Ada SENTINEL")
            case "bug":
                raise KeyError("Ada SENTINEL")
            case said:
                return JSONResponse({"said": said, "by": caller.organisation, "path": request.url.path}, 201)

    @router.get("/things/{thing}")
    async def one(thing: UUID, caller: CallerOf) -> dict[str, str]:
        return {"thing": str(thing), "by": caller.organisation}

    @router.get("/things")
    async def some(caller: CallerOf, limit: int = 5) -> dict[str, int]:
        return {"limit": limit}

    return router


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of RX9; its calls fail when an exception leaves the application."""
    private, public = make_keys(tmp_path)
    app = create_app([Hosted(routes())], Verifier.from_file(public))  # type: ignore[list-item]
    token = sign(private, organisation="RX9", practitioner="crew-7", role="paramedic", now=datetime.now(UTC))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here", headers=headers) as client:
        yield client


def test_only_what_reads_all_by_itself_is_direct() -> None:
    """By method and path; the rest is FastAPI's."""
    assert {("POST", "/things")} == set(direct_among(routes().routes))


async def test_a_direct_route_answers_as_any_other(client: httpx.AsyncClient) -> None:
    """Its answer, its problem, and the problems that failures are; without a token it is not even begun."""
    said = {body: await client.post("/things", content=body) for body in ("hello", "problem", "away", "bug")}
    stranger = await client.post("/things", content="hello", headers={"Authorization": "Bearer of-nobody"})
    assert {"said": "hello", "by": "RX9", "path": "/things"} == said["hello"].json()
    assert [201, 409, 503, 500, 401] == [one.status_code for one in (*said.values(), stranger)]
    assert ("key", "1") == (said["problem"].headers["x-why"], said["away"].headers["retry-after"])
    assert {"application/problem+json"} == {
        one.headers["content-type"] for one in (*said.values(), stranger) if one.status_code >= 400
    }
    assert "SENTINEL" not in "".join(one.text for one in said.values())


async def test_all_else_is_read_as_ever(client: httpx.AsyncClient) -> None:
    """Parameters are checked, a method that is not there is 405, and the document has every route."""
    thing = uuid4()
    answers = [
        await client.get(path) for path in (f"/things/{thing}", "/things/7", "/things?limit=3", "/things?limit=x")
    ]
    assert [200, 422, 200, 422] == [one.status_code for one in answers]
    assert ({"thing": str(thing), "by": "RX9"}, {"limit": 3}) == (answers[0].json(), answers[2].json())
    assert 405 == (await client.delete("/things")).status_code
    assert {"get", "post"} == set((await client.get("/openapi.json")).json()["paths"]["/things"])


async def test_it_is_counted_by_its_route(client: httpx.AsyncClient) -> None:
    """As the others, by a template that names nobody."""
    await client.post("/things", content="hello")
    counted = (await client.get("/metrics")).text
    assert 'method="POST",route="/things",status="201"' in counted
