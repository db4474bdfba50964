"""Submissions to a gateway on a real PostgreSQL: told once, answered from the row, and refused."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts.envelope import Event
from contracts.people import Desk
from contracts.submissions import ReferralSubmitted, referral_id
from services.chassis.failures import Transient
from services.gateway.answer import body_of
from services.gateway.handlers import keep_count
from tests.gateway_examples import DESK, confirmed, exhausted, submission
from tests.gateway_running import Start
from tests.gateway_settling import NOW, TRACE, settled
from tests.recording import RecordingPublisher

pytestmark = pytest.mark.backing


async def test_a_submission_is_told_as_it_was_sent(start: Start) -> None:
    """With who refers by the token, the desk, the marks, the time to answer by, and the caller's trace."""
    replica = await start()
    await replica.refer(submission(patient={}), prefer="respond-async", traceparent=TRACE)
    [event] = await replica.told()
    assert isinstance(event, ReferralSubmitted)
    assert ("RX9", "crew-7", "paramedic") == tuple(event.data.referrer.model_dump().values())
    assert (DESK, NOW + timedelta(minutes=15), ["nhs-number-missing"]) == (
        event.data.desk,
        event.data.answer_by,
        [mark.code for mark in event.data.marks],
    )
    assert ("onward/gateway/RX9", event.id, TRACE, NOW) == (
        event.source,
        event.correlationid,
        event.traceparent,
        event.time,
    )
    assert (event.subject, 36.9, "Found on the kitchen floor.") == (
        event.partitionkey,
        event.data.submission.observations.temperature_celsius,
        event.data.submission.narrative,
    )
    assert [event.to_json().decode()] == [row["event"] for row in await replica.rows()]


async def test_the_answer_comes_while_the_request_waits(start: Start) -> None:
    """201, with where and when, and where the referral is found."""
    replica = await start()
    answer = await settled(replica, asyncio.create_task(replica.refer()))
    [event] = replica.publisher.told
    assert (201, f"/referrals/{event.subject}") == (answer.status_code, answer.headers["location"])
    assert body_of(confirmed(event.id, referral_id(event))) == answer.content


async def test_a_waiter_is_woken_without_the_database(start: Start) -> None:
    """The row may be written later; the answer does not wait for it."""
    replica = await start()
    posting = asyncio.create_task(replica.refer())
    [event] = await replica.told()
    replica.waiters.wake([exhausted(event.id, referral_id(event))])
    assert (201, "unplaced") == ((await posting).status_code, (await posting).json()["outcome"])
    assert [None] == [row["answer"] for row in await replica.rows()]


async def test_the_same_key_gets_the_same_answer(start: Start) -> None:
    """The same bytes, from the row, and nothing is told again."""
    replica, key = await start(), uuid4()
    first = await settled(replica, asyncio.create_task(replica.refer(key=key)))
    second = await replica.refer(key=key)
    assert (201, first.content, first.headers["location"], 1) == (
        second.status_code,
        second.content,
        second.headers["location"],
        len(replica.publisher.told),
    )


async def test_the_same_body_in_another_spelling_is_the_same(start: Start) -> None:
    """Order of members and white space are no difference; nor is the time of the retry."""
    replica, key = await start(), uuid4()
    first = await settled(replica, asyncio.create_task(replica.refer(key=key)))
    respelt = json.dumps(dict(reversed(submission().items())), indent=2).encode()
    assert first.content == (await replica.refer(respelt, key=str(key).upper())).content


async def test_the_same_key_for_another_body_is_refused_and_nothing_told(start: Start) -> None:
    """409, whether the first is settled or not."""
    replica, key = await start(), uuid4()
    await replica.refer(key=key, prefer="respond-async")
    unsettled = await replica.refer(submission(presentation="stroke"), key=key)
    [event] = replica.publisher.told
    await replica.remember(confirmed(event.id, referral_id(event)))
    after = await replica.refer(submission(presentation="stroke"), key=key)
    assert ([409, 409], 1, 1) == (
        [unsettled.status_code, after.status_code],
        len(replica.publisher.told),
        len(await replica.rows()),
    )


async def test_another_organisation_may_use_the_same_key(start: Start) -> None:
    """A key is its organisation's own: two referrals."""
    other = Desk(organisation="RX8", name="Other hub", telephone="01632 960008")
    replica, key = await start(desks=[DESK, other]), uuid4()
    one = await replica.refer(key=key, prefer="respond-async")
    two = await replica.refer(key=key, prefer="respond-async", organisation="RX8")
    assert ([202, 202], 2, 2) == (
        [one.status_code, two.status_code],
        len({one.headers["location"], two.headers["location"]}),
        len({event.id for event in replica.publisher.told}),
    )


