"""Who calls: only a token that a known key signed for us, and that has not expired, speaks for anyone."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.chassis import identity
from services.chassis.identity import Caller, KeysUnusable, Verifier, make_keys, sign

CALLER = Caller(organisation="RX1", practitioner="P123", role="paramedic")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public key set."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def verifier(keys: tuple[Path, Path]) -> Verifier:
    """A verifier that remembers nothing yet."""
    return Verifier.from_file(keys[1])


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that hold; None takes one away."""
    now = datetime.now(UTC)
    whole = {
        "iss": "somebody",
        "sub": "P123",
        "aud": "onward",
        "iat": now,
        "exp": now + timedelta(hours=1),
        "organisation": "RX1",
        "practitioner": "P123",
        "role": "paramedic",
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(keys: tuple[Path, Path], claims: dict[str, Any], *, kid: str | None = "development") -> str:
    """A token with these claims, signed by the known key."""
    return jwt.encode(claims, keys[0].read_bytes(), algorithm="RS512", headers={"kid": kid} if kid else {})


def test_a_signed_token_speaks_for_its_caller(keys: tuple[Path, Path], verifier: Verifier) -> None:
    """Organisation, practitioner and role come from the token."""
    token = sign(keys[0], organisation="RX1", practitioner="P123", role="paramedic", now=datetime.now(UTC))
    assert CALLER == verifier.caller(token)


def test_a_token_of_another_key_does_not_hold(verifier: Verifier, tmp_path: Path) -> None:
    """Whoever can make keys cannot make tokens of ours, although the key's name is the same."""
    with pytest.raises(jwt.InvalidSignatureError):
        verifier.caller(signed(make_keys(tmp_path), claims()))


@pytest.mark.parametrize("kid", ["another", "", None])
def test_a_token_that_names_another_key_does_not_hold(
    keys: tuple[Path, Path], verifier: Verifier, kid: str | None
) -> None:
    """The key is looked up by its name; without one there is none to try."""
    with pytest.raises(jwt.InvalidKeyError):
        verifier.caller(signed(keys, claims(), kid=kid))


def test_an_expired_token_does_not_hold(keys: tuple[Path, Path], verifier: Verifier) -> None:
    """The shift is over."""
    with pytest.raises(jwt.ExpiredSignatureError):
        verifier.caller(signed(keys, claims(exp=datetime.now(UTC) - timedelta(seconds=1))))


def test_a_remembered_token_still_expires(
    keys: tuple[Path, Path], verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature is checked once; the time is checked every time."""
    token = signed(keys, claims(exp=datetime.now(UTC) - timedelta(hours=1), iat=datetime(2025, 1, 1, tzinfo=UTC)))
    token_time = datetime.now(UTC).timestamp()
    verifier._known[token] = (CALLER, token_time + 100)
    assert CALLER == verifier.caller(token)
    monkeypatch.setattr(identity.time, "time", lambda: token_time + 101)
    with pytest.raises(jwt.ExpiredSignatureError):
        verifier.caller(token)


def test_no_more_tokens_are_remembered_than_fit(
    keys: tuple[Path, Path], verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first, and is simply checked again."""
    monkeypatch.setattr(identity, "REMEMBERED", 2)
    tokens = [signed(keys, claims(practitioner=f"P{n}")) for n in range(3)]
    for token in tokens:
        verifier.caller(token)
    assert tokens[1:] == list(verifier._known)
    assert "P0" == verifier.caller(tokens[0]).practitioner


@pytest.mark.parametrize("audience", ["another", ["another"]])
def test_a_token_for_another_audience_does_not_hold(keys: tuple[Path, Path], verifier: Verifier, audience: Any) -> None:
    """A token that its owner gave to another system is no key to this one."""
    with pytest.raises(jwt.InvalidAudienceError):
        verifier.caller(signed(keys, claims(aud=audience)))


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "iat", "exp", "organisation", "practitioner", "role"])
def test_a_token_without_a_claim_does_not_hold(keys: tuple[Path, Path], verifier: Verifier, claim: str) -> None:
    """Each is needed: who says it, of whom, for whom, since when, until when, and in which capacity."""
    with pytest.raises(jwt.MissingRequiredClaimError):
        verifier.caller(signed(keys, claims(**{claim: None})))


@pytest.mark.parametrize("value", ["", "x" * 101, 7, ["RX1"], {"organisation": "RX1"}])
@pytest.mark.parametrize("claim", ["organisation", "practitioner", "role"])
def test_a_claim_of_another_shape_does_not_hold(
    keys: tuple[Path, Path], verifier: Verifier, claim: str, value: Any
) -> None:
    """One text of a sensible length each: a token acts for exactly one organisation."""
    with pytest.raises(jwt.MissingRequiredClaimError):
        verifier.caller(signed(keys, claims(**{claim: value})))


