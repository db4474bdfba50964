"""The order of storing, waiting and telling, where it could go wrong."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from contracts.envelope import Event
from contracts.people import Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData, Submission, referral_id
from services.chassis.failures import Transient
from services.gateway.admission import Admission
from services.gateway.answered import Answered
from services.gateway.handlers import KeyTaken, Result, Settled, Transaction, Unknown, Unsettled, telling
from services.gateway.outcomes import answered
from services.gateway.overload import Refusal
from services.gateway.store import Attempts, NewAttempt, StoredAttempt
from services.gateway.waiters import Waiters
from tests.gateway_examples import DESK, NOON, admitting, confirmed, submission

DELIVERED = Answered(b'{"outcome": "delivered"}')


def attempt() -> NewAttempt:
    """A new attempt."""
    event = ReferralSubmitted.first(
        ReferralSubmittedData(
            submission=Submission.model_validate(submission(), strict=False),
            referrer=Referrer(organisation="RX9", practitioner="crew-7", role="paramedic"),
            desk=DESK,
            answer_by=NOON,
        ),
        id=uuid4(),
        source="onward/gateway/RX9",
        subject=str(uuid4()),
        time=NOON,
    )
    return NewAttempt("RX9", uuid4(), b"d" * 32, event)


def stored(one: NewAttempt, answer: Answered | None = None) -> StoredAttempt:
    """What stands under the key of an attempt that was made before."""
    return StoredAttempt(one.digest, referral_id(one.event), one.event.id, one.event.to_json().decode(), answer)


class Rows:
    """Stands for the table: what each reading finds, one after the other."""

    def __init__(self, *, new: bool | Exception, readings: Sequence[StoredAttempt | Exception] = ()) -> None:
        self._new = new
        self._readings = list(readings)

    async def put(self, _attempt: NewAttempt) -> bool:
        """Whether the key is new."""
        if isinstance(self._new, Exception):
            raise self._new
        return self._new

    async def stands_under(self, _organisation: str, _key: UUID, *, seconds: float) -> bool:
        """Whether there is a row."""
        return bool(self._readings)

    async def read(self, _organisation: str, _key: UUID) -> StoredAttempt:
        """The next reading."""
        reading = self._readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading


class Log:
    """Tells; and does something before it acknowledges."""

    def __init__(self, meanwhile: Callable[[Sequence[Event]], Any] = lambda _events: None) -> None:
        self.told: list[Event] = []
        self._meanwhile = meanwhile

    async def tell(self, events: Sequence[Event]) -> None:
        """Keep the events."""
        self.told.extend(events)
        self._meanwhile(events)


async def submit(
    rows: Rows,
    log: Log,
    one: NewAttempt,
    *,
    waiters: Waiters,
    seconds: float = 30,
    admission: Admission | None = None,
) -> Result:
    """Submit an attempt whose sender stays."""
    transaction = Transaction(cast("Attempts", rows), waiters, telling(log), admission or admitting())
    return await transaction.submit(one, seconds=seconds, gone=asyncio.Event().wait)


def waking(waiters: Waiters, *, failing: bool = False) -> Callable[[Sequence[Event]], None]:
    """Wakes by each event's outcome before the log acknowledges it, and then may fail."""

    def wake(events: Sequence[Event]) -> None:
        waiters.wake([confirmed(event.id, referral_id(event)) for event in events])
        if failing:
            raise Transient("away")

    return wake


async def test_an_outcome_before_the_acknowledgement_is_not_missed() -> None:
    """The waiter stands before the event is told."""
    one, waiters = attempt(), Waiters(10, answered)
    answer = answered(confirmed(one.event.id, referral_id(one.event)))
    assert Settled(referral_id(one.event), answer) == await submit(
        Rows(new=True), Log(waking(waiters)), one, waiters=waiters
    )


