"""`POST /referrals`: what is refused before anything is stored, and how each result is answered."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.people import Desk
from services.chassis.failures import Transient
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.gateway.answered import Answered
from services.gateway.desks import Desks
from services.gateway.handlers import Gone, KeyTaken, Result, Settled, Transaction, Unknown, Unsettled
from services.gateway.http import routes
from services.gateway.overload import Refusal
from services.gateway.settings import GatewaySettings
from services.gateway.store import NewAttempt
from tests.gateway_examples import DESK, NOON, listed, submission

REFERRAL = UUID("11111111-2222-4333-8444-555555555555")
Keys = tuple[Callable[[str], str], Path]
KEY = "7d9e2a51-0a5a-4a0e-9a53-1f2a3b4c5d6e"


class Submitted:
    """Stands for the transaction: keeps what is submitted, and gives a result or raises it."""

    def __init__(self) -> None:
        self.attempts: list[NewAttempt] = []
        self.seconds: list[float] = []
        self.result: Result | Exception = Unsettled(REFERRAL)
        self.no_room: Refusal | None = None

    def may_refuse(self) -> bool:
        """Whether there is no room for some."""
        return self.no_room is not None

    async def refusal(self, _organisation: str, _key: UUID, *, seconds: float) -> Refusal | None:
        """Why there is no room, if so."""
        return self.no_room

    async def submit(self, attempt: NewAttempt, *, seconds: float, gone: Gone) -> Result:
        """Keep the attempt."""
        self.attempts.append(attempt)
        self.seconds.append(seconds)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Gateway:
    """The gateway's routes over a transaction that is not one."""

    def __init__(self, keys: Keys, *, desk: Desk | None = DESK, known: bool = True, **own: Any) -> None:
        self._token, public = keys
        self.submitted = Submitted()
        desks = Desks()
        desks.learn([listed(desk)] if desk else [])
        service = Service("gateway", Settings(kafka=Kafka("127.0.0.1:1"), database_url="none", keys_file=public))
        service.serves(
            routes(
                cast("Transaction", self.submitted),
                settings=GatewaySettings(**own),
                desks=desks,
                desks_known=lambda: known,
                clock=lambda: NOON,
                new_id=uuid4,
            )
        )
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app([service], Verifier.from_file(public))), base_url="http://gateway"
        )

    async def post(
        self,
        body: Any = None,
        *,
        path: str = "/referrals",
        organisation: str = "RX9",
        headers: dict[str, str] | None = None,
        more: tuple[tuple[str, str], ...] = (),
    ) -> httpx.Response:
        """Post a submission. A header that is given empty is left out; `more` come besides."""
        sent = {
            "authorization": f"Bearer {self._token(organisation)}",
            "idempotency-key": KEY,
            "content-type": "application/json",
        } | (headers or {})
        whole = submission() if body is None else body
        return await self._client.post(
            path,
            content=json.dumps(whole).encode() if isinstance(whole, dict) else whole,
            headers=[(name, said) for name, said in sent.items() if said] + list(more),
        )


Make = Callable[..., Gateway]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """What signs a token for an organisation, and the public keys."""
    private, public = make_keys(tmp_path_factory.mktemp("keys"))

    @cache
    def token(organisation: str) -> str:
        return sign(private, organisation=organisation, practitioner="crew-7", role="paramedic", now=datetime.now(UTC))

    return token, public


@pytest.fixture
def make(keys: Keys) -> Make:
    """Make a gateway, with settings."""
    return lambda **said: Gateway(keys, **said)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"idempotency-key": ""}, 400),
        ({"idempotency-key": "order-66"}, 400),
        ({"idempotency-key": "{" + KEY + "}"}, 400),
        ({"idempotency-key": f'"{KEY}"'}, 202),
        ({"idempotency-key": KEY.upper()}, 202),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": ""}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "Application/JSON; Charset=UTF-8"}, 202),
        ({"content-encoding": "gzip"}, 415),
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer x.y.z"}, 401),
    ],
)
async def test_headers_that_cannot_be_used_are_refused(make: Make, headers: dict[str, str], expected: int) -> None:
    """Each by its own status, and nothing is submitted."""
    gateway = make()
    status = (await gateway.post(headers=headers)).status_code
    assert (expected, expected == 202) == (status, bool(gateway.submitted.attempts))


async def test_a_missing_key_is_explained(make: Make) -> None:
    """What to send, and why."""
    detail = (await make().post(headers={"idempotency-key": ""})).json()["detail"]
    assert (True, True) == ("Idempotency-Key" in detail, "UUID" in detail)


async def test_two_keys_are_none(make: Make) -> None:
    """Which one names the attempt, nobody can say."""
    assert 400 == (await make().post(more=(("idempotency-key", str(uuid4())),))).status_code


async def test_an_organisation_without_a_desk_cannot_submit(make: Make) -> None:
    """Nobody would own its referrals. The refusal says how to list one."""
    gateway = make(desk=None)
    answer = await gateway.post()
    assert (403, True, []) == (
        answer.status_code,
        "onward directory load" in answer.json()["detail"],
        gateway.submitted.attempts,
    )


