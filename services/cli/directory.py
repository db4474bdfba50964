"""Loading and checking directory files."""

from pathlib import Path
from typing import Any

import httpx

from services.cli.connection import Connection, answered
from services.pathways.directory_file import read_file

SHIPPED = next(iter(sorted((Path(__file__).parents[2] / "deploy" / "directory").glob("*.toml"))), Path("missing"))
"""The small directory of the invented region."""


def load(connection: Connection, file: Path, *, delist_missing: bool = False) -> dict[str, Any]:
    """Check a file here, then list all of it. Raises DirectoryFaulty or Refused, with nothing listed."""
    directory = read_file(file)
    response = httpx.post(
        f"{connection.url}/services/import",
        params={"delist_missing": delist_missing},
        content=directory.model_dump_json(exclude_unset=True),
        headers=connection.headers | {"Content-Type": "application/json"},
        timeout=120.0,
    )
    return dict(answered(response))
