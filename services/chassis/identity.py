"""Who calls: a signed token (JWT, RS512) with organisation, practitioner and role."""

import json
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from jwt.algorithms import RSAAlgorithm

from services.chassis.problems import Problem

AUDIENCE = "onward"
ALGORITHM = "RS512"
REMEMBERED = 10_000
"""Tokens whose signature was checked are remembered until they expire: a device sends the same one all shift."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a verified token speaks for. A token acts for exactly one organisation."""

    organisation: str
    practitioner: str
    role: str


class KeyUnknown(jwt.InvalidKeyError):
    """A token names a key that is not known."""


class NoKeys(Exception):
    """There is no key to check a token with: none was ever had."""


class Verifier:
    """Checks tokens against public keys. Keys of other kinds than RSA are left alone."""

    def __init__(self) -> None:
        self._keys: dict[str | None, Any] = {}
        self._known: OrderedDict[str, tuple[Caller, int]] = OrderedDict()
        self.look: Callable[[], Awaitable[None]] | None = None
        """Looks for newer keys, where they may change; not each time that it is asked."""

    def learn(self, keys: jwt.PyJWKSet) -> None:
        """Go by these keys from now on, and by no other. Raises ValueError, and keeps what it has, when none do."""
        # The key itself, for PyJWT takes a key set's entry that names no algorithm for one of RS256.
        usable = {key.key_id: key.key for key in keys.keys if key.key_type == "RSA"}
        if not usable:
            raise ValueError("none of its keys is an RSA key")
        self._keys = usable
        self._known.clear()  # their keys may have been withdrawn

    @property
    def waiting_for(self) -> str | None:
        """Why no token can be checked, if so."""
        return None if self._keys else "the public keys of callers could not be had yet: see the log for why"

    @classmethod
    def from_file(cls, path: Path) -> "Verifier":
        """From a JSON Web Key Set. Raises KeysUnusable."""
        try:
            verifier = cls()
            verifier.learn(jwt.PyJWKSet.from_json(path.read_text()))
            return verifier
        except (OSError, ValueError, AttributeError, jwt.PyJWTError) as error:
            raise KeysUnusable(path, error) from error

    def caller(self, token: str) -> Caller:
        """The caller that a token speaks for. Raises jwt.PyJWTError when it does not hold, KeyUnknown, and NoKeys."""
        known = self._known.get(token)
        if known is not None and known[1] > time.time():
            return known[0]
        header = jwt.get_unverified_header(token)
        key = self._keys.get(header.get("kid"))
        if not self._keys:
            raise NoKeys
        if key is None:
            raise KeyUnknown("signed with a key that is not known")
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            options={"require": ["exp", "iat", "iss", "sub", "aud"]},
        )
        caller = Caller(*(_claim(claims, name) for name in ("organisation", "practitioner", "role")))
        self._known[token] = (caller, int(claims["exp"]))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return caller


def _claim(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 100:
        raise jwt.MissingRequiredClaimError(name)
    return value


class KeysUnusable(Exception):
    """The file or address of public keys cannot be used."""

    def __init__(self, source: Path | str, error: Exception) -> None:
        super().__init__(f"{source} is not a JSON Web Key Set that can be used ({type(error).__name__}: {error})")


BEARER = HTTPBearer(
    bearerFormat="JWT",
    scheme_name="token",
    description="RS512, with organisation, practitioner and role",
    auto_error=False,
)
"""What the document says of it; what a token is worth is looked at here."""


async def caller_of(request: Request, _said: Annotated[Any, Security(BEARER)]) -> Caller:
    """The caller of a request, by its bearer token; else a 401 problem, or a 503 when nobody's could be checked."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise _unauthorised("send a token: Authorization: Bearer ...")
    verifier: Verifier = request.app.state.verifier
    try:
        try:
            return verifier.caller(token)
        except (KeyUnknown, NoKeys):
            if verifier.look is None:
                raise
            await verifier.look()
            return verifier.caller(token)
    except NoKeys:
        raise Problem(
            503,
            "Who calls cannot be known now",
            "The public keys of callers could not be had. Ask again in a moment.",
            headers={"Retry-After": "2"},
        ) from None
    except jwt.ExpiredSignatureError:
        raise _unauthorised("the token has expired: ask for a new one") from None
    except jwt.PyJWTError as error:
        raise _unauthorised(f"the token does not hold ({type(error).__name__})") from None


def _unauthorised(detail: str) -> Problem:
    return Problem(401, "Who calls is not known", detail, headers={"WWW-Authenticate": "Bearer"})


CallerOf = Annotated[Caller, Depends(caller_of)]
"""A route's parameter: the verified caller."""


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Make a signing key and its public key set in a folder, unless they are there. Returns both files.

    For development, tests and the demo: the signing key is readable by its owner alone.
    """
    private_file, public_file = folder / "signing.pem", folder / "keys.json"
    if private_file.exists() and public_file.exists():
        return private_file, public_file
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(private_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    public: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    public |= {"kid": "development", "use": "sig", "alg": ALGORITHM}
    public_file.write_text(json.dumps({"keys": [public]}, indent=1))
    return private_file, public_file


def sign(
    private_file: Path,
    *,
    organisation: str,
    practitioner: str,
    role: str,
    now: datetime,
    lifetime: timedelta = timedelta(hours=12),
) -> str:
    """A token signed with a private key that `make_keys` made."""
    claims = {
        "iss": "onward-development",
        "sub": practitioner,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + lifetime,
        "organisation": organisation,
        "practitioner": practitioner,
        "role": role,
    }
    return jwt.encode(claims, private_file.read_bytes(), algorithm=ALGORITHM, headers={"kid": "development"})
