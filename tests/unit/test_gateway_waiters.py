"""Requests that wait for an outcome."""

import gc
import weakref
from uuid import uuid4

from contracts.topics import Topic
from services.chassis.reader import Tombstone
from services.gateway.answered import Answered
from services.gateway.outcomes import Seen, answered
from services.gateway.waiters import MOST_MADE, MadeOnce, Waiters
from tests.gateway_examples import confirmed, exhausted, listed


async def test_an_outcome_wakes_those_who_wait_for_it() -> None:
    """All of them: a retry may wait beside the request that it repeats."""
    waiters, transaction = Waiters(10, answered), uuid4()
    outcome = confirmed(transaction, uuid4())
    with waiters.waiting_for(transaction) as one, waiters.waiting_for(transaction) as other:
        assert one is not None
        assert other is not None
        waiters.wake([outcome])
        assert [answered(outcome)] * 2 == [await one, await other]


async def test_the_outcome_of_another_transaction_wakes_nobody() -> None:
    """Only one's own outcome."""
    waiters, transaction = Waiters(10, answered), uuid4()
    with waiters.waiting_for(transaction) as answer:
        waiters.wake([confirmed(uuid4(), uuid4()), listed(), Tombstone(Topic.BOOKINGS, "x")])
        assert answer is not None
        assert False is answer.done()


async def test_a_repeated_outcome_changes_nothing() -> None:
    """The first is the answer."""
    waiters, transaction = Waiters(10, answered), uuid4()
    first, second = exhausted(transaction, uuid4()), confirmed(transaction, uuid4())
    with waiters.waiting_for(transaction) as answer:
        waiters.wake([first, second])
        waiters.wake([second])
        assert answer is not None
        assert answered(first) == await answer


async def test_one_too_many_does_not_wait() -> None:
    """Memory is bounded."""
    waiters = Waiters(1, answered)
    with waiters.waiting_for(uuid4()) as first, waiters.waiting_for(uuid4()) as second:
        assert (True, None) == (first is not None, second)


async def test_a_place_is_free_again_when_one_leaves() -> None:
    """Whoever leaves, for whatever reason; and one who found no place frees none."""
    waiters = Waiters(1, answered)
    with waiters.waiting_for(uuid4()), waiters.waiting_for(uuid4()), waiters.waiting_for(uuid4()):
        pass
    with waiters.waiting_for(uuid4()) as first, waiters.waiting_for(uuid4()) as second:
        assert (True, None) == (first is not None, second)


async def test_one_who_left_is_not_woken() -> None:
    """And the one who still waits is."""
    waiters, transaction = Waiters(10, answered), uuid4()
    with waiters.waiting_for(transaction) as staying:
        with waiters.waiting_for(transaction) as leaving:
            pass
        waiters.wake([confirmed(transaction, uuid4())])
        assert leaving is not None
        assert staying is not None
        assert (True, True) == (leaving.cancelled(), staying.done())


async def test_nothing_is_kept_of_one_who_left() -> None:
    """Or a gateway that runs for months would remember every request."""
    waiters, transaction = Waiters(10, answered), uuid4()
    with waiters.waiting_for(transaction):
        with waiters.waiting_for(transaction) as leaving:
            assert leaving is not None
            kept = weakref.ref(leaving)
        del leaving
        gc.collect()
        assert None is kept()


def counted(made: list[Seen]) -> MadeOnce:
    """Answers, with a list of what was made."""

    def make(seen: Seen) -> Answered:
        made.append(seen)
        return answered(seen)

    return MadeOnce(make)


def test_an_answer_is_made_once_for_whoever_waits_and_for_the_table() -> None:
    """Whoever comes third makes it anew, and all are the same."""
    made: list[Seen] = []
    answering, outcome = counted(made), confirmed(uuid4(), uuid4())
    assert [answered(outcome)] * 2 == [answering(outcome), answering(outcome)]
    assert [outcome] == made
    assert answered(outcome) == answering(outcome)
    assert 2 == len(made)


def test_answers_that_nobody_comes_back_for_take_no_more_than_their_room() -> None:
    """The oldest goes first, and is made anew."""
    made: list[Seen] = []
    answering = counted(made)
    first, *_, last = outcomes = [confirmed(uuid4(), uuid4()) for _ in range(MOST_MADE + 1)]
    for outcome in outcomes:
        answering(outcome)
    answering(last)
    assert len(outcomes) == len(made)
    answering(first)
    assert len(outcomes) + 1 == len(made)
