"""Settings of pathways, read once."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from services.pathways.ranking import SEARCH_KM


class PathwaysSettings(BaseModel):
    """How far pathways searches."""

    model_config = ConfigDict(frozen=True)

    search_km: float = Field(default=SEARCH_KM, ge=1, le=99)
    """Half the side of the search square, in km."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From the environment: `ONWARD_PATHWAYS_` and the setting's name in capitals."""
        names = {field: f"ONWARD_PATHWAYS_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
