"""The port to receivers that keep their own diaries, and how it speaks HTTP.

The protocol is in docs/decisions/booking-diaries-elsewhere.md.

One call each, within a time and a size. Whether and when to call again is decided by who calls.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from typing import Any, Protocol, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from services.booking.answers import Booked, Offers, Wanted, fault_of_booked, fault_of_offers
from services.chassis.metrics import RECEIVER_CALLS

CALLS = ("slots", "book", "booked", "give back")
ANSWERS = ("answered", "refused", "unanswered", "wrong")

LARGEST_BYTES = 200_000
"""More is not read of any answer."""

Answer = TypeVar("Answer", bound=BaseModel)


class Unanswered(Exception):
    """A receiver said nothing, or that it cannot answer now: whatever it was asked to do may have been done or not."""


class AnsweredWrongly(Exception):
    """A receiver said what cannot be so."""


class Receivers(Protocol):
    """Diaries that receivers keep, by the address at which each is listed. Every call may raise Unanswered."""

    async def offers(self, address: str, service_id: str, begin: datetime, until: datetime) -> Offers:
        """The slots that it would give, which begin from `begin` to `until`. Raises AnsweredWrongly."""

    async def book(self, address: str, wanted: Wanted) -> str | None:
        """Book a slot under a key; again under the same key is the same booking. The receiver's reference, or none
        where it refuses. Raises AnsweredWrongly."""

    async def booked(self, address: str, wanted: Wanted) -> str | None:
        """The receiver's reference of what it has booked under a key; none where that is nothing. Raises
        AnsweredWrongly."""

    async def give_back(self, address: str, key: UUID) -> None:
        """What is booked under a key is booked no more, if it ever was. Raises AnsweredWrongly."""


class HttpReceivers:
    """Receivers over HTTP. Redirects are not followed: an address is called because the directory lists it."""

    def __init__(self, call_seconds: float) -> None:
        """No call takes longer."""
        self._seconds = call_seconds
        self._client = httpx.AsyncClient(
            timeout=call_seconds,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=None),  # of each receiver not more than are asked at once
        )
        for call, answer in product(CALLS, ANSWERS):
            RECEIVER_CALLS.labels("booking", call, answer)  # counted from zero

    async def aclose(self) -> None:
        """Let go of every connection."""
        await self._client.aclose()

    async def offers(self, address: str, service_id: str, begin: datetime, until: datetime) -> Offers:
        """As the port says."""
        asked = {"service": service_id, "from": begin.isoformat(), "until": until.isoformat()}
        with _counted("slots"):
            status, content = await self._call("GET", f"{address}/slots", params=asked)
            offers = _read(Offers, status, content)
            _believe(fault_of_offers(offers, begin, until))
        return offers

    async def book(self, address: str, wanted: Wanted) -> str | None:
        """As the port says."""
        body = {
            "service_id": wanted.service_id,
            "starts_at": wanted.starts_at.isoformat(),
            "minutes": wanted.minutes,
        }
        return await self._reference("book", "PUT", address, wanted, httpx.codes.CONFLICT, json=body)

    async def booked(self, address: str, wanted: Wanted) -> str | None:
        """As the port says."""
        return await self._reference("booked", "GET", address, wanted, httpx.codes.NOT_FOUND)

    async def give_back(self, address: str, key: UUID) -> None:
        """As the port says."""
        with _counted("give back"):
            status, _ = await self._call("DELETE", f"{address}/bookings/{key}")
            if status not in (httpx.codes.NOT_FOUND, httpx.codes.GONE) and not httpx.codes.is_success(status):
                raise AnsweredWrongly(f"it answers {status}")

    async def _reference(
        self, call: str, method: str, address: str, wanted: Wanted, nothing: int, **body: Any
    ) -> str | None:
        with _counted(call) as counted:
            status, content = await self._call(method, f"{address}/bookings/{wanted.key}", **body)
            if status == nothing:
                counted.answer = "refused"
                return None
            booked = _read(Booked, status, content)
            _believe(fault_of_booked(booked, wanted))
        return booked.reference

    async def _call(self, method: str, url: str, **what: Any) -> tuple[int, bytes]:
        content = b""
        try:
            # httpx bounds each wait, and this all of them: an answer may come drop by drop.
            async with (
                asyncio.timeout(self._seconds),
                self._client.stream(method, url, **what) as response,
            ):
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > LARGEST_BYTES:
                        raise AnsweredWrongly("its answer has no end")
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unanswered(type(error).__name__) from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or httpx.codes.is_server_error(response.status_code):
            raise Unanswered(f"it answers {response.status_code}")
        return response.status_code, content


class _Call:
    answer = "answered"


@contextmanager
def _counted(call: str) -> Iterator[_Call]:
    """Counts a call by what came of it."""
    of_it = _Call()
    try:
        yield of_it
    except AnsweredWrongly:
        of_it.answer = "wrong"
        raise
    except BaseException:  # also one that is given up amid
        of_it.answer = "unanswered"
        raise
    finally:
        RECEIVER_CALLS.labels("booking", call, of_it.answer).inc()


def _read(model: type[Answer], status: int, content: bytes) -> Answer:
    if not httpx.codes.is_success(status):
        raise AnsweredWrongly(f"it answers {status}")
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        # Where it is wrong, and not what stands there.
        at = "/".join(map(str, error.errors(include_input=False, include_url=False)[0]["loc"]))
        raise AnsweredWrongly(f"what it answers is not as agreed, at /{at}") from None


def _believe(fault: str | None) -> None:
    if fault is not None:
        raise AnsweredWrongly(fault)
