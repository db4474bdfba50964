"""The routes of a process: every hosted service's, health, metrics and documentation."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import contracts
from services.chassis import traces
from services.chassis.direct import Direct, direct_among
from services.chassis.failures import is_transient, where
from services.chassis.identity import Verifier
from services.chassis.log import logger
from services.chassis.metrics import HTTP_SECONDS
from services.chassis.problems import PROBLEM, Fault, Problem, ProblemBody, faults_of, respond
from services.chassis.service import Service

CONTRACTS = Path(contracts.__file__).parent
"""Where the description of all events is, written by `make docs`."""

__all__ = ["Fault", "Problem", "create_app", "faults_of"]


def create_app(services: Sequence[Service], verifier: Verifier) -> FastAPI:
    """One application with the routes of all hosted services."""
    app = FastAPI(
        title="Onward",
        version="0.1.0",
        description="Refer a patient, find the pathway and book in one transaction. Not a certified medical device. "
        "What travels over Kafka is described at /docs/events.",
        redirect_slashes=False,  # what is not there is not there: a redirect is no answer that any route documents
    )
    app.state.verifier = verifier
    for service in services:
        for router in service.routers:
            app.include_router(router, responses=_EVERYWHERE)
    _add_health(app, services, verifier)
    _add_events(app)
    _describe_problems(app)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    direct = direct_among(route for service in services for router in service.routers for route in router.routes)
    app.add_middleware(Direct, routes=direct)
    app.add_middleware(_Answered)
    tracers = [
        (tracer, route)
        for service in services
        if (tracer := traces.of(service.name)) is not None
        for router in service.routers
        for route in router.routes
    ]
    if tracers:
        app.add_middleware(_Traced, tracers=tracers)
    return app


def _add_health(app: FastAPI, services: Sequence[Service], verifier: Verifier) -> None:
    @app.get("/health/live", tags=["health"], summary="The process answers")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get(
        "/health/ready",
        tags=["health"],
        summary="Every hosted service is ready, or why not",
        responses={503: {"description": "Not ready; each reason", "content": {"application/json": {}}}},
    )
    async def ready() -> Response:
        reasons = {service.name: service.not_ready() for service in services}
        if verifier.waiting_for:
            reasons["keys"] = [verifier.waiting_for]
        waiting = any(reasons.values())
        return JSONResponse(
            {"status": "not ready" if waiting else "ready", "services": reasons}, status_code=503 if waiting else 200
        )

    @app.get(
        "/metrics",
        tags=["health"],
        summary="Prometheus metrics",
        response_class=PlainTextResponse,
    )
    async def metrics() -> Response:
        await asyncio.gather(*(service.measure() for service in services))
        return PlainTextResponse(generate_latest(), media_type=CONTENT_TYPE_LATEST)


_EVERYWHERE: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid token"},
    503: {"description": "Something that the answer needs is away: ask again"},
}


def _describe_problems(app: FastAPI) -> None:
    """Let the document say of every refusal what it is: FastAPI would describe one of its own."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = described()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas["Problem"] = ProblemBody.model_json_schema()
            refused = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    for status, response in operation["responses"].items():
                        if status >= "400" and not path.startswith("/health"):
                            response["content"] = refused
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _add_events(app: FastAPI) -> None:
    @app.get("/docs/events", include_in_schema=False)
    async def events() -> Response:
        return FileResponse(CONTRACTS / "asyncapi.html")

    @app.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi() -> Response:
        return FileResponse(CONTRACTS / "asyncapi.json")


async def _problem(_request: Request, error: Any) -> Response:
    return respond(error)


async def _http(_request: Request, error: Any) -> Response:
    return respond(Problem(error.status_code, str(error.detail), str(error.detail), headers=error.headers))


async def _invalid(_request: Request, error: Any) -> Response:
    faults = [
        Fault(pointer="/" + "/".join(map(str, one["loc"][1:])), message=f"{one['loc'][0]}: {one['msg']}")
        for one in error.errors()
    ]
    return respond(Problem(422, "The request does not hold", "Mend each fault and send it again.", faults=faults))


def _of_failure(error: Exception, route: str) -> Response:
    if is_transient(error):
        logger("web").warning("not_now", route=route, error=type(error).__name__, reason=where(error))
        detail = "Something this answer needs is away. Ask again in a moment."
        return respond(Problem(503, "Not now", detail, headers={"Retry-After": "1"}))
    logger("web").error("unexpected", route=route, error=type(error).__name__, reason=where(error))
    return respond(Problem(500, "A fault of ours", "It is logged. Sending it again may help; nothing was lost."))


class _Answered:
    """Answers every request, whatever fails, and times it by its route.

    Not by an exception handler: Starlette raises the exception again for the server to log, and its text may quote a
    patient.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, began_answering = time.perf_counter(), 500, False

        async def send_and_see(message: Message) -> None:
            nonlocal status, began_answering
            if message["type"] == "http.response.start":
                status, began_answering = message["status"], True
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        except Exception as error:
            response = _of_failure(error, _route(scope))
            if not began_answering:  # else the connection closes on half an answer, which says enough
                await response(scope, receive, send_and_see)
        finally:
            HTTP_SECONDS.labels(_route(scope), scope["method"], status).observe(time.perf_counter() - began)


class _Traced:
    """A span a request, until its answer begins, under the name of the service whose route it is.

    Ours, because the library's own carries the whole address, and a search may name a patient's place and age.
    """

    def __init__(self, app: ASGIApp, *, tracers: Sequence[tuple[Tracer, BaseRoute]]) -> None:
        self._app = app
        self._tracers = tracers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracer = self._tracer(scope)
        if tracer is None:
            await self._app(scope, receive, send)
            return
        received = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        with tracer.start_as_current_span(
            scope["method"], traces.received(received), SpanKind.SERVER, end_on_exit=False, record_exception=False
        ) as span:

            async def send_and_end(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route, status = _route(scope), message["status"]
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attributes(
                        {
                            "http.request.method": scope["method"],
                            "http.route": route,
                            "http.response.status_code": status,
                        }
                    )
                    if status >= 500:
                        span.set_status(StatusCode.ERROR)
                    span.end()
                await send(message)

            await self._app(scope, receive, send_and_end)

    def _tracer(self, scope: Scope) -> Tracer | None:
        if scope["type"] != "http":
            return None
        return next((tracer for tracer, route in self._tracers if route.matches(scope)[0] is not Match.NONE), None)


def _route(scope: Scope) -> str:
    """The route's template, which names no patient; a path might."""
    return getattr(scope.get("route"), "path", "none")
