"""Diaries that receivers keep: asked and booked over real HTTP, on a real PostgreSQL, whatever they make of it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response

from services.booking.answers import NotGot, Wanted
from services.booking.askers import Askers
from services.booking.receivers import HttpReceivers
from services.booking.settings import BookingSettings
from tests.booking_processes import Booking, Clock, booking, confirmed, exhausted, faults, until
from tests.booking_requests import NOON, requested, service, session, withdrawn
from tests.component.test_booking_waiting import cancelled
from tests.diaries_elsewhere import Receiver, receiver

pytestmark = pytest.mark.backing

MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE
ONE = NOON + HOUR
"""At one o'clock."""
QUICK = BookingSettings(
    receiver_call_seconds=0.5,
    receiver_ask_seconds=1.5,
    receiver_failures=2,
    receiver_at_once=2,
    receiver_quiet_seconds=60,
)
LATER = timedelta(seconds=120)
"""When no lease runs any more, and nothing that was sent can take effect."""


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    """A receiver that keeps its own diary."""
    async with receiver() as one:
        yield one


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
async def process(database: str, clock: Clock, other: Receiver) -> AsyncIterator[Booking]:
    """Booking with R1, whose receiver keeps the diary, and S1, which has a slot at one."""
    async with booking(database, clock, own=QUICK, horizon=timedelta(hours=3)) as one:
        await one.lists(other.lists(), service("S1", session("13:00", "13:30")))
        yield one


@pytest.fixture
async def http() -> AsyncIterator[HttpReceivers]:
    """How receivers are called."""
    calls = HttpReceivers(QUICK.receiver_call_seconds)
    yield calls
    await calls.aclose()


async def ask(process: Booking, http: HttpReceivers) -> None:
    """Ask, and give back, until nothing is due at this time."""
    askers, more = Askers(process.asking, process.leases, http), True
    while more:
        async with asyncio.TaskGroup() as group:
            more = await askers.begin(group)


async def settle_down(process: Booking, http: HttpReceivers, clock: Clock) -> None:
    """Ask until nothing is left to ask or to give back, however long that takes on the clock."""
    for _ in range(50):
        await ask(process, http)
        if not await process.rows("select from asking union all select from elsewhere where state = 'undoing'"):
            return
        clock.now += LATER
    raise AssertionError("it never settled down")


def said(outcome: Any) -> tuple[Any, ...]:
    """Who has the patient and when, or why nobody; and what was tried."""
    data, tried = outcome.data, [(one.service_id, one.why) for one in outcome.data.tried]
    if outcome.type == "booking.confirmed":
        return data.service.service_id, data.starts_at, tried
    return data.why, tried


async def test_a_slot_is_booked_at_its_receiver(process: Booking, http: HttpReceivers, other: Receiver) -> None:
    """Nothing is told until it is booked; then it is told once, with the receiver's reference. It learns a key, a
    service and a slot, and nothing of the patient."""
    other.offers(ONE + HOUR, ONE)
    request = requested(1, "R1", "S1")
    assert ([], []) == (await process.settles(request), await process.settles(request))
    await ask(process, http)
    [outcome] = await process.put_out()
    [booked] = other.alive.values()
    assert (("R1", ONE, []), booked.reference, 30) == (
        said(outcome),
        outcome.data.receiver_reference,
        outcome.data.slot_minutes,
    )
    assert [{"service_id": "R1", "starts_at": ONE.isoformat(), "minutes": 30}] == other.bodies
    assert [outcome.to_json()] == [again.to_json() for again in await process.settles(request)]
    assert [] == await faults(process)


@pytest.mark.parametrize("refusing", [False, True], ids=["full", "refusing"])
async def test_where_there_is_no_slot_the_next_candidate_has_the_patient(
    process: Booking, http: HttpReceivers, other: Receiver, refusing: bool
) -> None:
    """In the usual transaction; and where there is none, it is exhausted."""
    if refusing:
        other.offers(ONE, ONE + HOUR)
        other.refuses = 99
    await process.settles(requested(1, "R1", "S1"), requested(2, "R1"))
    await ask(process, http)
    why = [("R1", "no free slot in time")]
    assert [("S1", ONE, why), ("none could take the patient", why)] == sorted(
        map(said, await process.put_out()), key=lambda one: one[0] != "S1"
    )
    assert {} == other.alive
    assert [] == await faults(process)


async def test_a_slot_that_was_taken_meanwhile_is_not_the_last_word(
    process: Booking, http: HttpReceivers, other: Receiver
) -> None:
    """Refused once, it is asked what else it has."""
    other.offers(ONE)
    other.refuses = 1
    await process.settles(requested(1, "R1"))
    await ask(process, http)
    assert [("R1", ONE, [])] == [said(one) for one in await process.put_out()]
    assert 2 == other.asked("PUT")


