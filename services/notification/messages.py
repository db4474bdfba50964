"""Who must hear of an outcome, by which channel, in which words; and the fact that the provider took a message."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from contracts.bookings import BookingConfirmed, BookingConfirmedData, BookingExhausted, BookingExhaustedData
from contracts.envelope import effect_id
from contracts.notifications import Audience, Channel, NotificationSent, NotificationSentData
from contracts.people import Contact
from services.notification.templates import in_words

Outcome = BookingConfirmed | BookingExhausted

SOURCE = "onward/notification"


class Message(NamedTuple):
    """One message for one recipient about one outcome. A tuple, for thousands are made a second."""

    id: UUID
    cause: UUID
    """The outcome's event id."""
    correlation: UUID
    placement: UUID
    referral: str
    traceparent: str | None
    reason: str
    """The outcome's type."""
    referrer: str
    """The organisation that referred: it may read every message about its referral."""
    audience: Audience
    channel: Channel
    organisation: str | None
    """Whose inbox, on `system`; none for a patient."""
    address: str | None
    """The patient's number or email address; none on `system`."""
    template: str
    parameters: Mapping[str, str]


def messages_of(outcome: Outcome) -> list[Message]:
    """A message for each who must hear of this outcome.

    The receiving service and the owner's desk hear on their organisations' own channel. The patient hears where
    something was arranged, a channel is known, and they did not choose to hear nothing.
    """
    if isinstance(outcome, BookingExhausted):
        return [_to_owner_of_unplaced(outcome, outcome.data)]
    data = outcome.data
    referral, by = outcome.subject, in_words(data.due)
    told = {"reference": data.reference, "by": by}
    # Named by what is known rather than by what the outcome is called: no template can lack its time.
    if data.starts_at is not None:
        occasion, told["when"] = "slot-held", in_words(data.starts_at)
    elif data.acceptance_due is not None:
        occasion, told["by"] = "place-held", in_words(data.acceptance_due)
    else:
        occasion = "delivered"
    owner, service = data.owner, data.service
    inside = told | {"referral": referral, "service": service.name}
    messages = [
        _message(
            outcome,
            data,
            "service",
            f"service.{occasion}.v1",
            inside | {"desk": owner.name, "telephone": owner.telephone},
            organisation=service.organisation,
        ),
        _message(
            outcome,
            data,
            "referrer",
            f"referrer.{occasion}.v1",
            inside | {"telephone": service.telephone},
            organisation=owner.organisation,
        ),
    ]
    known = open_channel(data.brief.patient.contact)
    if known is not None:
        channel, address = known
        # The desk's telephone: a service's own would name it.
        words = told | {"telephone": owner.telephone}
        messages.append(
            _message(outcome, data, "patient", f"patient.{occasion}.v1", words, channel=channel, address=address)
        )
    return messages


def open_channel(contact: Contact) -> tuple[Channel, str] | None:
    """The one channel by which a patient is told, and the address; none where none is known, or `none` preferred.

    What they prefer comes first, then a text message, then email.
    """
    if contact.prefers == "none":
        return None
    if contact.email is not None and (contact.prefers == "email" or contact.mobile is None):
        return "email", contact.email
    return None if contact.mobile is None else ("sms", contact.mobile)


def sent(message: Message, at: datetime) -> NotificationSent:
    """The fact that the provider took a message, at that time."""
    return NotificationSent(
        id=effect_id(message.cause, NotificationSent.TYPE, str(message.id)),
        type=NotificationSent.TYPE,
        source=SOURCE,
        subject=message.referral,
        time=at,
        dataschema=NotificationSent.schema_address(),
        partitionkey=message.referral,
        causationid=message.cause,
        correlationid=message.correlation,
        traceparent=message.traceparent,
        dataclassification=NotificationSent.CLASSIFICATION,
        data=NotificationSentData(
            message_id=message.id,
            audience=message.audience,
            organisation=message.organisation,
            reason=message.reason,
            channel=message.channel,
            template=message.template,
            placement_id=message.placement,
        ),
    )


def _to_owner_of_unplaced(outcome: BookingExhausted, data: BookingExhaustedData) -> Message:
    told = {"why": data.why, "by": in_words(data.due), "referral": outcome.subject}
    template = "referrer.unplaced.v1"
    if data.proposal is not None:
        template = "referrer.unplaced-with-proposal.v1"
        told |= {"service": data.proposal.name, "telephone": data.proposal.telephone}
    return _message(outcome, data, "referrer", template, told, organisation=data.owner.organisation)


def _message(
    outcome: Outcome,
    data: BookingConfirmedData | BookingExhaustedData,
    audience: Audience,
    template: str,
    parameters: Mapping[str, str],
    *,
    channel: Channel = "system",
    organisation: str | None = None,
    address: str | None = None,
) -> Message:
    # The patient is one person whatever their address, and an id made of a telephone number could be searched for it.
    recipient = f"{audience}/{organisation or ''}/{outcome.TYPE}"
    return Message(
        id=effect_id(outcome.id, "message", recipient),
        cause=outcome.id,
        correlation=outcome.correlationid,
        placement=data.brief.placement_id,
        referral=outcome.subject,
        traceparent=outcome.traceparent,
        reason=outcome.TYPE,
        referrer=data.brief.referrer.organisation,
        audience=audience,
        channel=channel,
        organisation=organisation,
        address=address,
        template=template,
        parameters=parameters,
    )
