"""`GET /messages/{id}`: what was told to whom, by which channel, and how far it got."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from contracts.notifications import Audience, Channel
from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.identity import CallerOf
from services.chassis.problems import Problem
from services.notification.store import Messages, Remembered


class MessageRead(BaseModel):
    """A message as it was told, without the patient's number or address."""

    id: UUID
    referral: str
    placement: UUID | None = Field(description="of the place that it tells of; none where it tells of none")
    reason: str = Field(description="the fact that it tells, e.g. booking.confirmed")
    audience: Audience
    organisation: str | None = Field(description="who was told; none for a patient")
    channel: Channel
    template: str
    text: str
    made_at: datetime
    state: Literal["due", "accepted", "refused"] = Field(
        description="`due`: the provider has not answered yet; `refused`: it never will take it, see `why`"
    )
    settled_at: datetime | None = Field(description="when the provider answered")
    why: str | None

    @classmethod
    def of(cls, told: Remembered) -> Self:
        """The answer for a message that is remembered."""
        return cls.model_validate(told._asdict())


def routes(messages: Messages, database: Database) -> APIRouter:
    """The routes of this service."""
    router = APIRouter(tags=["messages"])

    @router.get(
        "/messages/{message_id}",
        summary="What was told to whom, by which channel, and how far it got",
        responses={404: {"description": "No such message for the token's organisation"}},
    )
    async def read(message_id: UUID, caller: CallerOf) -> MessageRead:
        told = await messages.find(message_id, caller.organisation)
        if told is None:
            raise Problem(
                404,
                "No such message",
                "There is no message of this id for your organisation. Take the id from a notification.sent event.",
            )
        await audit(database.pool, caller, "read message", [str(message_id)])
        return MessageRead.of(told)

    return router