async def test_before_every_desk_is_known_nobody_is_told_to_have_none(make: Make) -> None:
    """A gateway that is starting asks for patience."""
    answer = await make(desk=None, known=False).post()
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("organisation=RX9", 202),
        ("organisation=RX8", 403),
        ("organisation=RX9&organisation=RX8", 403),
        ("organisation=", 403),
        ("other=RX8", 202),
    ],
)
async def test_a_query_speaks_for_the_caller_or_is_forbidden(make: Make, query: str, expected: int) -> None:
    """Who refers is taken from the token, whatever the query says."""
    assert expected == (await make().post(path=f"/referrals?{query}")).status_code


async def test_a_token_whose_claims_cannot_be_told_is_refused(make: Make) -> None:
    """Its organisation must be an ODS code, or nothing downstream could read the event."""
    lower = Desk.model_construct(organisation="rx9", name="hub", telephone="01632 960001", hours="always")
    gateway = make(desk=lower)
    assert (403, []) == ((await gateway.post(organisation="rx9")).status_code, gateway.submitted.attempts)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused(make: Make, announced: bool) -> None:
    """By its announced length or, without one, as soon as it is too much."""
    gateway, large = make(body_bytes=2048), json.dumps(submission(narrative="x" * 2000)).encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield large[:1500]
        yield large[1500:]

    answer = await gateway.post(large if announced else chunks())
    assert (413, []) == (answer.status_code, gateway.submitted.attempts)


async def test_a_body_that_just_fits_is_taken(make: Make) -> None:
    """The setting is the largest body that is."""
    body = json.dumps(submission(narrative="x" * 1900)).encode()
    assert 202 == (await make(body_bytes=len(body)).post(body)).status_code


@pytest.mark.parametrize("body", [b"{", b'{"narrative": "\\ud800"}', b'{"narrative": "\\u0000"}', b'{"a": 9e999}', b""])
async def test_no_body_makes_a_fault_of_ours(make: Make, body: bytes) -> None:
    """Broken JSON, half a surrogate pair, NUL, infinity, nothing: problem details, and nothing is submitted."""
    gateway = make()
    answer = await gateway.post(body)
    assert (True, "application/problem+json", []) == (
        answer.status_code in (400, 422),
        answer.headers["content-type"],
        gateway.submitted.attempts,
    )


@pytest.mark.parametrize(
    ("prefer", "seconds", "applied"),
    [("", 5, None), ("wait=9", 9, "wait=9"), ("wait=99", 30, "wait=30"), ("respond-async", 0, "respond-async")],
)
async def test_the_wait_is_as_preferred(make: Make, prefer: str, seconds: int, applied: str | None) -> None:
    """And the answer says what was applied."""
    gateway = make()
    answer = await gateway.post(headers={"prefer": prefer})
    assert ([seconds], applied) == (gateway.submitted.seconds, answer.headers.get("preference-applied"))


async def test_the_time_to_answer_by_counts_from_receipt(make: Make) -> None:
    """By the setting."""
    gateway = make(answer_minutes=20)
    await gateway.post()
    [attempt] = gateway.submitted.attempts
    assert NOON + timedelta(minutes=20) == attempt.event.data.answer_by


async def test_the_time_to_answer_by_is_not_part_of_the_digest(make: Make) -> None:
    """Nor is anything else that a retry would not send again; the ids of a retry are its own."""
    one, other = make(answer_minutes=20), make(answer_minutes=30)
    await one.post()
    await other.post(headers={"prefer": "wait=9"})
    first, second = one.submitted.attempts[0], other.submitted.attempts[0]
    assert (first.digest, False, False) == (
        second.digest,
        first.event.id == second.event.id,
        first.event.subject == second.event.subject,
    )


@pytest.mark.parametrize(
    ("result", "status", "outcome", "location"),
    [
        (Settled(REFERRAL, Answered(b'{"outcome":"delivered"}')), 201, "delivered", f"/referrals/{REFERRAL}"),
        (Unsettled(REFERRAL), 202, "pending", f"/referrals/{REFERRAL}"),
        (Unknown(), 202, "unknown", None),
        (Refusal("2000 wait for their answer already.", 3), 429, None, None),
        (KeyTaken(), 409, None, None),
        (Transient("away"), 503, None, None),
    ],
)
async def test_each_result_has_its_answer(
    make: Make, result: Result | Exception, status: int, outcome: str | None, location: str | None
) -> None:
    """Status, outcome and where the referral is found."""
    gateway = make()
    gateway.submitted.result = result
    answer = await gateway.post()
    assert (status, outcome, location) == (
        answer.status_code,
        answer.json().get("outcome"),
        answer.headers.get("location"),
    )


@pytest.mark.parametrize("body", [b"{", b" " * 100_000])
async def test_where_there_is_no_room_no_body_is_read(make: Make, body: bytes) -> None:
    """Whatever is in it: most that come then are refused, and must cost little."""
    gateway = make()
    gateway.submitted.no_room = Refusal("Answers are 7 seconds behind.", 7)
    answer = await gateway.post(body)
    assert (429, "7") == (answer.status_code, answer.headers["retry-after"])


async def test_a_refusal_says_when_to_send_again(make: Make) -> None:
    """In a header for programs and in words for people, with what became of it."""
    gateway = make()
    gateway.submitted.result = Refusal("Answers are 7 seconds behind.", 7)
    answer = await gateway.post()
    assert ("7", True, True) == (
        answer.headers["retry-after"],
        "Answers are 7 seconds behind." in answer.json()["detail"],
        "same Idempotency-Key, after 7 seconds" in answer.json()["detail"],
    )
