"""`python -m loadtests.guard [--write]`: what the pure part of each step costs a referral, without looking at a clock.

Two figures a step, of a fixed batch. *Calls* are the functions that Python enters, its own and C's: the same in every
run, and they see what our code does. *Times the floor* is the CPU time beside that of a bare loop in the same run,
which parses the same JSON, walks over it and writes it again; step and loop take turns every few milliseconds, so both
meet the same machine, and the median of their ratios is kept. It sees what compiled code does in one call.

A step that needs a quarter more than is written down in `guard.json` fails `tests/unit/test_load_guard.py`. After a
change that makes one cheaper, or dearer for a good reason, `--write` writes the figures anew.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from uuid import UUID

from pydantic_core import from_json, to_json

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from contracts.people import Desk, Referrer
from contracts.placements import BookingRequested
from contracts.submissions import ReferralSubmitted
from contracts.triage import ReferralTriaged
from loadtests import material
from loadtests.material import EventTemplate
from loadtests.peers.ground import Book, Ended
from loadtests.scenario import Constant, Load, Timing
from services.booking.diary import Asks, Diary, Given, allocate
from services.booking.outcome import outcome_of
from services.chassis.lean import lean
from services.notification.messages import messages_of, sent_json
from services.notification.outcomes import Confirmed, Exhausted
from services.triage.handlers import triage

BATCH = 60
NOW = datetime(2026, 3, 3, 14, tzinfo=UTC)
"""Always the same moment: what is open decides how much there is to search."""

WRITTEN = Path(__file__).with_name("guard.json")
MORE = 1.25
"""A step that costs so many times what is written down is a loss."""

PAIRS = 60
SLICE_SECONDS = 0.004
"""So long each turn is, at least: longer than a clock tick, shorter than a scheduler's."""

AROUND = Load(
    name="guard", kind="event", where="Nottingham", schedule=Timing(constant=Constant(per_second=1.0, seconds=1.0))
)
Work = Callable[[], object]
T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What a step costs a referral."""

    calls: float
    times_the_floor: float

    def loss_beside(self, written: "Cost") -> str | None:
        """What is a loss beside the figures that are written down, if anything is."""
        losses = []
        if self.calls > written.calls * MORE:
            losses.append(f"{self.calls:.0f} calls a referral, {written.calls:.0f} are written down")
        if self.times_the_floor > written.times_the_floor * MORE:
            losses.append(f"{self.times_the_floor:.2f} times the floor, {written.times_the_floor:.2f} are written down")
        return "; ".join(losses) or None


@dataclass(frozen=True)
class Step:
    """The pure part of a step, over the whole batch: decode, decide, encode; and the records that it works on."""

    work: Work
    values: Sequence[bytes]

    def floor(self) -> object:
        """The bare loop over the same records."""
        return [to_json(document) for value in self.values if walk(document := from_json(value)) >= 0]


def walk(document: Any) -> int:
    """How many texts a document holds."""
    if isinstance(document, dict):
        return sum(walk(part) for part in document.values())
    if isinstance(document, list):
        return sum(walk(part) for part in document)
    return isinstance(document, str)


def steps() -> dict[str, Step]:
    """The steps, each on what the one before tells of the same patients."""
    book, now = Book.shipped(room=1000), NOW

    def clock() -> datetime:
        return now

    submitted = submissions(now)
    triaged = told(finished(triage(read(ReferralSubmitted, submitted), rules=book.rules, clock=clock)))
    requested = told(finished(book.ranked(read(ReferralTriaged, triaged), clock)))
    outcomes = ended(read(BookingRequested, requested), now)

    def deciding() -> object:
        return told(finished(triage(read(ReferralSubmitted, submitted), rules=book.rules, clock=clock)))

    def searching() -> object:
        return told(finished(book.ranked(read(ReferralTriaged, triaged), clock)))

    def settling() -> object:
        return told(ended(read(BookingRequested, requested), now))

    def telling() -> object:
        return [sent_json(message, now) for one in map(outcome_read, told(outcomes)) for message in messages_of(one)]

    return {
        "triage": Step(deciding, submitted),
        "pathways": Step(searching, triaged),
        "booking": Step(settling, requested),
        "notification": Step(telling, told(outcomes)),
    }


def submissions(now: datetime) -> list[bytes]:
    """The batch: as the gateway tells it, always of the same patients."""
    referrer = Referrer(organisation="ONW01", practitioner="guard", role="paramedic")
    desk = Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960000")
    return [
        EventTemplate(one.submission, referrer, desk, now).told(UUID(int=2 * number), UUID(int=2 * number + 1), now)
        for number, one in enumerate(material.incidents(AROUND, 1, BATCH, now), 1)
    ]


def read(contract: type[Any], values: Sequence[bytes]) -> list[Any]:
    """Decode, as the services do."""
    stand_in = lean(contract)
    return [stand_in.read(value) for value in values]


def told(events: Sequence[Event]) -> list[bytes]:
    """Encode."""
    return [event.to_json() for event in events]


def ended(requests: Sequence[BookingRequested], now: datetime) -> list[Ended]:
    """Booking's decisions and what is told of them, with a free slot in every diary."""
    diaries: dict[str, Diary] = {}
    for request in requests:
        for candidate in request.data.candidates:
            if candidate.service_id not in diaries:
                diary = Diary(candidate.service_id, candidate.booking, True, candidate.accept_within_minutes)
                diary.add(now + timedelta(minutes=10), 15, BATCH)
                diaries[candidate.service_id] = diary
    found: list[Any] = []
    for number, (request, decision) in enumerate(zip(requests, allocate(requests, diaries, now), strict=True)):
        assert not isinstance(decision, Asks)
        reference = str(100_000_000_000 + number) if isinstance(decision, Given) else ""
        found.append(outcome_of(request, decision, reference=reference, now=now))
    return found


