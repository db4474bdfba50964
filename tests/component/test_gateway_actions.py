"""`POST /referrals/{id}/actions` on a real PostgreSQL, with a publisher that records."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from contracts.actions import Accept
from contracts.submissions import referral_id
from services.chassis.failures import Transient
from services.gateway.decided import answered
from services.gateway.handlers import keep_count
from tests.action_examples import RECEIVER, REFERRAL, accepted, asked, rebooked, refused, rejected
from tests.gateway_examples import DESK, confirmed
from tests.gateway_running import Replica, Start

pytestmark = pytest.mark.backing

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACCEPT = {"action": "accept"}
REJECT = {"action": "reject", "reason": "no-capacity"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def decided(
    replica: Replica, acting: "asyncio.Task[httpx.Response]", fact: Any = accepted, *, told: int = 1
) -> httpx.Response:
    """The answer to a request whose action is decided, by waking and by the group."""
    event = (await replica.told(told))[-1]
    one = fact(event.id, referral_id(event))
    replica.action_waiters.wake([one])
    await replica.remember_decided(one)
    return await acting


def body_of(fact: Any) -> bytes:
    """What a fact is answered as."""
    return answered(fact).body


async def test_an_action_is_told_as_it_was_asked(start: Start) -> None:
    """On the referral's key, with who asks by the token, their desk, the version seen and the caller's trace."""
    replica = await start(desks=[DESK, RECEIVER])
    body = {"action": "accept", "words": "Bring the walking frame."}
    await replica.act(REFERRAL, body, prefer="respond-async", if_match='W/"4"', traceparent=TRACE)
    [event] = map(asked, await replica.told())
    assert (Accept(action="accept", words="Bring the walking frame."), "RX8", "crew-7", RECEIVER, 4) == (
        event.data.action,
        event.data.by.organisation,
        event.data.by.practitioner,
        event.data.desk,
        event.data.seen_version,
    )
    assert (str(REFERRAL), str(REFERRAL), event.id, TRACE, NOW, "onward/gateway/RX8") == (
        event.subject,
        event.partitionkey,
        event.correlationid,
        event.traceparent,
        event.time,
        event.source,
    )
    assert [("action", event.to_json().decode())] == [(row["kind"], row["event"]) for row in await replica.rows()]


async def test_who_has_no_desk_may_act(start: Start) -> None:
    """The action says that there is none; a service without a desk must still be able to say no."""
    replica = await start(desks=[DESK])
    pending = await replica.act(REFERRAL, REJECT, prefer="respond-async")
    [event] = map(asked, await replica.told())
    assert (202, None) == (pending.status_code, event.data.desk)


async def test_before_every_desk_is_known_nobody_is_taken_to_have_none(start: Start) -> None:
    """503: nothing is stored or told."""
    replica = await start(desks_known=False)
    answer = await replica.act(REFERRAL, REJECT)
    assert (503, "1", [], []) == (
        answer.status_code,
        answer.headers["retry-after"],
        await replica.rows(),
        replica.publisher.told,
    )


async def test_the_answer_comes_while_the_request_waits(start: Start) -> None:
    """200 with where the referral stands, its version as the ETag, and where it is read."""
    replica = await start()
    answer = await decided(replica, asyncio.create_task(replica.act(REFERRAL, ACCEPT)))
    [event] = replica.publisher.told
    assert (200, body_of(accepted(event.id, REFERRAL)), 'W/"5"', f"/referrals/{REFERRAL}") == (
        answer.status_code,
        answer.content,
        answer.headers["etag"],
        answer.headers["location"],
    )


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ("unknown", 404),
        ("not-yours", 403),
        ("wrong-state", 409),
        ("not-possible", 409),
        ("no-place", 409),
        ("moved-on", 412),
    ],
)
async def test_a_refusal_is_answered_so_now_and_later(start: Start, refusal: str, status: int) -> None:
    """The problem comes while the request waits, and from the row to the same key, under the same status."""
    replica, key = await start(), uuid4()
    first = await decided(
        replica,
        asyncio.create_task(replica.act(REFERRAL, ACCEPT, key=key)),
        lambda action, referral: refused(action, referral, refusal),
    )
    second = await replica.act(REFERRAL, ACCEPT, key=key)
    etag = None if refusal == "unknown" else 'W/"5"'
    assert (status, "application/problem+json", refusal, etag) == (
        first.status_code,
        first.headers["content-type"],
        first.json()["refusal"],
        first.headers.get("etag"),
    )
    assert (status, first.content, first.headers["content-type"], first.headers.get("etag"), 1) == (
        second.status_code,
        second.content,
        second.headers["content-type"],
        second.headers.get("etag"),
        len(replica.publisher.told),
    )


async def test_the_same_key_gets_the_same_answer_after_a_restart(start: Start) -> None:
    """From the row, and nothing is told again."""
    key = uuid4()
    first = await decided(before := await start(), asyncio.create_task(before.act(REFERRAL, ACCEPT, key=key)))
    after = await start()
    second = await after.act(REFERRAL, ACCEPT, key=key)
    assert (200, first.content, first.headers["etag"], []) == (
        second.status_code,
        second.content,
        second.headers["etag"],
        after.publisher.told,
    )


async def test_a_key_is_of_one_request(start: Start) -> None:
    """For another action, another referral, another version seen, or a submission: 409, and nothing is told."""
    replica, key = await start(), uuid4()
    await replica.act(REFERRAL, ACCEPT, key=key, if_match='"4"', prefer="respond-async")
    answers = [
        await replica.act(REFERRAL, REJECT, key=key, if_match='"4"'),
        await replica.act(uuid4(), ACCEPT, key=key, if_match='"4"'),
        await replica.act(REFERRAL, ACCEPT, key=key, if_match='"5"'),
        await replica.act(REFERRAL, ACCEPT, key=key),
        await replica.refer(key=key, organisation="RX8"),
    ]
    same = await replica.act(REFERRAL, b'{ "action" : "accept" }', key=key, if_match='W/"4"', prefer="respond-async")
    # RX8 has no desk here, so its submission is refused before its key is looked at.
    assert [409, 409, 409, 409, 403] == [answer.status_code for answer in answers]
    assert (202, 2, 1) == (same.status_code, len(replica.publisher.told), len({e.id for e in replica.publisher.told}))


async def test_a_submissions_key_is_no_actions(start: Start) -> None:
    """Of one organisation: 409 both ways."""
    replica, one, other = await start(), uuid4(), uuid4()
    await replica.refer(key=one, prefer="respond-async")
    await replica.act(REFERRAL, ACCEPT, key=other, organisation="RX9", prefer="respond-async")
    acted = await replica.act(REFERRAL, ACCEPT, key=one, organisation="RX9")
    referred = await replica.refer(key=other)
    assert ([409, 409], 2) == ([acted.status_code, referred.status_code], len(replica.publisher.told))


async def test_after_a_crash_before_telling_the_same_event_is_told(start: Start) -> None:
    """What was stored is told by the retry, byte by byte."""
    before, key = await start(), uuid4()
    before.publisher.failure = Transient("away")
    unknown = await before.act(REFERRAL, ACCEPT, key=key)
    after = await start()
    answer = await decided(after, asyncio.create_task(after.act(REFERRAL, ACCEPT, key=key)))
    [row] = await before.rows()
    assert ((202, "unknown"), 200, row["event"].encode()) == (
        (unknown.status_code, unknown.json()["outcome"]),
        answer.status_code,
        after.publisher.told[0].to_json(),
    )


async def test_202_and_later_the_answer_from_the_row(start: Start) -> None:
    """Not decided in time: told where, and to ask again with the key."""
    replica, key = await start(), uuid4()
    pending = await replica.act(REFERRAL, ACCEPT, key=key, prefer="wait=0")
    [event] = replica.publisher.told
    await replica.remember_decided(rejected(event.id, REFERRAL))
    later = await replica.act(REFERRAL, ACCEPT, key=key)
    assert (202, "pending", f"/referrals/{REFERRAL}", 200, body_of(rejected(event.id, REFERRAL))) == (
        pending.status_code,
        pending.json()["outcome"],
        pending.headers["location"],
        later.status_code,
        later.content,
    )


async def test_a_booking_of_a_further_placement_does_not_answer_its_action(start: Start) -> None:
    """It carries the action's correlation, and the referral may be cancelled by now: only referrals answers."""
    replica, key = await start(), uuid4()
    acting = asyncio.create_task(replica.act(REFERRAL, ACCEPT, key=key, prefer="wait=30"))
    [event] = await replica.told()
    outcome = confirmed(event.id, REFERRAL)
    replica.waiters.wake([outcome])
    await replica.remember(outcome)
    before = await replica.rows()
    answer = await decided(replica, acting, rebooked)
    assert ([None], 200, "referral.rebooked") == (
        [row["answer"] for row in before],
        answer.status_code,
        answer.json()["done"],
    )


