"""Reading referrals and following the feed over HTTP, on a real PostgreSQL."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from sse_starlette.sse import AppStatus

from contracts.actions import Rebook, Reject
from contracts.envelope import Event, effect_id
from contracts.referrals import PlacementRequested
from contracts.topics import Topic
from services.chassis.database import Database
from services.chassis.failures import Transient
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.outbox import Outbox
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.referrals.deciding_store import Decisions
from services.referrals.facts import fact_in
from services.referrals.feed import Feed
from services.referrals.finding import Finding
from services.referrals.handlers import decide
from services.referrals.http import routes
from services.referrals.news import News
from services.referrals.service import MIGRATIONS
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals
from tests.recording import RecordingPublisher
from tests.referrals_examples import (
    ANOTHER_RECEIVER,
    CLOCKS,
    DESK,
    RECEIVER,
    REFERRER,
    asks,
    confirmed,
    placed,
    searched_again,
    submitted,
    triaged,
    unplaced,
)

pytestmark = pytest.mark.backing

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
OF_THE_MOMENT = ("asked", "duplicates", "actions")
"""What a read says beyond where the referral stands."""
SETTINGS = ReferralsSettings(arrival_seconds=0.3, feed_chunk=3, feed_poll_seconds=0.05, heartbeat_seconds=0.2)


@dataclass
class Log:
    """How far the group has read, as a test says; asked of what came is `asked`."""

    passed: bool = True
    failure: Exception | None = None
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    on_question: Callable[[], Any] | None = None

    async def end_offset(self, topic: Topic, key: str) -> int:
        """The end, for the question after it."""
        if self.failure is not None:
            raise self.failure
        return 17

    async def has_passed(self, topic: Topic, key: str, end: int) -> bool:
        """Whether the group has passed it."""
        self.asked.append((topic, key, end))
        if self.on_question is not None:
            await self.on_question()
        return self.passed


@dataclass
class Replica:
    """One process that serves referrals."""

    database: Database
    referrals: Referrals
    decisions: Decisions
    news: News
    log: Log
    address: str
    private_key: Path

    async def store(self, events: Sequence[Event], *, quietly: bool = False) -> None:
        """Store events, a topic at a time; quietly as another process would."""
        news = News() if quietly else self.news
        for event in events:
            fact = fact_in(event.to_json(), event.type)
            await decide([fact], referrals=self.referrals, decisions=self.decisions, news=news)

    @asynccontextmanager
    async def client(self, organisation: str = REFERRER) -> AsyncIterator[httpx.AsyncClient]:
        """A client that calls for an organisation."""
        token = sign(
            self.private_key, organisation=organisation, practitioner="P7", role="nurse", now=datetime.now(UTC)
        )
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.address, headers=headers, timeout=30) as client:
            yield client

    async def get(self, path: str, organisation: str = REFERRER, **headers: str) -> httpx.Response:
        """The answer to a GET; headers are named with underscores."""
        async with self.client(organisation) as client:
            return await client.get(path, headers={name.replace("_", "-"): said for name, said in headers.items()})

    async def follow(
        self, count: int, organisation: str = REFERRER, query: str = "", last_event_id: str | None = None
    ) -> list[dict[str, str]]:
        """The first so many blocks of the feed that have data, after which the connection is dropped."""
        async with self.stream(organisation, query, last_event_id) as blocks:
            return [block async for block in first(count, blocks)]

    @asynccontextmanager
    async def stream(
        self, organisation: str = REFERRER, query: str = "", last_event_id: str | None = None
    ) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
        """The blocks of the feed as they come, those without data included."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        async with (
            self.client(organisation) as client,
            client.stream("GET", f"/events{query}", headers=headers) as response,
        ):
            assert 200 == response.status_code
            yield blocks_of(response)

    async def audited(self, action: str) -> list[tuple[str, list[str]]]:
        """Who read what, in order."""
        rows = await self.database.pool.fetch(
            "select organisation, ids from audit where action = $1 order by position", action
        )
        return [(row["organisation"], row["ids"]) for row in rows]


