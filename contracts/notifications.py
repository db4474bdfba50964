"""The topic `notifications`: to whom something was told, by which channel. Never clinical content."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Data, ReferralEvent
from contracts.people import OrganisationCode
from contracts.topics import Topic

Channel = Literal["system", "sms", "email"]
"""`system` is an organisation's own secure inbox; the others are open channels."""

Audience = Literal["service", "former_service", "referrer", "patient"]
"""Who hears: the service where the patient is expected, the one where they are expected no more, the desk of the
organisation that refers, the patient."""


class NotificationSentData(Data):
    """A message that the outbound provider has accepted."""

    message_id: UUID
    audience: Audience
    organisation: OrganisationCode | None = Field(default=None, description="who was told; none for a patient")
    reason: str = Field(description="the fact that it tells, e.g. booking.confirmed")
    channel: Channel
    template: str
    placement_id: UUID | None = Field(default=None, description="of the place that it tells of, where it tells of one")


class NotificationSent(
    ReferralEvent, type="notification.sent", topic=Topic.NOTIFICATIONS, classification="operational"
):
    """The provider took a message for someone. Whether it arrived is another fact."""

    data: NotificationSentData