async def test_an_outcome_is_worth_more_than_a_failed_telling() -> None:
    """What is settled was received."""
    one, waiters = attempt(), Waiters(10, answered)
    result = await submit(Rows(new=True), Log(waking(waiters, failing=True)), one, waiters=waiters)
    assert True is isinstance(result, Settled)


async def test_a_failed_telling_is_not_waited_for() -> None:
    """Unknown at once: the sender asks again, and that tells again."""

    def fail(_events: Sequence[Event]) -> None:
        raise ValueError("a bug")

    one = attempt()
    async with asyncio.timeout(10):
        result = await submit(Rows(new=True), Log(fail), one, waiters=Waiters(10, answered))
    assert Unknown() == result


async def test_a_repeat_waits_for_the_first_ones_outcome() -> None:
    """Under the id of the event that was stored, which is the one that is told."""
    first, waiters = attempt(), Waiters(10, answered)
    again = replace(attempt(), key=first.key)
    log = Log(waking(waiters))
    result = await submit(Rows(new=False, readings=[stored(first)] * 2), log, again, waiters=waiters)
    assert (True, [first.event.id]) == (isinstance(result, Settled), [event.id for event in log.told])


async def test_an_answer_that_is_stored_while_the_waiter_is_put_up_is_found() -> None:
    """It is read again once the waiter stands; nothing is told."""
    one, log = attempt(), Log()
    rows = Rows(new=False, readings=[stored(one), stored(one, DELIVERED)])
    result = await submit(rows, log, one, waiters=Waiters(10, answered))
    assert (Settled(referral_id(one.event), DELIVERED), []) == (result, log.told)


async def test_another_body_is_refused_before_anything_is_told() -> None:
    """By the digest alone."""
    one, log = attempt(), Log()
    rows = Rows(new=False, readings=[replace(stored(one), digest=b"e" * 32)])
    assert (KeyTaken(), []) == (await submit(rows, log, one, waiters=Waiters(10, answered)), log.told)


async def test_a_row_that_cannot_be_read_is_unknown() -> None:
    """Whoever stored it may have told it: never 503."""
    rows = Rows(new=False, readings=[Transient("away")])
    assert Unknown() == await submit(rows, Log(), attempt(), waiters=Waiters(10, answered))


async def test_beyond_the_limit_nothing_is_stored_or_told() -> None:
    """Refused before the row; what waits is counted from before the storing, so that none slips in between."""
    admission, log, waiters = admitting(unsettled=2), Log(), Waiters(10, answered)
    for _ in range(2):
        result = await submit(Rows(new=True), log, attempt(), waiters=waiters, seconds=0, admission=admission)
        assert isinstance(result, Unsettled)
    refused = await submit(Rows(new=True), log, attempt(), waiters=waiters, admission=admission)
    assert (Refusal("2 wait for their answer already.", 1), 2) == (refused, len(log.told))


async def test_beyond_the_limit_a_used_key_is_answered() -> None:
    """What was taken in is answered, and makes nothing more to wait for."""
    admission, waiters, first = admitting(unsettled=1), Waiters(10, answered), attempt()
    await submit(Rows(new=True), Log(), first, waiters=waiters, seconds=0, admission=admission)
    rows = Rows(new=False, readings=[stored(first, DELIVERED)])
    result = await submit(rows, Log(), replace(attempt(), key=first.key), waiters=waiters, admission=admission)
    assert (Settled(referral_id(first.event), DELIVERED), 1) == (result, len(admission.outstanding))


async def test_what_could_not_be_stored_is_not_waited_for() -> None:
    """Its room is given back; so is that of a key that was used."""
    admission, first = admitting(unsettled=1), attempt()
    with pytest.raises(Transient):
        await submit(Rows(new=Transient("away")), Log(), first, waiters=Waiters(10, answered), admission=admission)
    rows = Rows(new=False, readings=[replace(stored(first), digest=b"e" * 32)])
    assert KeyTaken() == await submit(rows, Log(), attempt(), waiters=Waiters(10, answered), admission=admission)
    assert 0 == len(admission.outstanding)
