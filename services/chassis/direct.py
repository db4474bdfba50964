"""Routes that need nothing of FastAPI but its document: reached without its router, its layers and its dependencies,
which take longer than telling somebody that there is no room."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from inspect import signature
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from services.chassis.identity import caller_of
from services.chassis.problems import Problem, respond

Answering = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """Direct where it has one path and an endpoint that takes `request` and `caller`, and reads all else itself; else a
    route as any other."""

    @property
    def is_direct(self) -> bool:
        """Whether there is nothing that FastAPI would read for it."""
        return "{" not in self.path and set(signature(self.endpoint).parameters) == {"request", "caller"}

    def get_route_handler(self) -> Answering:
        """What answers a request: of a direct route the endpoint, once it is known who calls."""
        if not self.is_direct:
            return super().get_route_handler()
        endpoint = self.endpoint

        async def answer(request: Request) -> Response:
            response: Response = await endpoint(request=request, caller=await caller_of(request, None))
            return response

        return answer


class Direct:
    """Answers direct routes, and hands on everything else. Whoever is outside sees the route in the scope, as ever."""

    def __init__(self, app: ASGIApp, *, routes: Mapping[tuple[str, str], tuple[BaseRoute, Answering]]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], answer = found
        try:
            response = await answer(Request(scope, receive, send))
        except Problem as problem:
            response = respond(problem)
        await response(scope, receive, send)


def direct_among(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], tuple[BaseRoute, Answering]]:
    """Those that are direct, by method and path."""
    return {
        (method, route.path): (route, route.get_route_handler())
        for route in routes
        if isinstance(route, DirectRoute) and route.is_direct
        for method in route.methods or ()
    }
