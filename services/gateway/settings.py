"""Settings of the gateway, read once."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.overload import Limits


class GatewaySettings(BaseModel):
    """How much the gateway takes in, how long it waits, and how long a submission may be acted on."""

    model_config = ConfigDict(frozen=True)

    body_bytes: int = Field(default=65_536, ge=1_024)
    """The largest body of a submission."""
    wait_seconds: int = Field(default=5, ge=0, le=30)
    """How long a request waits for its outcome when it does not say."""
    longest_wait_seconds: int = Field(default=30, ge=0, le=300)
    store_seconds: float = Field(default=5.0, gt=0)
    """How long the database may take to store an attempt."""
    waiters: int = Field(default=2_000, ge=0)
    """How many requests may wait at a time. One more is answered 202 at once."""
    unsettled: int = Field(default=2_000, ge=1)
    """How many submissions may be without an outcome, of each replica. One more is told 429."""
    unsettled_at_once: int = Field(default=1_000, ge=1)
    """The same for senders who do not wait for the outcome."""
    behind_seconds: float = Field(default=3.0, gt=0)
    """How far the answers may be behind. Past that a submission is told 429."""
    answer_minutes: float = Field(default=15, gt=0)
    """From first receipt: past this nobody is booked on the strength of a submission."""

    @property
    def answer_within(self) -> timedelta:
        """`answer_minutes` as a duration."""
        return timedelta(minutes=self.answer_minutes)

    @property
    def limits(self) -> Limits:
        """How much may be under way."""
        return Limits(self.unsettled, self.unsettled_at_once, self.behind_seconds)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From the environment: `ONWARD_GATEWAY_` and the setting's name in capitals."""
        names = {field: f"ONWARD_GATEWAY_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
