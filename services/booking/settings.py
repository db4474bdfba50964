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

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From ONWARD_HORIZON_DAYS and ONWARD_SLOT_LEAD_MINUTES, where they are set."""
        names = {"horizon_days": "ONWARD_HORIZON_DAYS", "slot_lead_minutes": "ONWARD_SLOT_LEAD_MINUTES"}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