def test_an_unsigned_token_does_not_hold(verifier: Verifier) -> None:
    """`alg: none` is refused."""
    with pytest.raises(jwt.InvalidAlgorithmError):
        verifier.caller(jwt.encode(claims(), None, algorithm="none", headers={"kid": "development"}))


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
def test_the_public_key_is_no_secret_to_sign_with(
    keys: tuple[Path, Path], verifier: Verifier, encoding: serialization.Encoding
) -> None:
    """HS512 with the public key as its secret is the classic forgery."""
    private = serialization.load_pem_private_key(keys[0].read_bytes(), None)
    public = private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    _, body, _ = signed(keys, claims()).split(".")
    head = b64(json.dumps({"alg": "HS512", "kid": "development"}).encode())
    signature = b64(hmac.digest(public, f"{head}.{body}".encode(), "sha512"))
    with pytest.raises(jwt.InvalidAlgorithmError):
        verifier.caller(f"{head}.{body}.{signature}")


def b64(part: bytes) -> str:
    """As the parts of a token are encoded."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["RS256", "PS512"])
def test_another_algorithm_of_the_same_key_does_not_hold(
    keys: tuple[Path, Path], verifier: Verifier, algorithm: str
) -> None:
    """One algorithm, so that there is nothing to choose."""
    token = jwt.encode(claims(), keys[0].read_bytes(), algorithm=algorithm, headers={"kid": "development"})
    with pytest.raises(jwt.InvalidAlgorithmError):
        verifier.caller(token)


@pytest.mark.parametrize("junk", ["", ".", "..", "a.b.c", "é.é.é", "\x00", "eyJhbGciOiJSUzUxMiIsImtpZCI6MX0.e30.x"])
def test_what_is_no_token_does_not_hold(verifier: Verifier, junk: str) -> None:
    """Any text may be sent; each is refused in the one way that answers 401."""
    with pytest.raises(jwt.PyJWTError):
        verifier.caller(junk)


def test_a_changed_token_does_not_hold(keys: tuple[Path, Path], verifier: Verifier) -> None:
    """The claims of one signed token under the signature of another."""
    head, _, signature = signed(keys, claims()).split(".")
    body = signed(keys, claims(organisation="RX2")).split(".")[1]
    with pytest.raises(jwt.InvalidSignatureError):
        verifier.caller(f"{head}.{body}.{signature}")


def test_a_key_set_that_names_no_algorithm_is_usable(keys: tuple[Path, Path], tmp_path: Path) -> None:
    """`alg` is optional in a key set (RFC 7517), and many issuers leave it out."""
    document = json.loads(keys[1].read_text())
    del document["keys"][0]["alg"]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(document))
    assert CALLER == Verifier.from_file(file).caller(signed(keys, claims()))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": "x"}',
        b'{"keys": [1]}',
        b'{"keys": [{"kty": "RSA"}]}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "development"}]}',
    ],
)
def test_a_file_that_is_no_set_of_public_keys_is_named(tmp_path: Path, content: bytes) -> None:
    """Whoever starts the service reads which file to mend."""
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    with pytest.raises(KeysUnusable, match=r"keys\.json is not a JSON Web Key Set that can be used"):
        Verifier.from_file(file)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """A wrong path is said at the start, not at the first call."""
    with pytest.raises(KeysUnusable, match=r"none\.json"):
        Verifier.from_file(tmp_path / "none.json")


def test_keys_are_made_once(tmp_path: Path) -> None:
    """A second start keeps the keys, so that tokens still hold."""
    private, public = make_keys(tmp_path)
    before = private.read_bytes(), public.read_bytes()
    assert (private, public) == make_keys(tmp_path)
    assert before == (private.read_bytes(), public.read_bytes())


def test_the_signing_key_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else on the machine may sign."""
    private, _ = make_keys(tmp_path)
    assert 0o600 == private.stat().st_mode & 0o777


def test_the_key_set_holds_no_private_part(tmp_path: Path) -> None:
    """The file that is handed around tells nothing that could sign."""
    private, public = make_keys(tmp_path)
    secret = serialization.load_pem_private_key(private.read_bytes(), None)
    assert isinstance(secret, rsa.RSAPrivateKey)
    (key,) = json.loads(public.read_text())["keys"]
    assert {"kty", "n", "e", "kid", "use", "alg", "key_ops"} >= key.keys()
