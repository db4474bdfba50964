"""Settings of referrals, read once."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

CLOCKS = Path(str(files("services.referrals") / "clocks.toml"))
"""The table that comes with Onward: unverified defaults."""


class ReferralsSettings(BaseModel):
    """How long a read waits for its referral, how the feed is told, by when each side does its part, and who runs the
    system."""

    model_config = ConfigDict(frozen=True)

    arrival_seconds: float = Field(default=2.0, ge=0, le=30)
    """How long a read waits for a referral that may be on its way from the log."""
    feed_chunk: int = Field(default=100, ge=1, le=1_000)
    """Most facts sent at once; each chunk leaves one row in the audit."""
    feed_gather_seconds: float = Field(default=0.02, ge=0, le=1)
    """How long a stream that has caught up waits for more facts once there is one, so that chunks are not of one."""
    feed_poll_seconds: float = Field(default=0.25, gt=0, le=5)
    """How often a stream looks for what another process stored; what this one stores is told at once."""
    heartbeat_seconds: float = Field(default=15.0, gt=0, le=60)
    """The longest silence on a stream."""
    clocks: Path = CLOCKS
    """By when a receiver answers, and a desk does its part."""
    duplicate_hours: float = Field(default=24.0, gt=0, le=24 * 28)
    """Within how long two referrals may be of one patient: an unverified default, no source settles it."""
    document_bytes: int = Field(default=8 * 1024 * 1024, ge=1, le=1024**3)
    """The largest document: an unverified default."""
    documents: int = Field(default=50, ge=1, le=1_000)
    """Most documents of a referral."""
    upload_minutes: float = Field(default=60.0, gt=0, le=60 * 24)
    """After so long without another piece an upload is cleared away."""
    operator: str = Field(default="ONWARD", pattern=r"^[A-Z0-9]{3,12}$")
    """The organisation that runs this system: its operators alone see what could not be read."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From the environment: `ONWARD_REFERRALS_` and the setting's name in capitals."""
        names = {field: f"ONWARD_REFERRALS_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
