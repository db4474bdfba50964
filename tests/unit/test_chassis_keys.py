"""Public keys at an address: rotated, withdrawn, away, never had; and no forged token makes us ask without end."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import APIRouter, FastAPI
from jwt.algorithms import RSAAlgorithm

from services.chassis import keys
from services.chassis.identity import CallerOf, KeysUnusable, KeyUnknown, NoKeys, Verifier
from services.chassis.keys import LOOK_SECONDS, KeyAddress
from services.chassis.web import create_app
from tests.unit.test_chassis_identity import claims

KEYS = {kid: rsa.generate_private_key(public_exponent=65537, key_size=2048) for kid in ("old", "new")}


def token(kid: str, named: str | None = None) -> str:
    """A token signed with this key, which names it or another."""
    return jwt.encode(claims(), KEYS[kid], algorithm="RS512", headers={"kid": named or kid})


class Issuer:
    """A small server of a key set, which counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.content = b""
        self.slow = threading.Event()
        self.slow.set()
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.slow.wait(10)
                self.send_response(issuer.status)
                self.end_headers()
                self.wfile.write(issuer.content)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self._server.server_port}/keys"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def has(self, *kids: str) -> None:
        """Publish these keys and no other."""
        published = [json.loads(RSAAlgorithm.to_jwk(KEYS[kid].public_key())) | {"kid": kid} for kid in kids]
        self.content = json.dumps({"keys": published}).encode()

    def stop(self) -> None:
        """Nothing listens there any more."""
        self._server.shutdown()
        self._server.server_close()


class Clock:
    """A time that tests set."""

    now = 0.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Who publishes the old key."""
    issuer = Issuer()
    issuer.has("old")
    yield issuer
    issuer.slow.set()
    issuer.stop()


@pytest.fixture
def clock() -> Clock:
    """A time that stands still."""
    return Clock()


@pytest.fixture
def verifier() -> Verifier:
    """A verifier that has no key yet."""
    return Verifier()


@pytest.fixture
def at(issuer: Issuer, verifier: Verifier, clock: Clock) -> KeyAddress:
    """The verifier's keys are those of the issuer."""
    return KeyAddress(issuer.address, verifier, clock=clock)


def app_of(verifier: Verifier) -> FastAPI:
    """One route that needs a caller."""
    router = APIRouter()

    @router.get("/me")
    async def me(caller: CallerOf) -> str:
        return caller.organisation

    app = create_app([], verifier)
    app.include_router(router)
    return app


async def me(verifier: Verifier, bearer: str) -> httpx.Response:
    """The answer to a call with this token."""
    transport = httpx.ASGITransport(app_of(verifier))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get("/me", headers={"Authorization": f"Bearer {bearer}"})


async def test_a_new_key_is_looked_for_when_a_token_names_it(
    issuer: Issuer, verifier: Verifier, at: KeyAddress
) -> None:
    """Rotation: for a while both hold, and nobody has to start us again."""
    assert 200 == (await me(verifier, token("old"))).status_code
    issuer.has("old", "new")
    at._clock.now = LOOK_SECONDS
    assert [200, 200] == [(await me(verifier, token(kid))).status_code for kid in ("new", "old")]
    assert 2 == issuer.asked


async def test_a_withdrawn_key_holds_no_longer(issuer: Issuer, verifier: Verifier, at: KeyAddress) -> None:
    """Not even for a token that was checked before."""
    await at.look()
    before = token("old")
    verifier.caller(before)
    issuer.has("new")
    at._clock.now = LOOK_SECONDS
    await at.look()
    with pytest.raises(KeyUnknown):
        verifier.caller(before)
    assert "RX1" == verifier.caller(token("new")).organisation


@pytest.mark.parametrize("fault", ["gone", "error", "junk", "no keys", "too much"])
async def test_the_last_keys_hold_while_the_address_is_away(
    issuer: Issuer, verifier: Verifier, at: KeyAddress, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Whatever it answers that is no key set counts as away."""
    await at.look()
    issuer.has("new")
    match fault:
        case "gone":
            issuer.stop()
        case "error":
            issuer.status = 500
        case "junk":
            issuer.content = b"<html>"
        case "no keys":
            issuer.content = b'{"keys": []}'
        case "too much":
            monkeypatch.setattr(keys, "LARGEST_BYTES", 10)
    at._clock.now = LOOK_SECONDS
    await at.look()
    assert "RX1" == verifier.caller(token("old")).organisation
    assert verifier.waiting_for is None


async def test_without_any_key_nobody_is_let_in_and_it_is_said(
    issuer: Issuer, verifier: Verifier, at: KeyAddress
) -> None:
    """503 for a call, not ready for the process; both end with the first keys."""
    issuer.status = 500
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app_of(verifier)), base_url="http://here") as client:
        called = await me(verifier, token("old"))
        assert (503, "2") == (called.status_code, called.headers["Retry-After"])
        ready = await client.get("/health/ready")
        assert 503 == ready.status_code
        assert "keys of callers could not be had" in ready.json()["services"]["keys"][0]
        with pytest.raises(NoKeys):
            verifier.caller(token("old"))
        issuer.status = 200
        at._clock.now = LOOK_SECONDS
        assert 200 == (await me(verifier, token("old"))).status_code
        assert 200 == (await client.get("/health/ready")).status_code


async def test_forged_key_names_do_not_make_us_ask_without_end(
    issuer: Issuer, verifier: Verifier, at: KeyAddress
) -> None:
    """A hundred tokens, each naming a key of its own, at once and one after another: one question, all refused."""
    await at.look()
    at._clock.now = LOOK_SECONDS
    answers = await asyncio.gather(*(me(verifier, token("new", f"forged-{number}")) for number in range(80)))
    answers += [await me(verifier, token("new", f"forged-later-{number}")) for number in range(20)]
    assert {401} == {answer.status_code for answer in answers}
    assert 2 == issuer.asked


async def test_all_who_wait_for_a_new_key_share_one_question(
    issuer: Issuer, verifier: Verifier, at: KeyAddress
) -> None:
    """Devices change to the new key at the same moment: all are let in by one answer."""
    await at.look()
    issuer.has("old", "new")
    issuer.slow.clear()
    at._clock.now = LOOK_SECONDS
    bearer = token("new")
    calls = [asyncio.create_task(me(verifier, bearer)) for _ in range(20)]
    async with asyncio.timeout(10):
        while issuer.asked < 2:
            await asyncio.sleep(0.005)
    issuer.slow.set()
    assert {200} == {answer.status_code for answer in await asyncio.gather(*calls)}
    assert 2 == issuer.asked


async def test_it_keeps_asking_by_itself(
    issuer: Issuer, verifier: Verifier, at: KeyAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A withdrawn key ends without anybody naming a new one."""
    monkeypatch.setattr(keys, "REFRESH_SECONDS", 0.01)
    following = asyncio.create_task(at.follow())
    async with asyncio.timeout(10):
        while verifier.waiting_for:
            await asyncio.sleep(0.005)
        issuer.has("new")
        while True:
            try:
                verifier.caller(token("old"))
            except KeyUnknown:
                break
            await asyncio.sleep(0.005)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def test_an_address_that_anybody_could_answer_is_refused(verifier: Verifier) -> None:
    """Keys decide who is believed: they come protected, or from this machine."""
    with pytest.raises(KeysUnusable, match="https is needed"):
        KeyAddress("http://keys.example/jwks", verifier)
    KeyAddress("https://keys.example/jwks", verifier)
