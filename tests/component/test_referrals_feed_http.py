"""Following the feed over HTTP, on a real PostgreSQL."""

import asyncio
import json
from uuid import uuid4

import pytest
from sse_starlette.sse import AppStatus

from contracts.actions import Rebook, Reject
from contracts.referrals import PlacementRequested
from tests.referrals_examples import (
    ANOTHER_RECEIVER,
    RECEIVER,
    REFERRER,
    asks,
    confirmed,
    placed,
    searched_again,
    submitted,
    unplaced,
)
from tests.referrals_replica import Replica, first

pytestmark = pytest.mark.backing

OF_THE_MOMENT = ("asked", "duplicates", "actions")
"""What a read says beyond where the referral stands."""


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