async def blocks_of(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Blocks of a stream of Server-Sent Events, a field each."""
    block: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            block[name] = value
        elif block:
            yield block
            block = {}


async def first(count: int, blocks: AsyncIterator[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
    """The first so many blocks with data."""
    async with asyncio.timeout(60):
        while count:
            block = await anext(blocks)
            if "data" in block:
                count -= 1
                yield block


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
async def replica(database: str, keys: tuple[Path, Path]) -> AsyncIterator[Replica]:
    """A process that serves referrals, over real HTTP."""
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url=database, keys_file=keys[1])
    own = Database(settings, "referrals", *MIGRATIONS)
    own.migrate()
    await own.start()
    referrals, news, log = Referrals(own, lambda: NOW, CLOCKS), News(), Log()
    service = Service("referrals", settings, database=own)
    finding = Finding(referrals, own, log, news, SETTINGS)
    service.serves(routes(referrals, Feed(referrals, own, news, SETTINGS), finding, lambda: NOW))
    app = create_app([service], Verifier.from_file(keys[1]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5, http="httptools")
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield Replica(
            own,
            referrals,
            Decisions(own, lambda: NOW, CLOCKS, Outbox(own, RecordingPublisher())),  # type: ignore[arg-type]
            news,
            log,
            f"http://127.0.0.1:{listener.getsockname()[1]}",
            keys[0],
        )
        server.should_exit = True
        await serving
    await own.stop()


# Reading a referral


async def test_a_referral_is_read_with_its_state_owner_and_next_step(replica: Replica) -> None:
    """Where it stands, who owns it, until when, what next, where and when, and the version as a weak ETag."""
    referral = uuid4()
    events = placed(referral)
    await replica.store(events)
    outcome = json.loads(events[3].to_json())["data"]
    answer = await replica.get(f"/referrals/{referral}")
    expected = {
        "id": str(referral),
        "version": 4,
        "at": "2031-03-04T03:05:00Z",
        "state": "placed",
        "outcome": "slot_held",
        "owner": outcome["owner"],
        "due": outcome["due"],
        "next_step": outcome["next_step"],
        "acuity": "urgent",
        "service": outcome["service"],
        "starts_at": outcome["starts_at"],
        "hour": None,
        "acceptance_due": None,
        "reference": outcome["reference"],
        "why_unplaced": None,
        "proposal": None,
        "referrer": REFERRER,
        "escalations": 0,
        "clocks": {"acknowledge_by": None, "answer_by": None, "outcome_by": "2031-03-04T08:30:00Z"},
        "asked": None,
        "duplicates": [],
        "actions": ["rebook", "cancel", "leave_message"],
    }
    assert (200, 'W/"4"', expected) == (answer.status_code, answer.headers["etag"], answer.json())


async def test_a_referral_without_an_outcome_is_owned_by_the_referrers_desk(replica: Replica) -> None:
    """Before booking has answered, a desk with a telephone owns the referral."""
    referral = uuid4()
    await replica.store([submitted(referral)])
    answer = (await replica.get(f"/referrals/{referral}")).json()
    assert ("submitted", DESK.model_dump()) == (answer["state"], answer["owner"])


async def test_the_same_version_is_not_sent_again(replica: Replica) -> None:
    """If-None-Match with the version that stands answers 304 without a body; with an older one, the referral."""
    referral = uuid4()
    first = submitted(referral)
    await replica.store([first])
    same = await replica.get(f"/referrals/{referral}", if_none_match='"zz", W/"1"')
    await replica.store([triaged(first)])
    moved = await replica.get(f"/referrals/{referral}", if_none_match='W/"1"')
    assert (304, b"", 200, 2) == (same.status_code, same.content, moved.status_code, moved.json()["version"])


async def test_every_earlier_version_can_be_read(replica: Replica) -> None:
    """The versions are listed, first one first, and each is read by its number as it stood."""
    referral = uuid4()
    await replica.store(unplaced(referral))
    listed = (await replica.get(f"/referrals/{referral}/versions")).json()["versions"]
    second = (await replica.get(f"/referrals/{referral}/versions/2")).json()
    assert ["submitted", "triaged", "placement_asked", "unplaced"] == [version["state"] for version in listed]
    assert listed[1] == second


async def test_each_side_reads_what_it_may_ask_for(replica: Replica) -> None:
    """From the table of the lifecycle, for the caller's side; what is not possible now is left out."""
    referral = uuid4()
    await replica.store(placed(referral))
    open_to = {
        organisation: (await replica.get(f"/referrals/{referral}", organisation)).json()["actions"]
        for organisation in (REFERRER, RECEIVER)
    }
    receivers = "receive accept reject want_information record_contact begin_care see withdraw redirect leave_message"
    assert {REFERRER: ["rebook", "cancel", "leave_message"], RECEIVER: receivers.split()} == open_to


async def test_a_search_under_way_is_shown(replica: Replica) -> None:
    """Under which placement another place is looked for, and that no other search may begin; no version is made."""
    referral = uuid4()
    rebook = asks(referral, Rebook(action="rebook", accept="any"), organisation=REFERRER)
    await replica.store([*placed(referral), rebook])
    now = (await replica.get(f"/referrals/{referral}")).json()
    search = str(effect_id(rebook.id, PlacementRequested.TYPE))
    assert (4, search, ["cancel", "leave_message"]) == (now["version"], now["asked"], now["actions"])


async def test_a_version_says_who_when_why_and_what_changed(replica: Replica) -> None:
    """What a person made carries their name, their reason and their words; what a service made, its reason."""
    referral = uuid4()
    reject = asks(referral, Reject(action="reject", reason="no-capacity", words="We are full tonight."))
    await replica.store([*placed(referral), reject])
    *_, was_placed, rejected = (await replica.get(f"/referrals/{referral}/versions")).json()["versions"]
    assert (None, "onward/booking", "nearest that is open and fit") == (
        was_placed["by"],
        was_placed["source"],
        was_placed["why"],
    )
    assert ("referral.rejected", reject.data.by.model_dump(), "no capacity: We are full tonight.") == (
        rejected["fact"],
        rejected["by"],
        rejected["why"],
    )
    assert [
        "state: rejected, was placed",
        "outcome: none, was slot held",
        "due: 2031-03-04 03:20:00 UTC, was 2031-03-04 05:00:00 UTC",
        f"next step: {rejected['next_step']}, was {was_placed['next_step']}",
        "service: none, was Same-day emergency care, Northside",
        "starts at: none, was 2031-03-04 04:00:00 UTC",
        f"reference: none, was {was_placed['reference']}",
        "outcome by: none, was 2031-03-04 08:30:00 UTC",
    ] == rejected["changes"]


async def test_who_rejected_reads_the_referral_until_another_has_it(replica: Replica) -> None:
    """They see what became of it; once another service has the patient it is no longer theirs to read."""
    referral = uuid4()
    rebook = asks(referral, Rebook(action="rebook", accept="any"), organisation=REFERRER)
    await replica.store([*placed(referral), asks(referral, Reject(action="reject", reason="other")), rebook])
    before = await replica.get(f"/referrals/{referral}", RECEIVER)
    ((body,),) = await replica.database.pool.fetch("select body from facts where type = 'placement.requested'")
    await replica.store([confirmed(searched_again(PlacementRequested.read(body.encode())))])
    after = [await replica.get(f"/referrals/{referral}", one) for one in (RECEIVER, ANOTHER_RECEIVER)]
    assert [200, 404, 200] == [answer.status_code for answer in (before, *after)]


@pytest.mark.parametrize("number", [0, 5, -1])
async def test_a_version_that_is_not_there_is_404(replica: Replica, number: int) -> None:
    """A referral has the versions from 1 to the last."""
    referral = uuid4()
    await replica.store(placed(referral))
    assert 404 == (await replica.get(f"/referrals/{referral}/versions/{number}")).status_code


async def test_the_receiving_organisation_reads_the_referral(replica: Replica) -> None:
    """Referrer and receiving service are both on a referral that is placed."""
    referral = uuid4()
    await replica.store(placed(referral))
    assert 200 == (await replica.get(f"/referrals/{referral}", RECEIVER)).status_code


async def test_those_on_a_referral_read_its_handover(replica: Replica) -> None:
    """Referrer and receiving service, each read with an audit row of its own kind; before a place only the referrer."""
    referral = uuid4()
    first, *rest = placed(referral)
    await replica.store([first])
    early = [await replica.get(f"/referrals/{referral}/handover", one) for one in (REFERRER, RECEIVER)]
    await replica.store(rest)
    late = await replica.get(f"/referrals/{referral}/handover", RECEIVER)
    assert [200, 404, 200] == [one.status_code for one in (*early, late)]
    assert ("9000000009", "blocked-catheter", 18, "private, no-store") == (
        late.json()["patient"]["nhs_number"],
        late.json()["presentation"],
        late.json()["observed"][-1]["observations"]["respiration_per_min"],
        late.headers["cache-control"],
    )
    assert [(REFERRER, [str(referral)]), (RECEIVER, [str(referral)])] == await replica.audited("read handover")


async def test_a_handover_whose_submission_is_still_to_be_read_is_503(replica: Replica) -> None:
    """Facts come in any order: the outcome may be known first."""
    referral = uuid4()
    await replica.store(placed(referral)[1:])
    answer = await replica.get(f"/referrals/{referral}/handover")
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])


