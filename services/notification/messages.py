"""Messages: who must hear of an outcome, by which channel, in which words; and the fact that one was taken."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.envelope import effect_id
from contracts.notifications import Audience, Channel, NotificationSent, NotificationSentData
from contracts.people import Contact
from services.chassis.lean import lean
from services.notification.outcomes import Confirmed, Envelope, Exhausted, Outcome
from services.notification.templates import in_words, render

SOURCE = "onward/notification"
_SCHEMA = NotificationSent.schema_address()
LeanSent, LeanSentData = lean(NotificationSent), lean(NotificationSentData)


class Message(NamedTuple):
    """One message for one recipient about one fact. A tuple, for thousands are made a second."""

    id: UUID
    """Made of fact, recipient and reason. Its `notification.sent` has the same, for that is told at most once."""
    cause: UUID
    """The fact's event id."""
    correlation: UUID
    placement: UUID | None
    """Of the place that it tells of."""
    referral: str
    traceparent: str | None
    reason: str
    """The fact's type."""
    referrer: str
    """The organisation that referred: it may read every message about its referral."""
    audience: Audience
    channel: Channel
    organisation: str | None
    """Whose inbox, on `system`; none for a patient."""
    address: str | None
    """The patient's number or email address; none on `system`."""
    template: str
    text: str


def messages_of(outcome: Outcome) -> list[Message]:
    """A message for each who must hear of this outcome.

    The receiving service and the owner's desk hear on their organisations' own channel. The patient hears where
    something was arranged, a channel is known, and they did not choose to hear nothing. What came of a further
    placement is told by referrals, which knows what became of the place before: nobody hears of it here.
    """
    if outcome.correlationid != outcome.data.brief.placement_id:
        return []
    return [_unplaced(outcome)] if outcome.type == "booking.exhausted" else _placed(outcome)


def _placed(outcome: Confirmed) -> list[Message]:
    data = outcome.data
    owner, service = data.owner, data.service
    told = {"reference": data.reference, "by": in_words(data.due)}
    # Named by what is known rather than by what the outcome is called: no template can lack its time.
    if data.starts_at is not None:
        occasion, told["when"] = "slot-held", in_words(data.starts_at)
    elif data.acceptance_due is not None:
        occasion, told["by"] = "place-held", in_words(data.acceptance_due)
    else:
        occasion = "delivered"
    inside = told | {"referral": outcome.subject, "service": service.name}
    if data.receiver_reference is not None:  # where it keeps its own diary, its team finds the slot by this
        inside["reference"] += f" ({data.receiver_reference} in the service's own diary)"
    to_service = inside | {"desk": owner.name, "telephone": owner.telephone}
    to_owner = inside | {"telephone": service.telephone}
    messages = [
        _message(outcome, "service", "system", service.organisation, None, occasion, to_service),
        _message(outcome, "referrer", "system", owner.organisation, None, occasion, to_owner),
    ]
    known = open_channel(data.brief.patient.contact)
    if known is not None:
        # The desk's telephone: a service's own would name it.
        to_patient = told | {"telephone": owner.telephone}
        messages.append(_message(outcome, "patient", known[0], None, known[1], occasion, to_patient))
    return messages


def _unplaced(outcome: Exhausted) -> Message:
    data = outcome.data
    told = {"why": data.why, "by": in_words(data.due), "referral": outcome.subject}
    occasion = "unplaced"
    if data.proposal is not None:
        occasion = "unplaced-with-proposal"
        told |= {"service": data.proposal.name, "telephone": data.proposal.telephone}
    return _message(outcome, "referrer", "system", data.owner.organisation, None, occasion, told)


def _message(
    outcome: Outcome,
    audience: Audience,
    channel: Channel,
    organisation: str | None,
    address: str | None,
    occasion: str,
    told: dict[str, str],
) -> Message:
    brief, template = outcome.data.brief, f"{audience}.{occasion}.v1"
    return message(
        outcome,
        brief.placement_id,
        brief.referrer.organisation,
        audience,
        channel,
        organisation,
        address,
        template,
        render(template, told),
    )


def message(
    fact: Envelope,
    placement: UUID | None,
    referrer: str,
    audience: Audience,
    channel: Channel,
    organisation: str | None,
    address: str | None,
    template: str,
    text: str,
) -> Message:
    """A message about a fact."""
    # The patient is one person whatever their address, and an id made of a telephone number could be searched for it.
    recipient = f"{audience}/{organisation or ''}/{fact.TYPE}"
    return Message(
        effect_id(fact.id, NotificationSent.TYPE, recipient),
        fact.id,
        fact.correlationid,
        placement,
        fact.subject,
        fact.traceparent,
        fact.TYPE,
        referrer,
        audience,
        channel,
        organisation,
        address,
        template,
        text,
    )


def open_channel(contact: Contact) -> tuple[Channel, str] | None:
    """The one channel by which a patient is told, and the address; none where none is known, or `none` preferred.

    What they prefer comes first, then a text message, then email.
    """
    if contact.prefers == "none":
        return None
    if contact.email is not None and (contact.prefers == "email" or contact.mobile is None):
        return "email", contact.email
    return None if contact.mobile is None else ("sms", contact.mobile)


def sent_json(message: Message, at: datetime) -> bytes:
    """The `notification.sent` of a message that the provider took at that time: as JSON."""
    return LeanSent(
        id=message.id,
        type=NotificationSent.TYPE,
        source=SOURCE,
        subject=message.referral,
        time=at,
        dataschema=_SCHEMA,
        partitionkey=message.referral,
        causationid=message.cause,
        correlationid=message.correlation,
        traceparent=message.traceparent,
        dataclassification=NotificationSent.CLASSIFICATION,
        data=LeanSentData(
            message_id=message.id,
            audience=message.audience,
            organisation=message.organisation,
            reason=message.reason,
            channel=message.channel,
            template=message.template,
            placement_id=message.placement,
        ),
    ).to_json()
