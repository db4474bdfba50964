"""The outbound port: where messages leave for whoever delivers them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from contracts.notifications import Audience, Channel


class Outgoing(NamedTuple):
    """What a provider needs to know of a message, and no more."""

    reference: UUID
    """The message's id. The provider's side takes a reference once, however often it is delivered."""
    audience: Audience
    channel: Channel
    organisation: str | None
    address: str | None
    template: str
    text: str


class Receipt(NamedTuple):
    """What the provider said of one message: taken, or refused for good."""

    reference: UUID
    refused: str | None = None
    """Why, in the provider's code: it is stored and logged, so never an address or a text."""


class Outbound(Protocol):
    """A provider of messages, e.g. the recording sandbox."""

    async def deliver(self, batch: Sequence[Outgoing]) -> Sequence[Receipt]:
        """Hand over a batch; a receipt each, in any order. Raises Transient when the provider cannot answer now.

        The same reference may come again, inside a batch too: the message is then taken once.
        """