@pytest.mark.parametrize("path", ["", "/versions", "/versions/1", "/handover"])
async def test_another_organisations_referral_is_answered_as_one_that_is_not_there(replica: Replica, path: str) -> None:
    """Whether an id exists is not told to those who are not on the referral, and nothing is audited."""
    referral = uuid4()
    await replica.store(unplaced(referral))
    foreign = await replica.get(f"/referrals/{referral}{path}", RECEIVER)
    unknown = await replica.get(f"/referrals/{uuid4()}{path}", RECEIVER)
    assert (404, unknown.content) == (foreign.status_code, foreign.content)
    assert [] == await replica.audited("read referral")


async def test_each_read_leaves_an_audit_row(replica: Replica) -> None:
    """One row a response, by organisation and referral, for the referral, its versions, and a 304."""
    referral = uuid4()
    await replica.store(placed(referral))
    await replica.get(f"/referrals/{referral}", RECEIVER)
    await replica.get(f"/referrals/{referral}/versions")
    await replica.get(f"/referrals/{referral}", if_none_match="*")
    row = [str(referral)]
    assert [(RECEIVER, row), (REFERRER, row), (REFERRER, row)] == await replica.audited("read referral")


async def test_nothing_is_answered_when_the_audit_cannot_be_written(replica: Replica) -> None:
    """A read that leaves no row does not happen."""
    referral = uuid4()
    await replica.store(placed(referral))
    await replica.database.pool.execute("alter table audit add constraint closed check (false) not valid")
    answer = await replica.get(f"/referrals/{referral}")
    assert 500 == answer.status_code
    assert "reference" not in answer.text