async def test_a_decision_does_not_answer_a_submission(start: Start) -> None:
    """What referrals tells of a referral may carry the submission's correlation; its answer is its booking's."""
    replica, key = await start(), uuid4()
    await replica.refer(key=key, prefer="respond-async")
    [event] = replica.publisher.told
    await replica.remember_decided(rejected(event.id, referral_id(event)))
    assert [None] == [row["answer"] for row in await replica.rows()]


async def test_a_faulty_action_is_answered_with_every_fault(start: Start) -> None:
    """As problem details; nothing is stored, so the key is free for the mended body."""
    replica, key = await start(), uuid4()
    refusal = await replica.act(REFERRAL, {"action": "reject", "reason": "busy", "word": "?"}, key=key)
    mended = await replica.act(REFERRAL, REJECT, key=key, prefer="respond-async")
    assert (422, {"/reason", "/word"}, 202, 1) == (
        refusal.status_code,
        {fault["pointer"] for fault in refusal.json()["faults"]},
        mended.status_code,
        len(await replica.rows()),
    )


async def test_beyond_the_limit_nothing_is_kept_and_submissions_have_a_limit_of_their_own(start: Start) -> None:
    """429 with when to send again; what is asked of referrals and what is referred do not crowd each other out."""
    replica = await start(unsettled=2, unsettled_at_once=2)
    for _ in range(2):
        await replica.refer(prefer="respond-async")
    acted = [await replica.act(REFERRAL, ACCEPT, prefer="respond-async") for _ in range(3)]
    assert [202, 202, 429] == [one.status_code for one in acted]
    assert ("1", 4, True) == (
        acted[-1].headers["retry-after"],
        len(await replica.rows()),
        "same Idempotency-Key" in acted[-1].json()["detail"],
    )
    replica.action_admission.outstanding.settle([accepted(replica.publisher.told[-1].id, REFERRAL)])
    assert 202 == (await replica.act(REFERRAL, ACCEPT, prefer="respond-async")).status_code


