"""What becomes of a referral beside what was told of its first place, in either order: on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.bookings import BookingConfirmed
from contracts.envelope import Event
from services.chassis.database import Database
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.notification.facts import WithdrawnBooking
from services.notification.given_back import GivenBack
from services.notification.handlers import tell, tell_on
from services.notification.service import MIGRATIONS
from services.notification.store import Messages
from tests.contracts.golden_examples import VALID_BY_NAME
from tests.notification_examples import NOON
from tests.notification_facts import VIEWS, every_fact, withdrawn_booking

pytestmark = pytest.mark.backing

CONFIRMED = VALID_BY_NAME["booking.confirmed/low-risk-chest-pain"].read()
MOVED = VIEWS["referral.rebooked"].read(VALID_BY_NAME["referral.rebooked/low-risk-chest-pain-displaced"].value)
"""The session of its slot is withdrawn: the patient, who is told by email, has another slot."""
FURTHER = VALID_BY_NAME["booking.confirmed/low-risk-chest-pain-displaced"].read()


class Notification:
    """Notification without Kafka and without a provider, as far as these tests need it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.messages = Messages(database, largest=1000)
        self.given_back = GivenBack(database)

    async def hear(self, *outcomes: Event) -> None:
        """Read from the topic of bookings."""
        await tell(outcomes, messages=self.messages, clock=lambda: NOON, wake=lambda: None)  # type: ignore[arg-type]

    async def hear_on(self, *facts: Any) -> None:
        """Read from the topic of referrals."""
        await tell_on(facts, messages=self.messages, given_back=self.given_back, clock=lambda: NOON, wake=lambda: None)

    async def due(self) -> list[tuple[str, str]]:
        """What will be told: about which fact, to whom."""
        return await self._in("due")

    async def never(self) -> list[tuple[str, str]]:
        """What never will be."""
        return await self._in("refused")

    async def _in(self, state: str) -> list[tuple[str, str]]:
        rows = await self.database.pool.fetch(
            "select reason, audience from messages_as_they_stand where state = $1 order by 1, 2", state
        )
        return [(row["reason"], row["audience"]) for row in rows]


@pytest.fixture
async def notification(database: str) -> AsyncIterator[Notification]:
    """On an empty database."""
    settings = Settings(kafka=Kafka("127.0.0.1:9"), database_url=database, keys_file=Path("keys.json"))
    own = Database(settings, "notification", *MIGRATIONS)
    await asyncio.to_thread(own.migrate)
    await own.start()
    yield Notification(own)
    await own.stop()


def told(reason: str, *audiences: str) -> list[tuple[str, str]]:
    """These, each about this."""
    return [(reason, audience) for audience in audiences]


OF_THE_FIRST = told("booking.confirmed", "patient", "referrer", "service")
OF_THE_NEXT = told("referral.rebooked", "former_service", "patient", "referrer", "service")
CLOSED = withdrawn_booking(CONFIRMED)
OF_CLOSED = told("booking.withdrawn", "former_service", "patient", "referrer")


async def test_who_was_told_of_a_place_is_told_that_it_is_no_more(notification: Notification) -> None:
    """In the order in which it was: first of the one place, then of the other."""
    await notification.hear(CONFIRMED)
    await notification.hear_on(MOVED)
    assert (OF_THE_FIRST + OF_THE_NEXT, []) == (await notification.due(), await notification.never())


async def test_a_place_that_is_given_back_before_it_was_told_is_told_to_nobody(notification: Notification) -> None:
    """A patient who has the new time does not hear the old one afterwards, however late it is read."""
    await notification.hear_on(MOVED)
    await notification.hear(CONFIRMED)
    assert (OF_THE_NEXT, OF_THE_FIRST) == (await notification.due(), await notification.never())


async def test_what_comes_of_a_further_placement_is_told_once(notification: Notification) -> None:
    """By referrals, which knows both places; its outcome itself tells nobody."""
    await notification.hear(CONFIRMED, FURTHER)
    await notification.hear_on(MOVED, MOVED)
    await notification.hear_on(MOVED)
    assert OF_THE_FIRST + OF_THE_NEXT == await notification.due()