async def test_a_call_without_a_token_is_refused(replica: Replica) -> None:
    """Nobody reads without saying who they are."""
    async with httpx.AsyncClient(base_url=replica.address) as client:
        answers = [await client.get(path) for path in (f"/referrals/{uuid4()}", "/events")]
    assert [401, 401] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("path", ["/referrals/00000000-0000-4000-8000-000000000001", "/events"])
async def test_a_query_that_claims_another_organisation_is_refused(replica: Replica, path: str) -> None:
    """The organisation is the token's; a query may not say another."""
    assert 403 == (await replica.get(f"{path}?organisation={RECEIVER}")).status_code


# A referral that may be on its way


async def test_a_referral_on_its_way_is_found(replica: Replica) -> None:
    """While the group has not passed what was on the log at the request, the read waits for its row."""
    referral = uuid4()
    replica.log.passed = False

    async def arrive() -> None:
        replica.log.on_question = None
        await replica.store([submitted(referral)])

    replica.log.on_question = arrive
    answer = await replica.get(f"/referrals/{referral}")
    assert (200, "submitted") == (answer.status_code, answer.json()["state"])


async def test_whom_a_referral_is_being_placed_with_is_not_denied(replica: Replica) -> None:
    """A receiver may have its outcome from the log before it is stored here."""
    facts = placed(referral := uuid4())
    await replica.store(facts[:3])
    replica.log.passed = False

    async def arrive() -> None:
        replica.log.on_question = None
        await replica.store(facts[3:])

    replica.log.on_question = arrive
    answer = await replica.get(f"/referrals/{referral}", RECEIVER)
    assert (200, "placed") == (answer.status_code, answer.json()["state"])
    assert [(Topic.BOOKINGS, str(referral), 17)] == replica.log.asked