async def test_a_new_process_knows_which_actions_are_under_way(start: Start) -> None:
    """Those alone: a submission without an outcome is none."""
    before = await start()
    await before.refer(prefer="respond-async")
    await before.act(REFERRAL, ACCEPT, prefer="respond-async")
    replica = await start()
    counting = asyncio.create_task(
        keep_count(
            replica.action_admission, replica.attempts, "action", within=timedelta(minutes=15), clock=lambda: NOW
        )
    )
    async with asyncio.timeout(10):
        while not replica.action_admission.outstanding:
            await asyncio.sleep(0.001)
    counting.cancel()
    assert [before.publisher.told[1].id] == replica.action_admission.outstanding.older_than(-1)


async def test_when_the_database_is_away_nothing_is_told(start: Start) -> None:
    """503, with when to try again."""
    replica = await start()
    await replica.database.stop()
    answer = await replica.act(REFERRAL, ACCEPT)
    assert (503, "1", []) == (answer.status_code, answer.headers["retry-after"], replica.publisher.told)


async def test_what_came_of_an_action_is_asked_by_its_key(start: Start) -> None:
    """202 while it is decided; then its answer, or the problem that it was, with its status; nothing is told."""
    replica, done, not_done = await start(), uuid4(), uuid4()
    for key in (done, not_done):
        await replica.act(REFERRAL, ACCEPT, key=key, prefer="respond-async")
    unsettled = await replica.attempt(done, organisation="RX8")
    one, other = replica.publisher.told
    await replica.remember_decided(accepted(one.id, REFERRAL), refused(other.id, REFERRAL))
    first, second = [await replica.attempt(key, organisation="RX8") for key in (done, not_done)]
    stranger = await replica.attempt(done)
    assert [202, 200, 200, 404] == [answer.status_code for answer in (unsettled, first, second, stranger)]
    assert (body_of(accepted(one.id, REFERRAL)), "application/json") == (first.content, first.headers["content-type"])
    assert (409, "application/problem+json", 2) == (
        second.json()["status"],
        second.headers["content-type"],
        len(replica.publisher.told),
    )


async def test_two_at_once_with_one_key_are_one_action(start: Start) -> None:
    """One row, one event id, one answer."""
    replica, key = await start(), uuid4()
    acting = [asyncio.create_task(replica.act(REFERRAL, ACCEPT, key=key)) for _ in range(2)]
    events = await replica.told(2)
    replica.action_waiters.wake([accepted(events[0].id, REFERRAL)])
    answers = await asyncio.gather(*acting)
    assert (1, 1, [200, 200], 1) == (
        len(await replica.rows()),
        len({event.to_json() for event in events}),
        [answer.status_code for answer in answers],
        len({answer.content for answer in answers}),
    )


async def test_submissions_and_actions_at_once_are_stored_together(start: Start) -> None:
    """Batches mix nothing up: each row has its kind and its own event."""
    replica = await start()
    await asyncio.gather(
        *(replica.refer(prefer="respond-async") for _ in range(20)),
        *(replica.act(uuid4(), ACCEPT, prefer="respond-async") for _ in range(20)),
    )
    kinds = {(row["kind"], json.loads(row["event"])["type"]) for row in await replica.rows()}
    assert ({("submission", "referral.submitted"), ("action", "referral.action-requested")}, 40) == (
        kinds,
        len(await replica.rows()),
    )
