"""A receiver that keeps its own diary, served on 127.0.0.1, as honest or not as a test wants it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from contracts.directory import DiaryElsewhere, Service
from tests.booking_requests import service


@dataclass
class Booked:
    """What it has under a key."""

    service_id: str
    starts_at: str
    minutes: int
    reference: str


@dataclass
class Receiver:
    """Its diary, what it was asked, and its vices."""

    address: str
    capacity: dict[datetime, int] = field(default_factory=dict)
    """Its slots of half an hour, and how many patients each takes."""
    alive: dict[UUID, Booked] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Method, and key or path."""
    bodies: list[Any] = field(default_factory=list)
    """What it was told of patients: as much as there is."""
    at_once: int = 0
    most_at_once: int = 0

    # Vices
    away: bool = False
    """It answers 503."""
    answers: Callable[[str, Any], Response | Any] | None = None
    """Given the method and its honest answer, what it says instead."""
    waits: asyncio.Event | None = None
    """Its answers wait for this."""
    deaf_until: asyncio.Event | None = None
    """It does not act on bookings before this, whoever has gone meanwhile."""
    loses: int = 0
    """So many answers to bookings are lost after it booked: it answers 502."""
    refuses: int = 0
    """So many bookings are refused."""
    double_books: bool = False
    """It offers what it has given, and gives it again."""
    _late: set[asyncio.Task[Any]] = field(default_factory=set)

    def offers(self, *starts: datetime, capacity: int = 1) -> None:
        """It has slots then."""
        self.capacity |= dict.fromkeys(starts, capacity)

    def lists(self, service_id: str = "R1", **changes: Any) -> Service:
        """Its entry in the directory."""
        return service(service_id, booking="slots", diary=DiaryElsewhere(address=self.address), **changes)

    def taken(self, starts_at: datetime) -> int:
        """How many patients a slot has."""
        return sum(datetime.fromisoformat(one.starts_at) == starts_at for one in self.alive.values())

    def asked(self, method: str) -> int:
        """How often it was called so."""
        return sum(called == method for called, _ in self.calls)

    async def handle(self, request: Request) -> Response:
        """Any call."""
        key = request.path_params.get("key")
        self.calls.append((request.method, str(key or request.url.path)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.waits is not None:
                await self.waits.wait()
            if self.away:
                return Response(status_code=503)
            answer = await self._answer(request, key)
            return self.answers(request.method, answer) if self.answers is not None else answer
        finally:
            self.at_once -= 1

    async def _answer(self, request: Request, key: UUID | None) -> Response:
        match request.method:
            case "DELETE":
                assert key is not None
                return Response(status_code=204 if self.alive.pop(key, None) else 404)
            case "PUT":
                assert key is not None
                body = await request.json()
                self.bodies.append(body)
                if self.deaf_until is not None:
                    self._later(self._book_late(key, body, self.deaf_until))
                    await asyncio.Event().wait()
                return self._book(key, body)
            case "GET" if key is not None:
                return self._shown(key) if key in self.alive else Response(status_code=404)
        begin, until = (datetime.fromisoformat(request.query_params[name]) for name in ("from", "until"))
        free = {starts: capacity - self.taken(starts) for starts, capacity in sorted(self.capacity.items())}
        slots = [
            {"starts_at": starts.isoformat(), "minutes": 30, "capacity": self.capacity[starts], "free": left}
            for starts, left in ((one, self.capacity[one] if self.double_books else left) for one, left in free.items())
            if left and begin <= starts <= until
        ]
        return JSONResponse({"slots": slots})

    def _book(self, key: UUID, body: Any) -> Response:
        starts_at = datetime.fromisoformat(body["starts_at"])
        full = self.taken(starts_at) >= self.capacity.get(starts_at, 0)
        if key not in self.alive and ((full and not self.double_books) or self.refuses):
            self.refuses = max(0, self.refuses - 1)
            return Response(status_code=409)
        self.alive.setdefault(key, Booked(**body, reference=f"R-{len(self.calls)}"))
        if self.loses:
            self.loses -= 1
            return Response(status_code=502)
        return self._shown(key)

    def _shown(self, key: UUID) -> Response:
        return JSONResponse({"key": str(key), **vars(self.alive[key])})

    def _later(self, work: Any) -> None:
        self._late.add(asyncio.create_task(work))

    async def _book_late(self, key: UUID, body: Any, when: asyncio.Event) -> None:
        await when.wait()
        self._book(key, body)

    async def caught_up(self) -> None:
        """What it was deaf to is done."""
        await asyncio.gather(*self._late)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver, served."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        one = Receiver(f"http://127.0.0.1:{own.getsockname()[1]}/diary")
        paths = ("/diary/slots", "/diary/bookings/{key:uuid}")
        app = Starlette(routes=[Route(path, one.handle, methods=["GET", "PUT", "DELETE"]) for path in paths])
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, http="httptools")
        )
        serving = asyncio.create_task(server.serve(sockets=[own]))
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            yield one
        finally:
            server.should_exit = True
            await serving


def dead(keys: Iterable[UUID], receivers: Iterable[Receiver]) -> bool:
    """Whether nothing is booked under any of these keys."""
    return not set(keys) & {key for one in receivers for key in one.alive}