async def test_an_id_that_the_log_never_held_is_404(replica: Replica) -> None:
    """Once the group has passed the end that the partition had at the request, there is no such referral."""
    referral = uuid4()
    answer = await replica.get(f"/referrals/{referral}")
    assert (404, [(Topic.SUBMISSIONS, str(referral), 17)]) == (answer.status_code, replica.log.asked)


async def test_an_id_that_may_still_come_is_503_with_when_to_ask_again(replica: Replica) -> None:
    """What is not known is not denied."""
    replica.log.passed = False
    answer = await replica.get(f"/referrals/{uuid4()}")
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])


async def test_an_id_cannot_be_denied_while_the_log_is_away(replica: Replica) -> None:
    """Without Kafka a referral that is stored is read, and one that is not may be on its way."""
    referral = uuid4()
    replica.log.failure = Transient("the broker is away")
    await replica.store([submitted(referral)])
    there, unknown = await replica.get(f"/referrals/{referral}"), await replica.get(f"/referrals/{uuid4()}")
    assert (200, 503, "1") == (there.status_code, unknown.status_code, unknown.headers["retry-after"])


# The feed


async def test_the_feed_tells_facts_as_they_were_told(replica: Replica) -> None:
    """Each block has the cursor, the type, and the event itself."""
    events = placed(uuid4())
    await replica.store(events)
    blocks = await replica.follow(len(events))
    assert [
        {"id": f"1-{position}", "event": event.type, "data": event.to_json().decode()}
        for position, event in enumerate(events, 1)
    ] == blocks


async def test_a_stream_goes_on_with_what_comes(replica: Replica) -> None:
    """What is stored while a reader follows reaches it, by this process and by another."""
    events = placed(uuid4())
    async with replica.stream() as blocks:
        await anext(blocks)
        await replica.store(events[:2])
        await replica.store(events[2:], quietly=True)
        told = [block["event"] async for block in first(len(events), blocks)]
    assert [event.type for event in events] == told


async def test_a_reader_that_loses_its_connection_again_and_again_misses_and_repeats_nothing(replica: Replica) -> None:
    """Resumed with Last-Event-ID each time, while facts are being stored, the pieces are the whole feed."""
    histories = [placed(uuid4()) for _ in range(12)]
    events = [history[place] for place in range(7) for history in histories]
    storing = asyncio.create_task(replica.store(events))
    seen: list[dict[str, str]] = []
    while len(seen) < len(events):
        piece = min(5, len(events) - len(seen))
        seen += await replica.follow(piece, last_event_id=seen[-1]["id"] if seen else None)
    await storing
    assert [event.to_json().decode() for event in events] == [block["data"] for block in seen]


async def test_since_resumes_as_the_header_does_and_gives_way_to_it(replica: Replica) -> None:
    """A first request may say where to begin; a browser that reconnects repeats its query, and its header counts."""
    await replica.store(placed(uuid4()))
    (by_query,) = await replica.follow(1, query="?since=1-3")
    (by_header,) = await replica.follow(1, query="?since=1-3", last_event_id="1-5")
    assert ("1-4", "1-6") == (by_query["id"], by_header["id"])


