"""Dead letters by themselves: what is in one, which way a record goes that is sent again, and what a bug does then."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from contracts.directory import CapacityReported, DeskListed
from contracts.envelope import Event
from services.chassis.dead_letter_steps import DeadLetterStep, ReplayStep
from services.chassis.dead_letters import DeadLetter, Death, dead_letter_in
from services.chassis.decoding import Record
from services.chassis.failures import Poison
from services.chassis.step import Breaker, Handler, Step
from tests.chassis_examples import desk, effect, tell_effects
from tests.recording import RecordingGraveyard, RecordingPublisher, record_of

Headers = Sequence[tuple[str, bytes | None]]
AT = datetime(2031, 3, 4, 3, 0, tzinfo=UTC)


def raw(headers: Headers, value: bytes | None = b"junk", key: bytes | None = b"RX1") -> ConsumerRecord:
    """A record of booking's dead letters, as aiokafka hands it over."""
    at = int(AT.timestamp() * 1000)
    return ConsumerRecord("t-booking.dlq", 0, 7, at, 1, key, value, None, 0, 0, tuple(headers))


def buried(*deaths: Death) -> Headers:
    """The headers that deaths leave."""
    return [
        header
        for death in deaths
        for header in (("dead-because", death.why.encode()), ("dead-origin", death.origin.encode()))
    ]


# What is in one


def test_a_dead_letter_has_the_records_own_headers_and_its_deaths() -> None:
    """Apart, and in order: the first death says which topic it came on."""
    own: Headers = [("type", b"desk.listed"), ("type", None), ("odd", b"\xff")]
    deaths = (Death("not JSON", "t-desks/3/9"), Death("again", "t-booking.replay/0/0"))
    letter = dead_letter_in(raw([*own, *buried(*deaths)]), "booking")
    assert DeadLetter("booking", AT, b"RX1", b"junk", tuple(own), deaths) == letter
    assert "t-desks" == letter.topic


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("dead-because", None), ("dead-origin", None)),
        (("dead-origin", b"\xff\x00/"),),
        (("dead-because", b"x" * 3000), ("dead-because", b"y")),
    ],
)
def test_whatever_is_on_the_topic_is_taken(headers: Headers) -> None:
    """Reading a dead letter never fails, so it never makes another one."""
    letter = dead_letter_in(raw(headers, value=None, key=None), "booking")
    assert (None, None) == (letter.key, letter.value)
    assert all("\0" not in death.why + death.origin for death in letter.deaths)


# Sent again


class Again:
    """A replay step over a step for desks, with what they told and buried."""

    def __init__(self, handler: Handler = tell_effects) -> None:
        self.publisher, self.graveyard, self.breaker = RecordingPublisher(), RecordingGraveyard(), Breaker()
        shared: dict[str, Any] = {
            "reader": "booking",
            "publisher": self.publisher,
            "graveyard": self.graveyard,
            "breaker": self.breaker,
        }
        desks = Step(topic="desks", types=[DeskListed], handler=handler, **shared)
        self.step = ReplayStep({"t-desks": desks}, **shared)

    async def consume(self, *records: Record) -> None:
        """As FastStream does it, whose handler is the replay step's own."""
        await self.step.consume(records, self.step.handler)


def sent_again(event: Event, offset: int, topic: str = "t-desks") -> Record:
    """The record of an event that died on a topic and was sent again."""
    whole = record_of(event)
    headers = (*whole.headers, *buried(Death("why", f"{topic}/0/5")))
    return Record("t-booking.replay", 0, offset, whole.key, whole.value, headers)


async def test_a_record_that_is_sent_again_goes_the_way_of_its_first_topic() -> None:
    """To the handler that reads that topic, and what follows is told."""
    event = desk()
    again = Again()
    await again.consume(sent_again(event, 0))
    assert [effect(event).id] == [one.id for one in again.publisher.told]
    assert [] == again.graveyard.dead


async def test_what_fails_again_is_a_new_dead_letter_with_its_history() -> None:
    """The record is buried as it came, its earlier deaths in its headers; what stands beside it is told."""
    bad, good = desk(), desk()

    async def handler(events: Sequence[DeskListed]) -> list[CapacityReported]:
        for event in events:
            if event.id == bad.id:
                raise Poison(bad.id, "still no such service")
        return await tell_effects(events)

    again = Again(handler)
    record = sent_again(bad, 0)
    await again.consume(record, sent_again(good, 1))
    assert [(record, "still no such service")] == again.graveyard.dead
    assert [effect(good).id] == [one.id for one in again.publisher.told]


async def test_what_meets_a_bug_again_is_buried_again() -> None:
    """As on the topic that it came on: three times alone."""

    async def handler(_: Sequence[DeskListed]) -> list[CapacityReported]:
        raise KeyError

    again = Again(handler)
    await again.consume(sent_again(desk(), 0))
    ((_, why),) = again.graveyard.dead
    assert why.startswith("a bug, 3 times alone: KeyError")


@pytest.mark.parametrize("topic", ["t-triage", "", "desks"])
async def test_what_the_reader_never_read_is_buried(topic: str) -> None:
    """A record of another reader's topic does nothing here, and does not go in silence."""
    again = Again()
    await again.consume(sent_again(desk(), 0, topic))
    assert [] == again.publisher.told
    assert ["sent again to booking, which never read it"] == [why for _, why in again.graveyard.dead]


# Reading them


async def test_a_bug_over_dead_letters_stops_the_service_and_makes_no_dead_letter() -> None:
    """Else one would make the next for ever."""

    async def handler(_: Sequence[DeadLetter]) -> list[Event]:
        raise KeyError

    graveyard, breaker = RecordingGraveyard(), Breaker()
    step = DeadLetterStep(
        {"t-booking.dlq": "booking"},
        handler=handler,
        reader="referrals",
        publisher=RecordingPublisher(),
        graveyard=graveyard,
        breaker=breaker,
    )
    await step.consume([raw(())], handler)
    assert [] == graveyard.dead
    assert "referrals failed on dead-letters: KeyError" in str(breaker.reason)
