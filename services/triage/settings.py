"""Triage's own settings, read once."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

SHIPPED = Path(str(files("services.triage") / "rules" / "onward-default.toml"))
"""The rule pack that comes with Onward: defaults for a clinician to check and change."""


class TriageSettings(BaseModel):
    """Which rule pack decides."""

    model_config = ConfigDict(frozen=True)

    rule_pack: Path = SHIPPED

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Settings from the environment: `ONWARD_RULE_PACK` is the path of a rule pack in TOML."""
        path = environ.get("ONWARD_RULE_PACK")
        return cls(rule_pack=Path(path)) if path else cls()
