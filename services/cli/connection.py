"""Where a command speaks to, and as whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from services.cli import local
from services.cli.speaking import Refused

TRUST = "ONW01"
"""The ambulance trust of the shipped directory, for which a device speaks by default."""

Folder = Annotated[Path, typer.Option("--folder", help="Where a local system keeps its data.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for programs.")]
Url = Annotated[str, typer.Option(envvar="ONWARD_URL", help="Where the routes are; of the local system if not given.")]
Token = Annotated[str, typer.Option(envvar="ONWARD_TOKEN", help="Who calls; the local system's own if not given.")]
Organisation = Annotated[str, typer.Option(help="For whom to speak, when the local system signs the token.")]


@dataclass(frozen=True)
class Connection:
    """An address and a token."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say who calls."""
        return {"Authorization": f"Bearer {self.token}"}


def connect(folder: Path, url: str, token: str, *, organisation: str, role: str, practitioner: str) -> Connection:
    """What was given, else the local system and a token that it signs."""
    if url and token:
        return Connection(url.rstrip("/"), token)
    system = local.find(folder)
    return Connection(url.rstrip("/") or system.base_url, token or system.token(organisation, practitioner, role))


def answered(response: httpx.Response) -> Any:
    """The body of a good answer. Raises Refused with the problem's sentences."""
    if response.is_success:
        return response.json()
    try:
        problem = response.json()
    except ValueError:
        raise Refused(f"{response.request.url.path} answered {response.status_code}") from None
    faults = "".join(f"\n  {_where(fault)}: {fault['message']}" for fault in problem.get("faults", []))
    raise Refused(f"{problem.get('title')}. {problem.get('detail')}{faults}")


def _where(fault: Mapping[str, Any]) -> str:
    line = f"line {fault['line']}" if fault.get("line") else ""
    return " ".join(part for part in (line, fault["pointer"]) if part) or "the whole"
