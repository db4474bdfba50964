"""Triage's own settings, read once."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

SHIPPED = Path(str(files("services.triage") / "rules" / "onward-default.toml"))
"""The rule pack that comes with Onward: defaults for a clinician to check and change."""


class TriageSettings(BaseModel):
    """Which rule pack decides, and which shadows it."""

    model_config = ConfigDict(frozen=True)

    rule_pack: Path = SHIPPED
    shadow_rule_pack: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Settings from the environment: paths of rule packs in TOML.

        `ONWARD_RULE_PACK` decides; `ONWARD_SHADOW_RULE_PACK` decides too, and is only counted.
        """
        path, shadow = environ.get("ONWARD_RULE_PACK"), environ.get("ONWARD_SHADOW_RULE_PACK")
        return cls(rule_pack=Path(path) if path else SHIPPED, shadow_rule_pack=Path(shadow) if shadow else None)
