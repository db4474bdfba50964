"""Tokens that do not hold."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.chassis.identity import ALGORITHM, AUDIENCE
from services.cli.connection import TRUST

FOREMOST = 4
"""Expired, unsigned, by a wrong key, for a wrong audience."""


@cache
def forged(signing_key: Path) -> list[tuple[str, str | bytes]]:
    """Tokens that do not hold. Made once: signing takes far longer than asking."""
    key = load_pem_private_key(signing_key.read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return list(_forged(key, int(time.time())))


def _forged(key: RSAPrivateKey, now: int) -> Iterator[tuple[str, str | bytes]]:
    claims: dict[str, Any] = {
        "iss": "onward-development",
        "sub": "edges",
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 600,
        "organisation": TRUST,
        "practitioner": "edges",
        "role": "paramedic",
    }

    def signed(
        with_key: RSAPrivateKey = key, kid: Any = "development", algorithm: str = ALGORITHM, **changes: Any
    ) -> str:
        said = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(said, with_key, algorithm=algorithm, headers={"kid": kid})

    yield "expired", signed(iat=now - 1200, exp=now - 600)
    yield "unsigned", jwt.encode(claims, None, algorithm="none", headers={"kid": "development"})
    yield "a wrong key", signed(generate_private_key(public_exponent=65537, key_size=2048))
    yield "wrong audience", signed(aud="another")
    yield "not yet valid", signed(nbf=now + 600)
    yield "the signature is left out", f"{signed().rpartition('.')[0]}."
    yield "an unknown key", signed(kid="other")
    yield "a weaker algorithm", signed(algorithm="RS256")
    yield "signed by what is public", _by_the_public_key(key, claims)
    for name in ("exp", "iat", "iss", "sub", "aud", "organisation", "practitioner", "role"):
        yield f"without {name}", signed(**{name: None})
    for name in ("organisation", "practitioner", "role"):
        for value in ("", "x" * 101, 7, ["ONW01"], {"a": 1}):
            yield f"{name} is {str(value)[:9]!r}", signed(**{name: value})
    for value in (float("inf"), float("nan"), "soon", [], True, -1):
        yield f"exp is {str(value)[:9]}", signed(exp=value)
    yield "not a token", "x"
    yield "not one in UTF-8", b"\xff.\xff.\xff"
    for what, header in (
        ("deep", b"[" * 1500),
        ("deeper", b'{"alg":' * 1500),
        ("not an object", b"[]"),
        ("a key id that is a list", b'{"alg":"RS512","kid":[]}'),
        ("a huge number", b'{"alg":"RS512","kid":"development","n":' + b"9" * 5000 + b"}"),
        ("half a surrogate pair", b'{"alg":"RS512","kid":"\\ud800"}'),
        ("NUL", b'{"alg":"RS512","kid":"\\u0000"}'),
    ):
        yield f"the header is {what}", b".".join((base64.urlsafe_b64encode(header).rstrip(b"="), b"e30", b"AAAA"))


def _by_the_public_key(private: RSAPrivateKey, claims: Mapping[str, Any]) -> str:
    """Signed with a shared secret that everyone knows: the public key."""
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def part(value: Mapping[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    said = part({"alg": "HS512", "kid": "development"}) + b"." + part(claims)
    proof = base64.urlsafe_b64encode(hmac.new(public, said, hashlib.sha512).digest()).rstrip(b"=")
    return (said + b"." + proof).decode()