async def test_two_at_once_with_one_key_are_one_referral(start: Start) -> None:
    """One row, one event id, one answer; the event may be told twice."""
    replica, key = await start(), uuid4()
    posting = [asyncio.create_task(replica.refer(key=key)) for _ in range(2)]
    events = await replica.told(2)
    outcome = confirmed(events[0].id, referral_id(events[0]))
    replica.waiters.wake([outcome])
    answers = await asyncio.gather(*posting)
    assert (1, 1, [201, 201], 1) == (
        len(await replica.rows()),
        len({event.to_json() for event in events}),
        [answer.status_code for answer in answers],
        len({answer.content for answer in answers}),
    )


async def test_two_at_once_with_one_key_and_two_bodies_are_one_referral(start: Start) -> None:
    """Also where both are inserted by one statement, the second is refused."""
    replica, key = await start(), uuid4()
    bodies = [submission(), submission(presentation="stroke")]
    answers = await asyncio.gather(*(replica.refer(body, key=key, prefer="respond-async") for body in bodies))
    assert ([202, 409], 1, 1) == (
        sorted(answer.status_code for answer in answers),
        len(await replica.rows()),
        len(replica.publisher.told),
    )


async def test_after_a_restart_the_key_is_answered_from_the_row(start: Start) -> None:
    """A new process on the same database knows what the old one answered."""
    key = uuid4()
    first = await settled(before := await start(), asyncio.create_task(before.refer(key=key)))
    after = await start()
    second = await after.refer(key=key)
    assert (201, first.content, []) == (second.status_code, second.content, after.publisher.told)


async def test_after_a_crash_before_telling_the_same_event_is_told(start: Start) -> None:
    """What was stored is told by the retry, byte by byte, although its own event would be another."""
    before, key = await start(), uuid4()
    before.publisher.failure = Transient("away")
    await before.refer(key=key)
    after = await start()
    answer = await settled(after, asyncio.create_task(after.refer(key=key, traceparent=TRACE)))
    [row] = await before.rows()
    assert (201, row["event"].encode(), []) == (
        answer.status_code,
        after.publisher.told[0].to_json(),
        before.publisher.told,
    )


async def test_202_and_later_201_from_the_row(start: Start) -> None:
    """Not settled in time: the sender is told where, asks again with the key, and gets the outcome."""
    replica, key = await start(), uuid4()
    pending = await replica.refer(key=key, prefer="wait=0")
    [event] = replica.publisher.told
    assert (202, "pending", event.subject, f"/referrals/{event.subject}") == (
        pending.status_code,
        pending.json()["outcome"],
        pending.json()["referral_id"],
        pending.headers["location"],
    )
    outcome = confirmed(event.id, referral_id(event))
    await replica.remember(outcome)
    later = await replica.refer(key=key)
    assert (201, body_of(outcome)) == (later.status_code, later.content)


async def test_a_wait_ends_when_its_time_is_over(start: Start) -> None:
    """And frees its place."""
    replica = await start(waiters=1)
    answer = await replica.refer(prefer="wait=1")
    with replica.waiters.waiting_for(uuid4()) as place:
        assert (202, True) == (answer.status_code, place is not None)


async def test_where_too_many_wait_the_next_is_told_to_ask_again(start: Start) -> None:
    """Its submission is stored and told all the same."""
    replica = await start(waiters=0)
    answer = await replica.refer(prefer="wait=30")
    assert (202, "pending", 1) == (answer.status_code, answer.json()["outcome"], len(replica.publisher.told))


async def test_one_who_hangs_up_gives_up_the_place(start: Start) -> None:
    """A crew that lost its connection is not waited for; its submission goes on."""
    replica = await start(waiters=1, wait_seconds=30)
    body, hung_up = json.dumps(submission()).encode(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not replica.publisher.told:
            return {"type": "http.request", "body": body, "more_body": False}
        hung_up.set()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        """Nobody listens."""

    headers = {"authorization": f"Bearer {replica.token('RX9')}", "idempotency-key": str(uuid4())}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/referrals",
        "query_string": b"",
        "headers": [
            (name.encode(), said.encode()) for name, said in {**headers, "content-type": "application/json"}.items()
        ],
    }
    async with asyncio.timeout(10):
        await replica.app(scope, receive, send)
    with replica.waiters.waiting_for(uuid4()) as place:
        assert (True, True, 1) == (hung_up.is_set(), place is not None, len(replica.publisher.told))


async def test_when_telling_fails_it_is_unknown(start: Start) -> None:
    """Something may have reached the log: never 503, and the sender knows what to do."""
    replica = await start()
    replica.publisher.failure = Transient("away")
    answer = await replica.refer()
    assert (202, "unknown", None, None) == (
        answer.status_code,
        answer.json()["outcome"],
        answer.json()["referral_id"],
        answer.headers.get("location"),
    )
    assert 1 == len(await replica.rows())
    assert "same Idempotency-Key" in answer.json()["next_step"]