async def test_from_now_on_tells_only_what_comes(replica: Replica) -> None:
    """`since=now` begins at the end; its first block is the cursor to resume from if nothing has come."""
    await replica.store(placed(uuid4()))
    later = submitted(uuid4())
    async with replica.stream(query="?since=now") as blocks:
        beginning = await anext(blocks)
        await replica.store([later])
        (told,) = [block async for block in first(1, blocks)]
    assert ("1-7", "data" in beginning, str(later.id)) == (beginning["id"], False, json.loads(told["data"])["id"])


async def test_silence_is_broken_by_a_sign_of_life_with_the_cursor(replica: Replica) -> None:
    """A reader of rare facts resumes near the end, for the signs of life move its cursor on."""
    await replica.store(placed(uuid4()))
    async with replica.stream("RX3") as blocks:
        ids = [(await anext(blocks))["id"] for _ in range(3)]
    assert ["1-0", "1-7", "1-7"] == ids


async def test_the_feed_is_filtered(replica: Replica) -> None:
    """By type (several), referral and service."""
    one, other = uuid4(), uuid4()
    await replica.store(placed(one))
    await replica.store(unplaced(other))

    async def ids(count: int, query: str) -> list[str]:
        return [block["id"] for block in await replica.follow(count, query=query)]

    assert ["1-4", "1-11"] == await ids(2, "?type=booking.confirmed&type=booking.exhausted")
    assert ["1-8", "1-9"] == await ids(2, f"?referral={other}")
    assert ["1-4", "1-5"] == await ids(2, "?service=sdec-1")


async def test_a_type_that_is_never_told_is_refused(replica: Replica) -> None:
    """A misspelt filter would wait for ever."""
    assert 422 == (await replica.get("/events?type=booking.confirmd")).status_code


async def test_each_organisation_is_told_its_own(replica: Replica) -> None:
    """The receiving organisation is told the outcome and what follows, and nothing of other referrals."""
    await replica.store(unplaced(uuid4()))
    await replica.store(placed(uuid4()))
    assert ["1-9", "1-10"] == [block["id"] for block in await replica.follow(2, RECEIVER)]


async def test_each_chunk_leaves_an_audit_row_before_it_is_sent(replica: Replica) -> None:
    """Seven facts in chunks of three are three rows, each with the referrals that it told of."""
    referral = uuid4()
    await replica.store(placed(referral))
    await replica.follow(7)
    assert [(REFERRER, [str(referral)])] * 3 == await replica.audited("read events")


async def test_a_reader_that_left_is_told_nothing_more(replica: Replica) -> None:
    """The stream ends with its connection: a fact that comes later is read by those who stayed alone."""
    async with replica.stream("RX9", "?since=now") as stayed:
        await anext(stayed)
        await replica.store([submitted(uuid4(), referrer="RX8")])
        await replica.follow(1, "RX8")
        await replica.store([submitted(uuid4(), referrer=organisation) for organisation in ("RX8", "RX9")])
        assert [1] == [1 async for _ in first(1, stayed)]
    assert ["RX8", "RX9"] == [organisation for organisation, _ in await replica.audited("read events")]


@pytest.mark.parametrize("cursor", ["yesterday", "1", "1-x", "1-8"])
async def test_a_bad_cursor_is_refused(replica: Replica, cursor: str) -> None:
    """What this feed never gave, a position ahead of it included, is 400 and says what to send."""
    await replica.store(placed(uuid4()))
    answers = [await replica.get(f"/events?since={cursor}"), await replica.get("/events", last_event_id=cursor)]
    assert [400, 400] == [answer.status_code for answer in answers]


async def test_a_cursor_of_another_epoch_is_told_where_to_resume(replica: Replica) -> None:
    """After a restore positions begin anew: the stream of before ends, and its cursor is 410 with where to begin."""
    await replica.store(placed(uuid4()))
    async with replica.stream(query="?since=now") as blocks, asyncio.timeout(30):
        await anext(blocks)
        (epoch, again) = [await replica.database.pool.fetchval("select begin_epoch()") for _ in range(2)]
        async for _ in blocks:
            pass
    answer = await replica.get("/events", last_event_id="1-3")
    assert (410, f"{again}-0") == (answer.status_code, answer.json()["resume"])
    assert 1 < epoch < again