async def test_every_fact_is_stored_and_read_again(notification: Notification) -> None:
    """Whatever becomes of a referral has a row that the provider can be handed, also where no place is told of."""
    await notification.hear_on(*every_fact())
    async with notification.database.pool.acquire() as connection:
        due = await notification.messages.due(connection)  # type: ignore[arg-type]
    stored = [message for batch in due.values() for message in batch]
    assert (True, True, {"service", "former_service", "referrer", "patient"}) == (
        any(message.placement is None for message in stored),
        all(message.text for message in stored),
        {message.audience for message in stored},
    )


async def test_a_place_that_nobody_wanted_is_called_off_where_it_was_told(notification: Notification) -> None:
    """Cancelled while it was looked for: service, patient and desk hear that it is given back, each once."""
    await notification.hear(CONFIRMED)
    await notification.hear_on(CLOSED)
    await notification.hear_on(CLOSED)
    assert OF_THE_FIRST + OF_CLOSED == sorted(await notification.due())
    rows = await notification.database.pool.fetch(
        "select audience, organisation, address, text from messages where reason = 'booking.withdrawn' order by 1"
    )
    assert [
        (
            "former_service",
            "ONW02",
            None,
            "The patient of reference 400000000033 is not expected any more, and what was held is given back. "
            f"Referral {CONFIRMED.subject}.",
        ),
        (
            "patient",
            None,
            "sam@example.org",
            "What was arranged for you under reference 400000000033 is cancelled, and nobody expects you there. "
            "To ask about it, ring the number that you were given with it. In an emergency ring 999.",
        ),
        (
            "referrer",
            "ONW01",
            None,
            "A place was found for your patient after the referral had gone on. It is given back, and nobody is "
            f"expected there. Reference 400000000033, referral {CONFIRMED.subject}.",
        ),
    ] == [tuple(row) for row in rows]


async def test_a_place_that_nobody_wanted_is_not_told_afterwards(notification: Notification) -> None:
    """Called off before it was told: service and patient never hear of it."""
    await notification.hear_on(CLOSED)
    await notification.hear(CONFIRMED)
    await notification.hear_on(CLOSED)
    assert told("booking.confirmed", "referrer") == await notification.due()


@pytest.mark.parametrize(
    "withdrawn",
    [withdrawn_booking(CONFIRMED, why="cancelled"), withdrawn_booking(FURTHER)],
    ids=["told by another fact", "of a further placement"],
)
async def test_what_is_given_back_otherwise_is_told_by_what_became_of_it(
    notification: Notification, withdrawn: WithdrawnBooking
) -> None:
    """One who cancels, rejects or moves is told of by that; of a further placement nobody was told."""
    await notification.hear(CONFIRMED, FURTHER)
    await notification.hear_on(withdrawn)
    assert OF_THE_FIRST == await notification.due()


async def test_both_topics_at_once_agree(notification: Notification) -> None:
    """Read at the same time, each message of the first place is either told before it is called off, or never."""
    for _ in range(20):
        await notification.database.pool.execute("truncate messages")
        await asyncio.gather(notification.hear(CONFIRMED), notification.hear_on(CLOSED))
        due: Sequence[tuple[str, str]] = await notification.due()
        first = {audience for reason, audience in due if reason == "booking.confirmed"} - {"referrer"}
        off = {audience for reason, audience in due if reason == "booking.withdrawn"} - {"referrer"}
        assert {"service": "former_service", "patient": "patient"}.keys() >= first
        assert {"former_service" if one == "service" else one for one in first} == off


def test_the_examples_are_of_one_referral() -> None:
    """The place that is left is the one that was confirmed, under the id that follows from the submission's."""
    assert isinstance(CONFIRMED, BookingConfirmed)
    assert (CONFIRMED.data.reference, CONFIRMED.correlationid) == (
        MOVED.data.old.reference,  # type: ignore[union-attr]
        MOVED.data.old.placement_id,  # type: ignore[union-attr]
    )