def outcome_read(value: bytes) -> Confirmed | Exhausted:
    """An outcome as notification reads it."""
    confirmed = f'"type":"{BookingConfirmed.TYPE}"'.encode() in value
    assert confirmed or BookingExhausted.TYPE.encode() in value
    return lean(Confirmed).read(value) if confirmed else lean(Exhausted).read(value)


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a handler gives that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        given: T = stop.value
        return given
    raise AssertionError("a pure step waited for something")


def calls(work: Work) -> int:
    """How many functions are entered."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    work()  # what is cached is
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


def times_the_floor(step: Step) -> float:
    """CPU time beside that of the bare loop: the median over turns that follow each other."""
    rounds = _rounds(step.work), _rounds(step.floor)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        ratios = [_turn(step.work, rounds[0]) / _turn(step.floor, rounds[1]) for _ in range(PAIRS)]
    finally:
        if collecting:
            gc.enable()
    return median(ratios)


def _rounds(work: Work) -> int:
    """How often something fits into a turn."""
    took = min(_turn(work, 1) for _ in range(5))
    return max(1, round(SLICE_SECONDS / took))


def _turn(work: Work, rounds: int) -> float:
    began = time.thread_time()
    for _ in range(rounds):
        work()
    return (time.thread_time() - began) / rounds


def cost(step: Step) -> Cost:
    """Both figures of a step."""
    return Cost(round(calls(step.work) / len(step.values), 1), round(times_the_floor(step), 2))


def written() -> Mapping[str, Cost]:
    """The figures that are written down."""
    return {name: Cost(**figures) for name, figures in json.loads(WRITTEN.read_text()).items()}


def main() -> None:
    """Print the figures of each step; write them down where that is asked for."""
    arguments = argparse.ArgumentParser(prog="python -m loadtests.guard", description=__doc__)
    arguments.add_argument("--write", action="store_true", help="write the figures down as those to be held to")
    found = {name: vars(cost(step)) for name, step in steps().items()}
    print(json.dumps(found, indent=1))
    if arguments.parse_args().write:
        WRITTEN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
