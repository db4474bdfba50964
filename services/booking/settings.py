"""What booking can be told to do otherwise."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class BookingSettings(BaseModel):
    """Booking's own settings."""

    model_config = ConfigDict(frozen=True)

    horizon_days: int = Field(default=7, ge=1, le=60)
    """How far ahead every diary has slots, at least."""
    slot_lead_minutes: int = Field(default=10, ge=0, le=240)
    """The earliest slot that may be held begins so long from now: nobody can be there at once."""

    receiver_call_seconds: float = Field(default=2.0, gt=0, le=30)
    """How long one call of a receiver that keeps its own diary may take."""
    receiver_ask_seconds: float = Field(default=8.0, gt=0, le=120)
    """How long a placement may ask one receiver, all calls together."""
    receiver_patience_seconds: float = Field(default=15.0, gt=0, le=600)
    """How long it may stand in line before it asks; after that the next candidate is tried."""
    receiver_at_once: int = Field(default=4, ge=1, le=100)
    """How many placements ask one receiver at once, over all replicas."""
    receiver_failures: int = Field(default=5, ge=1, le=1000)
    """A receiver that has failed so often in a row is left alone for a while."""
    receiver_left_alone_seconds: float = Field(default=30.0, gt=0, le=3600)
    """For so long."""
    receiver_quiet_seconds: float = Field(default=60.0, gt=0, le=3600)
    """A call that was given up may still take effect for so long: what it may have booked is given back after it."""
    receiver_again_minutes: float = Field(default=5.0, gt=0, le=1440)
    """Who waits for a place asks receivers that keep their own diary again so often."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From ONWARD_HORIZON_DAYS and the like, each by its field's name, where they are set."""
        names = {field: f"ONWARD_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