def booked_as(**changes: Any) -> Callable[[str, Any], Any]:
    """It books, and says something else."""

    def answer(method: str, honest: Any) -> Any:
        if method != "PUT" or not isinstance(honest, JSONResponse):
            return honest
        return JSONResponse(json.loads(bytes(honest.body)) | changes)

    return answer


def offering(*slots: dict[str, Any]) -> Callable[[str, Any], Any]:
    """It offers these."""
    honest = {"starts_at": ONE.isoformat(), "minutes": 30, "capacity": 1, "free": 1}

    def answer(method: str, answered: Any) -> Any:
        return JSONResponse({"slots": [honest | slot for slot in slots]}) if method == "GET" else answered

    return answer


def always(response: Response) -> Callable[[str, Any], Any]:
    """It says this to whatever it is asked, but to be given back."""
    return lambda method, honest: honest if method == "DELETE" else response


LIES = {
    "another key": booked_as(key=str(uuid4())),
    "another service": booked_as(service_id="R2"),
    "another slot": booked_as(starts_at=(ONE + HOUR).isoformat()),
    "a longer slot": booked_as(minutes=60),
    "a reference in words": booked_as(reference="Mrs Brown"),
    "no time zone": booked_as(starts_at="2026-01-14T13:00:00"),
    "in the past": offering({"starts_at": (NOON - HOUR).isoformat()}),
    "too soon": offering({"starts_at": (NOON + MINUTE).isoformat()}),
    "past the disposition's end": offering({"starts_at": (NOON + 3 * HOUR).isoformat()}),
    "more free than there is": offering({"free": 2}),
    "one time twice": offering({}, {"minutes": 20}),
    "no slots": offering({"capacity": 0}),
    "not JSON": always(Response(b"<html>")),
    "without an end": always(Response(b"[" * 300_000)),
    "somewhere else": always(RedirectResponse("http://127.0.0.1:1/")),
    "not allowed": always(Response(status_code=403)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_what_cannot_be_so_is_refused(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock, lie: Any
) -> None:
    """The next candidate has the patient, and whatever the receiver booked is given back."""
    other.offers(ONE)
    other.answers = lie
    await process.settles(requested(1, "R1", "S1"))
    await settle_down(process, http, clock)
    assert [("S1", ONE, [("R1", "its diary answered wrongly")])] == [said(one) for one in await process.put_out()]
    assert {} == other.alive
    assert [] == await faults(process)


async def test_an_answer_that_is_lost_after_it_booked_is_asked_for_by_its_key(
    process: Booking, http: HttpReceivers, other: Receiver
) -> None:
    """One booking, one outcome."""
    other.offers(ONE, ONE + HOUR)
    other.loses = 1
    await process.settles(requested(1, "R1"))
    await ask(process, http)
    assert [("R1", ONE, [])] == [said(one) for one in await process.put_out()]
    assert (1, 1) == (len(other.alive), other.asked("PUT"))
    assert [] == await faults(process)


async def test_what_is_unknown_at_the_deadline_is_given_back(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """It booked and said nothing more: the next candidate has the patient, and the booking is given back once the
    receiver answers again."""
    other.offers(ONE)
    other.answers = lambda method, honest: honest if other.asked("PUT") == 0 else Response(status_code=502)
    await process.settles(requested(1, "R1", "S1"))
    await ask(process, http)
    assert [("S1", ONE, [("R1", "its diary did not answer")])] == [said(one) for one in await process.put_out()]
    assert 0 < len(other.alive) + len(await process.rows("select from elsewhere where state = 'undoing'"))
    other.answers = None
    await settle_down(process, http, clock)
    assert {} == other.alive
    assert [("undone",)] == await process.rows("select state from elsewhere")
    assert [] == await faults(process)


async def test_a_booking_that_takes_effect_after_it_was_given_back_is_given_back_again(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """A slow receiver acts on a call whose caller has gone, and on the cancelling before it."""
    other.offers(ONE)
    other.deaf_until = asyncio.Event()
    await process.settles(requested(1, "R1", "S1"))
    await ask(process, http)
    assert (["DELETE"], {}) == ([method for method, _ in other.calls if method == "DELETE"][:1], other.alive)
    other.deaf_until.set()
    await other.caught_up()
    assert 1 == len(other.alive)
    await settle_down(process, http, clock)
    assert {} == other.alive
    assert [("S1", ONE, [("R1", "its diary did not answer")])] == [said(one) for one in await process.put_out()]


class Killed(Exception):
    """The process dies here."""


class Dying(HttpReceivers):
    """Calls of a process that dies once it has booked."""

    async def book(self, address: str, wanted: Wanted) -> str | None:
        """Its last."""
        await super().book(address, wanted)
        raise Killed


async def die_asking(process: Booking) -> None:
    """Take what is due, book it, and say nothing of it to anybody."""
    dying = Dying(QUICK.receiver_call_seconds)
    with pytest.raises(ExceptionGroup):
        await ask(process, dying)
    await dying.aclose()


async def test_who_takes_over_from_a_dead_process_asks_by_its_key(
    process: Booking, database: str, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """Not before its lease has run out; one booking, under the key that was stored before."""
    other.offers(ONE, ONE + HOUR)
    await process.settles(requested(1, "R1"))
    await die_asking(process)
    async with booking(database, clock, own=QUICK) as next_one:
        await ask(next_one, http)
        assert [] == await next_one.put_out()
        clock.now += timedelta(seconds=30)
        await ask(next_one, http)
        assert [("R1", ONE, [])] == [said(one) for one in await next_one.put_out()]
        assert (1, 1) == (len(other.alive), other.asked("PUT"))
        assert [] == await faults(next_one)


@pytest.mark.parametrize("over", ["time", "cancelled"])
async def test_what_a_dead_process_booked_is_given_back_where_nobody_may_have_it_any_more(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock, over: str
) -> None:
    """Past its time to be acted on, or cancelled meanwhile: exhausted, once, and nothing is held."""
    other.offers(ONE)
    request = requested(1, "R1", "S1")
    await process.settles(request)
    await die_asking(process)
    assert 1 == len(other.alive)
    if over == "cancelled":
        await process.waiting.forget([cancelled(request, was="placed")])
    clock.now += timedelta(seconds=30) if over == "cancelled" else HOUR
    await settle_down(process, http, clock)
    [outcome] = await process.put_out()
    assert ("no longer wanted" if over == "cancelled" else "past answer_by") == outcome.data.why
    assert {} == other.alive
    assert [] == await faults(process)


async def test_who_is_overtaken_gives_back_what_it_booked_late(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """A process freezes amid its call; another gives the placement up and the receiver confirms that nothing is there.
    Thawed, the first one's booking is given back too, and nothing is told twice."""
    other.offers(ONE)
    await process.settles(requested(1, "R1", "S1"))
    [asked] = (await process.leases.take()).asked
    wanted = await process.asking.choose(asked, await http.offers(other.address, "R1", NOON, ONE), None)
    assert wanted is not None
    clock.now += HOUR
    await settle_down(process, http, clock)
    assert [("undone",)] == await process.rows("select state from elsewhere")
    await http.book(other.address, wanted)
    await process.asking.finish([(asked, NotGot("its diary did not answer", wanted))])
    await settle_down(process, http, clock)
    assert {} == other.alive
    assert ["past answer_by"] == [one.data.why for one in await process.put_out()]
    assert [] == await faults(process)


async def test_a_slot_of_one_is_not_taken_for_two_of_our_patients(
    process: Booking, http: HttpReceivers, other: Receiver
) -> None:
    """A receiver that gives one slot to everyone who asks: we know whom we have in it."""
    other.offers(ONE)
    other.double_books = True
    await process.settles(requested(1, "R1"), requested(2, "R1"), requested(3, "R1"))
    await ask(process, http)
    outcomes = await process.put_out()
    assert (1, 2) == (len(confirmed(outcomes)), len(exhausted(outcomes)))
    assert 1 == other.taken(ONE) == len(other.alive)
    assert [] == await faults(process)


async def test_one_slot_is_not_asked_for_twice_at_once(process: Booking, http: HttpReceivers, other: Receiver) -> None:
    """Two who ask at one time choose different slots, and nobody is refused."""
    other.offers(ONE, ONE + HOUR)
    await process.settles(requested(1, "R1"), requested(2, "R1"))
    await ask(process, http)
    assert [("R1", ONE, []), ("R1", ONE + HOUR, [])] == sorted(map(said, await process.put_out()))
    assert 2 == other.asked("PUT")


async def test_what_is_withdrawn_is_given_back_at_the_receiver(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """It is told as released at once, and the receiver is asked until it answers, once it is asked again."""
    other.offers(ONE)
    await process.settles(requested(1, "R1"))
    await ask(process, http)
    [outcome] = confirmed(await process.put_out())
    other.away = True
    first, again = withdrawn(outcome), withdrawn(outcome, "outcome given")
    [released] = await process.releases_of(first)
    assert (outcome.data.reference, ONE) == (released.data.reference, released.data.starts_at)
    await ask(process, http)
    assert 1 == len(other.alive)
    other.away = False
    await settle_down(process, http, clock)
    assert {} == other.alive
    assert [released] == await process.releases_of(again)
    assert [] == await faults(process)


async def test_a_service_that_takes_nobody_there_any_more_displaces_its_patients(
    process: Booking, http: HttpReceivers, other: Receiver
) -> None:
    """Delisted, or with a diary of ours from now on: each is told once, and keeps the slot until it is withdrawn."""
    other.offers(ONE)
    await process.settles(requested(1, "R1"))
    await ask(process, http)
    await process.lists(other.lists(active=False), version=2)
    await process.lists(service("R1", session("13:00", "13:30")), version=3)
    told = [one for one in await process.put_out() if one.type == "booking.displaced"]
    assert [("R1", ONE)] == [(one.data.service_id, one.data.starts_at) for one in told]
    assert 1 == len(other.alive)
    await process.settles(requested(2, "R1"))
    assert [] == await faults(process)


async def test_a_slow_receiver_holds_nobody_else_up(database: str, clock: Clock, other: Receiver) -> None:
    """Only so many ask it at once, over all replicas; who asks another is answered meanwhile."""
    other.waits = asyncio.Event()
    other.offers(ONE, capacity=9)
    patient = BookingSettings(receiver_call_seconds=25, receiver_ask_seconds=25, receiver_at_once=2)
    async with (
        receiver() as quick,
        booking(database, clock, own=patient) as process,
        booking(database, clock, own=patient) as replica,
        aclosing(HttpReceivers(patient.receiver_call_seconds)) as http,
    ):
        quick.offers(ONE, capacity=9)
        await process.lists(other.lists(), quick.lists("Q1"))
        await process.settles(*(requested(number, "R1") for number in range(1, 7)))
        await process.settles(*(requested(number, "Q1") for number in range(11, 17)))
        asking = [asyncio.create_task(Askers(one.asking, one.leases, http).work()) for one in (process, replica)]

        async def told(number: int) -> bool:
            return len(await process.put_out()) == number and other.at_once == (2 if number == 6 else 0)

        await until(partial(told, 6))
        assert {"Q1"} == {one.data.service.service_id for one in confirmed(await process.put_out())}
        other.waits.set()
        await until(partial(told, 12))
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert (2, 12) == (other.most_at_once, len(confirmed(await process.put_out())))
        assert [] == await faults(process)


async def test_a_receiver_that_fails_is_left_alone_for_a_while(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """After some failures in a row nobody asks it, and its patients go on at once; then one tries, for all."""
    other.offers(ONE, capacity=9)
    other.away = True
    await process.settles(requested(1, "R1", "S1"), requested(2, "R1"))
    await ask(process, http)
    calls = len(other.calls)
    [outcome] = await process.settles(requested(3, "R1"))
    assert ("none could take the patient", [("R1", "its diary did not answer")]) == said(outcome)
    assert (0.0, 1) == (
        (await process.leases.count())[0],
        len(await process.rows("select from receivers where left_alone_until > $1", NOON)),
    )
    assert calls == len(other.calls)
    other.away = False
    clock.now += timedelta(seconds=40)
    await process.settles(requested(4, "R1"), requested(5, "R1"), requested(6, "R1"))
    taken = await process.leases.take()
    assert 1 == len(taken.asked)
    clock.now += timedelta(seconds=10)
    await ask(process, http)
    assert [4, 5, 6] == sorted(one.data.brief.placement_id.int for one in confirmed(await process.put_out()))[-3:]
    assert [] == await process.rows("select from receivers where failures > 0")


async def test_who_stands_in_line_for_too_long_goes_on(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """The receiver is not called for them."""
    await process.settles(requested(1, "R1", "S1"))
    clock.now += timedelta(seconds=20)
    await ask(process, http)
    assert [("S1", ONE, [("R1", "its diary did not answer")])] == [said(one) for one in await process.put_out()]
    assert [] == other.calls


async def test_no_address_is_called_that_is_not_listed_any_more(
    process: Booking, http: HttpReceivers, other: Receiver
) -> None:
    """Who was to ask there goes on."""
    other.offers(ONE)
    await process.settles(requested(1, "R1", "S1"))
    await process.lists(other.lists(active=False), version=2)
    await ask(process, http)
    assert [("S1", ONE, [("R1", "not active")])] == [said(one) for one in await process.put_out()]
    assert [] == other.calls


async def test_who_waits_asks_again_now_and_then(
    process: Booking, http: HttpReceivers, other: Receiver, clock: Clock
) -> None:
    """Nobody tells when a place comes free there. Who finds none waits on, for a place here too."""
    [first] = await process.settles(requested(9, "S1"))
    late = NOON + 5 * HOUR
    await process.settles(requested(1, "S1", "R1", wait_until=late), requested(2, "R1", wait_until=late))
    await ask(process, http)
    assert (0, []) == (await process.asking.ask_again(), await process.put_out())
    clock.now += 6 * MINUTE
    assert (2, 0) == (await process.asking.ask_again(), await process.asking.ask_again())
    await ask(process, http)
    assert [(UUID(int=1),), (UUID(int=2),)] == await process.rows("select placement_id from waiting order by 1")
    other.offers(ONE)
    clock.now += 6 * MINUTE
    await process.asking.ask_again()
    await ask(process, http)
    [outcome] = confirmed(await process.put_out())
    assert (NOON + HOUR, 1) == (outcome.data.starts_at, len(await process.rows("select from waiting")))
    await process.releases_of(withdrawn(first))
    # What came free here is for the one of them who would go there, if it is she who waits on.
    assert (2 if outcome.data.brief.placement_id.int == 2 else 1) == len(confirmed(await process.put_out()))
    assert [] == await faults(process)


async def test_the_wait_of_a_cancelled_referral_that_asks_just_now_ends(
    process: Booking, http: HttpReceivers, other: Receiver
) -> None:
    """What it is given is given back."""
    other.offers(ONE)
    request = requested(1, "R1", wait_until=NOON + 5 * HOUR)
    await process.settles(request)
    await process.waiting.forget([cancelled(request)])
    await ask(process, http)
    assert [("no longer wanted", [])] == [said(one) for one in await process.put_out()]
    assert {} == other.alive
    assert [] == await faults(process)


def moody(chance: random.Random) -> Callable[[str, Any], Any]:
    """A receiver that answers as it likes, after it did what it was asked."""

    def answer(method: str, honest: Any) -> Any:
        mood = chance.random()
        if mood < 0.1:
            return Response(status_code=502)
        if mood < 0.15:
            return Response(b"{}")
        return booked_as(key=str(uuid4()))(method, honest) if mood < 0.2 else honest

    return answer


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_receivers_do_each_placement_ends_once_and_nothing_is_held_for_nobody(
    process: Booking, database: str, http: HttpReceivers, other: Receiver, clock: Clock, seed: int
) -> None:
    """Two replicas, a moody receiver, one that double-books, one that refuses; cancellations and withdrawals amid it.
    The books of the receivers are ours in the end: one booking for each confirmed placement, none for the others."""
    chance = random.Random(seed)
    placements = range(1, 41)
    async with receiver() as twice, receiver() as full, booking(database, clock, own=QUICK) as replica:
        for one in (other, twice):
            one.offers(*(ONE + number * 30 * MINUTE for number in range(3)), capacity=4)
            one.answers = moody(chance)
        twice.double_books = True
        full.offers(ONE, capacity=1)
        full.refuses = 3
        await process.lists(twice.lists("R2"), full.lists("R3"))
        requests = [requested(number, *chance.sample(["R1", "R2", "R3", "S1"], 3)) for number in placements]
        given_up = chance.sample(requests, 8)

        async def settle() -> None:
            for begin in range(0, len(requests), 10):
                await process.settles(*requests[begin : begin + 10])

        async def cancel() -> None:
            for request in given_up:
                await replica.waiting.forget([cancelled(request, was="placed")])
                outcomes = confirmed(await process.put_out())
                if outcomes:
                    await replica.releases_of(withdrawn(chance.choice(outcomes)))

        await asyncio.gather(settle(), ask(process, http), ask(replica, http), cancel())
        for one in (other, twice):
            one.answers = None
        await settle_down(process, http, clock)

        told = {one.data.brief.placement_id.int for one in await process.put_out()}
        stored = await process.rows("select placement_id, told is not null from placements")
        assert [(UUID(int=number), True) for number in placements] == sorted(stored)
        assert told <= set(placements)
        held = await process.rows("select elsewhere from bookings where elsewhere is not null and released_at is null")
        alive = [key for one in (other, twice, full) for key in one.alive]
        assert sorted(key for (key,) in held) == sorted(alive)
        for one in (other, twice, full):
            assert all(one.taken(starts) <= capacity for starts, capacity in one.capacity.items())
        assert [] == await faults(process)
