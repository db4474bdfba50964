"""Settings of pathways, read once."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

SHIPPED = Path(str(files("services.pathways") / "tables"))
"""The tables that come with Onward: defaults for a site to check and change."""

CAPACITY_ORDER = Path(str(files("services.pathways") / "capacity.toml"))
"""The table that comes with Onward: capacity counts as in the published search."""


class PathwaysSettings(BaseModel):
    """Which tables of the site say how it searches."""

    model_config = ConfigDict(frozen=True)

    codes: Path = SHIPPED / "codes.toml"
    """Which codes stand for each presentation."""
    search_rules: Path = SHIPPED / "search-rules.toml"
    """Search distances, ranks of service types."""
    capacity_order: Path = CAPACITY_ORDER
    """The table of how capacity and its age count in the order."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """From the environment: `ONWARD_PATHWAYS_` and the setting's name in capitals."""
        names = {field: f"ONWARD_PATHWAYS_{field.upper()}" for field in cls.model_fields}
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})
