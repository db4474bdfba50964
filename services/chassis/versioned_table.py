"""Versioned tables of a site, in TOML: read whole or refused whole, with every fault named by file and entry."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class VersionedTable(BaseModel):
    """A table with a name and a version, so that what was decided by it can be traced to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    version: str = Field(min_length=1, max_length=40)

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


class TableFaulty(Exception):
    """A table of the site has faults, and nothing is decided by it."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__("\n".join(f"{path}: {fault}" for fault in faults))
        self.faults = tuple(faults)


Table = TypeVar("Table", bound=VersionedTable)


def read_table(path: Path, kind: type[Table]) -> Table:
    """The table in a TOML file. Raises TableFaulty with every fault: the entry that has it, and what is wrong."""
    try:
        written = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TableFaulty(path, [f"it cannot be read: {error.strerror}"]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TableFaulty(path, [f"it is not TOML: {error}"]) from None
    try:
        return kind.model_validate(written)
    except ValidationError as error:
        faults = [
            (".".join(map(str, one["loc"])) or "the table", one["msg"]) for one in error.errors(include_url=False)
        ]
        raise TableFaulty(path, [f"{entry}: {fault}" for entry, fault in faults]) from None
