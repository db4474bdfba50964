"""`POST /referrals/{id}/actions`: what is refused before anything is stored, and how each result is answered."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from contracts.actions import ReferralActionRequested
from services.chassis.failures import Transient
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.gateway.action_http import action_routes
from services.gateway.answered import Answered
from services.gateway.desks import Desks
from services.gateway.handlers import Gone, KeyTaken, Result, Settled, Transaction, Unknown, Unsettled
from services.gateway.overload import Refusal
from services.gateway.settings import GatewaySettings
from services.gateway.store import NewAttempt
from tests.action_examples import REFERRAL
from tests.gateway_examples import NOON

KEY = "7d9e2a51-0a5a-4a0e-9a53-1f2a3b4c5d6e"
Post = Callable[..., Any]


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


@pytest.fixture
def submitted() -> Submitted:
    """What is submitted."""
    return Submitted()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def post(submitted: Submitted, keys: tuple[Path, Path]) -> Post:
    """Ask for something to be done; headers are named with underscores, and left out when they are empty."""
    private, public = keys
    service = Service("gateway", Settings(kafka=Kafka("127.0.0.1:1"), database_url="none", keys_file=public))
    service.serves(
        action_routes(
            cast("Transaction", submitted),
            settings=GatewaySettings(),
            desks=Desks(),
            desks_known=lambda: True,
            clock=lambda: NOON,
            new_id=uuid4,
        )
    )
    app = create_app([service], Verifier.from_file(public))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")
    token = sign(private, organisation="RX8", practitioner="nurse-4", role="team", now=datetime.now(UTC))

    async def post(
        path: str = f"/referrals/{REFERRAL}/actions",
        more: tuple[tuple[str, str], ...] = (),
        **headers: str,
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {token}", "idempotency-key": KEY, "content-type": "application/json"}
        sent |= {name.replace("_", "-"): said for name, said in headers.items()}
        present = [(name, said) for name, said in sent.items() if said]
        return await client.post(path, content=b'{"action":"receive"}', headers=present + list(more))

    return post


async def test_where_there_is_no_room_no_body_is_read(post: Post, submitted: Submitted) -> None:
    """Whatever is in it, and in whatever form: it is refused for want of room."""
    submitted.no_room = Refusal("Answers are 7 seconds behind.", 7)
    answer = await post(content_type="text/plain")
    assert (429, "7") == (answer.status_code, answer.headers["retry-after"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"idempotency_key": ""}, 400),
        ({"idempotency_key": "once"}, 400),
        ({"content_type": "text/plain"}, 415),
        ({"authorization": ""}, 401),
        ({"if_match": "3"}, 400),
        ({"if_match": '"0"'}, 400),
        ({"if_match": '"03"'}, 400),
        ({"if_match": '"3", "4"'}, 400),
        ({"if_match": "*"}, 400),
        ({"if_match": '"9999999999"'}, 400),
        ({"if_match": '"3"'}, 202),
    ],
)
async def test_headers_that_cannot_be_used_are_refused(
    post: Post, submitted: Submitted, headers: dict[str, str], expected: int
) -> None:
    """Each by its own status, and nothing is submitted."""
    status = (await post(**headers)).status_code
    assert (expected, expected == 202) == (status, bool(submitted.attempts))


@pytest.mark.parametrize(("if_match", "seen"), [("", None), ('"3"', 3), ('W/"3"', 3), (' W/"12" ', 12)])
async def test_the_version_that_was_seen_is_told(
    post: Post, submitted: Submitted, if_match: str, seen: int | None
) -> None:
    """As a read's ETag has it, weak or not; none where the sender did not say."""
    await post(if_match=if_match)
    event = submitted.attempts[0].event
    assert isinstance(event, ReferralActionRequested)
    assert seen == event.data.seen_version


async def test_two_versions_are_none(post: Post, submitted: Submitted) -> None:
    """Which one was seen, nobody can say."""
    refused = await post(if_match='"3"', more=(("if-match", '"4"'),))
    assert (400, True, []) == (refused.status_code, "If-Match" in refused.json()["title"], submitted.attempts)


async def test_an_id_that_no_referral_has_is_refused(post: Post, submitted: Submitted) -> None:
    """422, as every read of it."""
    refused = await post("/referrals/first/actions")
    assert (422, []) == (refused.status_code, submitted.attempts)


async def test_a_query_that_names_another_organisation_is_forbidden(post: Post, submitted: Submitted) -> None:
    """Who asks is taken from the token."""
    refused = await post(f"/referrals/{REFERRAL}/actions?organisation=RX9")
    assert (403, []) == (refused.status_code, submitted.attempts)


async def test_the_wait_is_as_the_sender_prefers(post: Post, submitted: Submitted) -> None:
    """At most 30 seconds; what was honoured is said."""
    applied = [
        (await post(prefer=prefer)).headers.get("preference-applied") for prefer in ("", "wait=99", "respond-async")
    ]
    assert ([5, 30, 0], [None, "wait=30", "respond-async"]) == (submitted.seconds, applied)


@pytest.mark.parametrize(
    ("result", "status", "etag", "location"),
    [
        (Settled(REFERRAL, Answered(b'{"version":4}', 200)), 200, 'W/"4"', f"/referrals/{REFERRAL}"),
        (Settled(REFERRAL, Answered(b'{"version":4}', 412)), 412, 'W/"4"', f"/referrals/{REFERRAL}"),
        (Settled(REFERRAL, Answered(b"{}", 404)), 404, None, f"/referrals/{REFERRAL}"),
        (Unsettled(REFERRAL), 202, None, f"/referrals/{REFERRAL}"),
        (Unknown(), 202, None, None),
        (Refusal("2000 wait for their answer already.", 3), 429, None, None),
        (KeyTaken(), 409, None, None),
        (Transient("away"), 503, None, None),
    ],
)
async def test_each_result_has_its_answer(
    post: Post, submitted: Submitted, result: Result | Exception, status: int, etag: str | None, location: str | None
) -> None:
    """Status, version and where the referral is found; a refusal is a problem document."""
    submitted.result = result
    answer = await post()
    assert (status, etag, location, "problem+json" if status >= 400 else "json") == (
        answer.status_code,
        answer.headers.get("etag"),
        answer.headers.get("location"),
        answer.headers["content-type"].partition("/")[2],
    )
