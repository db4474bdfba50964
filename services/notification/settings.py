"""Settings of the notification service."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class NotificationSettings(BaseModel):
    """How messages are handed to the provider."""

    model_config = ConfigDict(frozen=True)

    batch: int = Field(default=1000, ge=1, le=10_000)
    """Most messages handed over at once."""
    poll_seconds: float = Field(default=0.25, gt=0, le=60)
    """How often to look for what another replica stored; what this one stores is handed over at once."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Settings from the environment."""
        names = {"batch": "NOTIFICATION_BATCH", "poll_seconds": "NOTIFICATION_POLL_SECONDS"}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