async def test_a_copy_that_is_put_back_twice_begins_two_epochs(replica: Replica) -> None:
    """The copy knows nothing of the epoch that began when it was put back before: it must not begin again."""
    async with replica.database.pool.acquire() as connection:
        epoch = await connection.fetchval("select begin_epoch()")
        await connection.execute("update feed set epoch = 1")
        while (again := await connection.fetchval("select begin_epoch()")) == epoch:
            await connection.execute("update feed set epoch = 1")
    assert epoch < again


async def test_where_each_referral_stands_is_told_before_the_fact_that_brought_it_there(replica: Replica) -> None:
    """On demand: as a read of the referral says it, without an id, so that a lost connection repeats both."""
    referral = uuid4()
    await replica.store([*placed(referral), asks(referral, Reject(action="reject", reason="no-capacity"))])
    blocks = await replica.follow(15, query="?standings=true")
    told = [(block["event"], block.get("id")) for block in blocks]
    assert [("standing", None), ("referral.submitted", "1-1"), ("standing", None), ("referral.triaged", "1-2")] == told[
        :4
    ]
    assert [("standing", None), ("booking.withdrawn", "1-9")] != told[12:14]
    *_, last = [json.loads(block["data"]) for block in blocks if block["event"] == "standing"]
    read = (await replica.get(f"/referrals/{referral}")).json()
    assert {name: said for name, said in read.items() if name not in OF_THE_MOMENT} == last
    assert 5 == last["version"]


async def test_a_standing_is_told_to_those_alone_who_may_read_it(replica: Replica) -> None:
    """Once another service has the patient, the one before reads its old facts without where the referral stands."""
    referral = uuid4()
    await replica.store(placed(referral)[:4])
    action = asks(referral, Rebook(action="rebook", accept="any"), organisation=REFERRER)
    await replica.store([action])
    ((body,),) = await replica.database.pool.fetch("select body from facts where type = $1", PlacementRequested.TYPE)
    await replica.store([confirmed(searched_again(PlacementRequested.read(body.encode())))])
    before = await replica.follow(3, RECEIVER, "?standings=true")
    after = await replica.follow(2, ANOTHER_RECEIVER, "?standings=true")
    assert ["booking.confirmed", "referral.action-requested", "booking.withdrawn"] == [one["event"] for one in before]
    assert ["standing", "booking.confirmed"] == [one["event"] for one in after]


async def test_streams_end_when_the_process_is_told_to_stop(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that would go on for ever does not keep its process from stopping."""
    async with replica.stream() as blocks, asyncio.timeout(30):
        await anext(blocks)
        monkeypatch.setattr(AppStatus, "should_exit", True)
        async for _ in blocks:
            pass


async def test_the_routes_are_described(replica: Replica) -> None:
    """The OpenAPI document has every route, what it answers, and the members of a referral with their meaning."""
    async with httpx.AsyncClient(base_url=replica.address) as client:
        document = (await client.get("/openapi.json")).json()
    answers = {
        path: set(document["paths"][path]["get"]["responses"])
        for path in (
            "/referrals/{referral_id}",
            "/referrals/{referral_id}/versions",
            "/referrals/{referral_id}/versions/{number}",
            "/events",
        )
    }
    assert {
        "/referrals/{referral_id}": {"200", "304", "401", "403", "404", "422", "503"},
        "/referrals/{referral_id}/versions": {"200", "401", "403", "404", "422", "503"},
        "/referrals/{referral_id}/versions/{number}": {"200", "401", "403", "404", "422", "503"},
        "/events": {"200", "400", "401", "403", "410", "422", "503"},
    } == answers
    assert {"text/event-stream"} == set(document["paths"]["/events"]["get"]["responses"]["200"]["content"])
    due = document["components"]["schemas"]["ReferralNow"]["properties"]["due"]
    assert "when the owner must look again if nothing is heard" == due["description"]
