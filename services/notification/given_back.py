"""A place that is given back before its outcome was told: whoever was not told of it yet is never told.

Outcomes and what becomes of them afterwards are read from two topics, each at its own pace. A patient must not hear
"your appointment is arranged" after "it is cancelled". So what is given back takes the ids of the messages that its
confirmation would make: they count as stored, and are sent to nobody. What was stored before stays as it was.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from contracts.bookings import BookingConfirmed
from contracts.envelope import effect_id
from contracts.notifications import Audience, NotificationSent
from services.chassis.database import Database
from services.notification.facts import Fact, WithdrawnBooking, place_left
from services.notification.messages import Message, message
from services.notification.templates import render

_WAY = ("referral.triaged", "booking.requested", BookingConfirmed.TYPE)
"""From a submission to its confirmation: each is the one effect of the one before, so its id follows."""

FORESTALL = """
-- Take the place of messages that are not stored yet: refused from the start, in no batch, and without a text.
-- Ids come sorted, as where messages are added.
insert into messages (id, cause, correlation, placement, referral, reason, referrer, audience, channel, organisation,
    address, template, text, made_at, why)
select id, cause, placement, placement, referral, 'booking.confirmed', referrer, audience,
    case when audience = 'patient' then 'sms' else 'system' end, organisation,
    case when audience = 'patient' then '' end, '', '', $1, 'given back before it was told'
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[])
    as came (id, cause, placement, referral, referrer, audience, organisation)
on conflict (id) do nothing
"""

TOLD = """
-- Of these messages those that say something.
select id, referrer, audience, channel, organisation, address from messages where id = any($1::uuid[]) and text <> ''
"""


class Untold(NamedTuple):
    """A message of a confirmation whose place is given back."""

    id: UUID
    cause: UUID
    placement: UUID
    referral: str
    referrer: str
    audience: Audience
    organisation: str | None


def untold_of(fact: Fact) -> list[Untold]:
    """The messages that are told to nobody any more, where the place of a first placement is left."""
    place = place_left(fact)
    if place is None or not _is_first(place.placement_id):
        return []
    standing, cause = fact.data.standing, place.placement_id
    for type_ in _WAY:
        cause = effect_id(cause, type_)
    recipients: list[tuple[Audience, str | None]] = [
        ("service", place.service.organisation),
        ("referrer", standing.desk.organisation),
        ("patient", None),
    ]
    return [
        _untold(cause, place.placement_id, fact.subject, standing.referrer.organisation, audience, organisation)
        for audience, organisation in recipients
    ]


def _is_first(placement: UUID) -> bool:
    # The first has the id of a submission, which the gateway draws; a further one that of an effect.
    return placement.version != 5


def _untold(
    cause: UUID, placement: UUID, referral: str, referrer: str, audience: Audience, organisation: str | None
) -> Untold:
    recipient = f"{audience}/{organisation or ''}/{BookingConfirmed.TYPE}"
    id_ = effect_id(cause, NotificationSent.TYPE, recipient)
    return Untold(id_, cause, placement, referral, referrer, audience, organisation)


class GivenBack:
    """Places that are given back, in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forestall(self, untold: Sequence[Untold], at: datetime) -> None:
        """Let these be told to nobody, unless they are stored already."""
        if untold:
            ordered = sorted(untold, key=lambda one: one.id.int)
            await self._database.pool.execute(FORESTALL, at, *zip(*ordered, strict=True))

    async def corrections(self, withdrawn: Sequence[WithdrawnBooking], at: datetime) -> list[Message]:
        """What those must hear who were told of a place that nobody wanted any more when it was found.

        No other fact tells of it. Who has not heard of it yet never does.
        """
        untold = {
            one.id: (one, fact)
            for fact in withdrawn
            # Of a further placement nobody was told.
            if fact.data.why == "placement closed" and fact.correlationid == fact.data.placement_id
            for one in (_untold_there(fact, "service"), _untold_there(fact, "patient"))
        }
        if not untold:
            return []
        await self.forestall([one for one, _ in untold.values()], at)
        rows = await self._database.pool.fetch(TOLD, list(untold))
        return [correction for row in rows for correction in _corrections(untold[row["id"]][1], row)]


def _untold_there(fact: WithdrawnBooking, audience: Audience) -> Untold:
    organisation = None if audience == "patient" else fact.data.organisation
    return _untold(fact.causationid, fact.data.placement_id, fact.subject, "", audience, organisation)


def _corrections(fact: WithdrawnBooking, told: Any) -> Iterator[Message]:
    """For whoever was told, and with the service for the desk that took the referral back."""
    if told["audience"] == "patient":
        yield _correction(fact, told, "patient", "cancelled-at-once", None)
        return
    yield _correction(fact, told, "former_service", "not-expected", told["organisation"])
    yield _correction(fact, told, "referrer", "given-back", told["referrer"])


def _correction(
    fact: WithdrawnBooking, told: Any, audience: Audience, occasion: str, organisation: str | None
) -> Message:
    template = f"{audience}.{occasion}.v1"
    text = render(template, {"reference": fact.data.reference, "referral": fact.subject})
    placement, referrer = fact.data.placement_id, told["referrer"]
    return message(fact, placement, referrer, audience, told["channel"], organisation, told["address"], template, text)
