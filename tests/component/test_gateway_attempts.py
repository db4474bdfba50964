"""Attempts as a gateway stores them on a real PostgreSQL: one by one, many at once, and by several replicas."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from contracts.submissions import ReferralSubmitted, referral_id
from services.gateway.answer import body_of
from services.gateway.answered import Answered
from services.gateway.store import NewAttempt
from tests.gateway_examples import confirmed, exhausted
from tests.gateway_running import Replica, Start
from tests.gateway_settling import NOW

pytestmark = pytest.mark.backing


def attempt(event: ReferralSubmitted, *, organisation: str = "RX9") -> NewAttempt:
    """An attempt under a new key."""
    return NewAttempt(organisation, uuid4(), b"d" * 32, event)


async def some_event(replica: Replica) -> ReferralSubmitted:
    """An event with an id of its own, as the gateway makes it."""
    await replica.refer(prefer="respond-async")
    event = replica.publisher.told[-1]
    assert isinstance(event, ReferralSubmitted)
    return ReferralSubmitted.first(event.data, id=uuid4(), source=event.source, subject=str(uuid4()), time=event.time)


@pytest.mark.parametrize("bad", ["RX\x00", "RX\ud800"])
async def test_one_attempt_that_cannot_be_stored_fails_alone(start: Start, bad: str) -> None:
    """NUL or half a surrogate pair fails the whole statement; the others of its batch are stored singly."""
    replica = await start()
    events = [await some_event(replica) for _ in range(3)]
    before = len(await replica.rows())
    results = await asyncio.gather(
        replica.attempts.put(attempt(events[0])),
        replica.attempts.put(attempt(events[1], organisation=bad)),
        replica.attempts.put(attempt(events[2])),
        return_exceptions=True,
    )
    assert ([True, "failed", True], before + 2) == (
        ["failed" if isinstance(result, Exception) else result for result in results],
        len(await replica.rows()),
    )


async def test_an_outcome_without_an_attempt_is_ignored(start: Start) -> None:
    """Others begin transactions too; those of ours in the same batch get their answers."""
    replica = await start()
    await replica.refer(prefer="respond-async")
    [event] = replica.publisher.told
    await replica.remember(confirmed(uuid4(), uuid4()), exhausted(event.id, referral_id(event)))
    assert [body_of(exhausted(event.id, referral_id(event))).decode()] == [
        row["answer"] for row in await replica.rows()
    ]


async def test_the_first_outcome_stands(start: Start) -> None:
    """In one batch and over several: what was answered once is answered always."""
    replica = await start()
    await replica.refer(prefer="respond-async")
    [event] = replica.publisher.told
    first, second = exhausted(event.id, referral_id(event)), confirmed(event.id, referral_id(event))
    await replica.remember(first, second)
    await replica.remember(second)
    assert [body_of(first).decode()] == [row["answer"] for row in await replica.rows()]


async def test_of_two_who_write_an_answer_at_once_the_first_stands(start: Start) -> None:
    """Both found the attempt unanswered; the second, which may be an old member of the group, changes nothing."""
    replica = await start()
    await replica.refer(prefer="respond-async")
    [event] = replica.publisher.told
    await replica.attempts.answer({event.id: Answered(b"first")}, NOW)
    await replica.attempts.answer({event.id: Answered(b"second")}, NOW + timedelta(seconds=1))
    assert [("first", NOW)] == [(row["answer"], row["answered_at"]) for row in await replica.rows()]


async def test_many_at_once_are_one_row_each(start: Start) -> None:
    """Batches lose and mix up nothing: each request is told its own referral."""
    replica = await start()
    answers = await asyncio.gather(*(replica.refer(prefer="respond-async") for _ in range(60)))
    told = {event.subject for event in replica.publisher.told}
    rows = await replica.rows()
    assert (60, 60, told) == (
        len(rows),
        len({answer.json()["referral_id"] for answer in answers}),
        {str(row["referral_id"]) for row in rows} & {answer.json()["referral_id"] for answer in answers},
    )


async def test_two_replicas_that_share_keys_never_wait_for_each_other_in_a_circle(start: Start) -> None:
    """The same keys at both, in opposite order: every key is new exactly once, and no statement is given up."""
    one, other = await start(), await start()
    event = await some_event(one)
    keys = [uuid4() for _ in range(300)]

    async def put(replica: Replica, order: Sequence[UUID]) -> list[bool]:
        copies = [event.model_copy(update={"id": uuid4()}) for _ in order]
        return await asyncio.gather(
            *(
                replica.attempts.put(NewAttempt("RX9", key, b"d" * 32, copy))
                for key, copy in zip(order, copies, strict=True)
            )
        )

    for _ in range(5):
        await one.database.pool.execute("truncate attempts")
        ours, theirs = await asyncio.gather(put(one, keys), put(other, keys[::-1]))
        assert [True] * len(keys) == [a != b for a, b in zip(ours, theirs[::-1], strict=True)]


async def test_what_came_of_a_key_is_asked_without_referring(start: Start) -> None:
    """404 before anything was received, 202 while it is settled, then the same outcome; to others 404; nothing told."""
    replica, key = await start(), uuid4()
    before = await replica.attempt(key)
    await replica.refer(key=key, prefer="respond-async")
    unsettled = await replica.attempt(key)
    [event] = replica.publisher.told
    await replica.remember(confirmed(event.id, referral_id(event)))
    after = await replica.attempt(key)
    stranger = await replica.attempt(key, organisation="RX8")
    assert [404, 202, 200, 404] == [one.status_code for one in (before, unsettled, after, stranger)]
    assert (event.subject, "pending") == (unsettled.json()["referral_id"], unsettled.json()["outcome"])
    assert body_of(confirmed(event.id, referral_id(event))) == after.content
    assert 1 == len(replica.publisher.told)