async def test_beyond_the_limit_nothing_is_kept(start: Start) -> None:
    """429 with when to send again, no row and nothing told; after an outcome there is room; a used key is answered."""
    replica, key = await start(unsettled=2, unsettled_at_once=1), uuid4()
    first = await replica.refer(key=key, prefer="respond-async")
    hasty = await replica.refer(prefer="respond-async")
    waiting = await replica.refer(prefer="wait=1")
    refused = await replica.refer()
    again = await replica.refer(key=key, prefer="respond-async")
    assert [202, 429, 202, 429, 202] == [one.status_code for one in (first, hasty, waiting, refused, again)]
    assert ("1", 2, {first.json()["referral_id"], waiting.json()["referral_id"]}) == (
        refused.headers["retry-after"],
        len(await replica.rows()),
        {event.subject for event in replica.publisher.told},
    )
    event = replica.publisher.told[0]
    replica.admission.outstanding.settle([confirmed(event.id, referral_id(event))])
    assert 202 == (await replica.refer(prefer="wait=0.1")).status_code


async def test_a_new_process_knows_what_is_under_way(start: Start) -> None:
    """What has no answer counts after a restart, also that of other replicas, until its answer is stored: here, by
    whichever reader has the partition, or elsewhere."""
    before = await start()
    for _ in range(3):
        await before.refer(prefer="respond-async")
    replica = await start(unsettled=3)
    counting = asyncio.create_task(
        keep_count(replica.admission, replica.attempts, "submission", within=timedelta(minutes=15), clock=lambda: NOW)
    )
    async with asyncio.timeout(10):
        while len(replica.admission.outstanding) < 3:
            await asyncio.sleep(0.001)
    assert 429 == (await replica.refer()).status_code
    counting.cancel()
    here, elsewhere, _ = before.publisher.told
    await replica.remember(confirmed(here.id, referral_id(here)))
    assert 2 == len(replica.admission.outstanding)
    await before.remember(confirmed(elsewhere.id, referral_id(elsewhere)))
    late = replica.admission.outstanding.older_than(0)
    replica.admission.outstanding.drop(set(late) - await replica.attempts.unanswered("submission", late))
    assert 1 == len(replica.admission.outstanding)


async def test_while_the_database_does_not_answer_the_refusal_does_not_wait(start: Start) -> None:
    """Whether the key was used is asked for a moment only."""
    replica = await start(unsettled=1, store_seconds=30)
    await replica.refer(prefer="respond-async")
    async with replica.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table attempts in access exclusive mode")
        async with asyncio.timeout(5):
            assert 429 == (await replica.refer()).status_code


async def test_when_telling_does_not_end_it_is_unknown(start: Start) -> None:
    """A log that does not acknowledge in time is as one that failed."""

    class Hanging(RecordingPublisher):
        async def tell(self, events: Sequence[Event]) -> None:
            await asyncio.Event().wait()

    answer = await (await start(publisher=Hanging())).refer(prefer="wait=0")
    assert (202, "unknown") == (answer.status_code, answer.json()["outcome"])


async def test_when_the_database_is_away_nothing_is_told(start: Start) -> None:
    """503, with when to try again: nothing reached the log."""
    replica = await start()
    await replica.database.stop()
    answer = await replica.refer()
    assert (503, "1", []) == (answer.status_code, answer.headers["retry-after"], replica.publisher.told)


async def test_when_the_database_does_not_answer_nothing_is_told(start: Start) -> None:
    """A stuck database is as one that is away."""
    replica = await start(store_seconds=0.2)
    async with replica.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table attempts in access exclusive mode")
        answer = await replica.refer()
    assert (503, []) == (answer.status_code, replica.publisher.told)


async def test_a_body_or_query_that_names_another_organisation_is_forbidden(start: Start) -> None:
    """And nothing is stored or told."""
    replica = await start()
    body = await replica.refer(submission(referrer={"organisation": "RX8"}))
    query = await replica.client.post(
        "/referrals?organisation=RX8", headers={"authorization": f"Bearer {replica.token('RX9')}"}
    )
    assert ([403, 403], [], []) == ([body.status_code, query.status_code], replica.publisher.told, await replica.rows())


async def test_a_faulty_body_is_answered_with_every_fault(start: Start) -> None:
    """As problem details; nothing is stored, so the key is free for the mended body."""
    replica, key = await start(), uuid4()
    refused = await replica.refer(submission(presentation="?", accept=[]), key=key)
    mended = await replica.refer(key=key, prefer="respond-async")
    assert (422, "application/problem+json", {"/presentation", "/accept"}, 202) == (
        refused.status_code,
        refused.headers["content-type"],
        {fault["pointer"] for fault in refused.json()["faults"]},
        mended.status_code,
    )
