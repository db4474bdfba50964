"""Settings of pathways, read once."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from services.pathways.ranking import SEARCH_KM

CAPACITY_ORDER = Path(str(files("services.pathways") / "capacity.toml"))
"""The table that comes with Onward: capacity counts as in the published search."""


class PathwaysSettings(BaseModel):
    """How far pathways searches, and how capacity counts in the order."""

    model_config = ConfigDict(frozen=True)

    search_km: float = Field(default=SEARCH_KM, ge=1, le=99)
    """Half the side of the search square, in km."""
    capacity_order: Path = CAPACITY_ORDER
    """The table of how capacity and its age count in the order."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From the environment: `ONWARD_PATHWAYS_` and the setting's name in capitals."""
        names = {field: f"ONWARD_PATHWAYS_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
