"""The sender's journal: what was to be sent under which key, and what was answered. Written before, and after."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID


@dataclass(slots=True)
class Entry:
    """One key: its scenario, and its answer once there is one."""

    key: UUID
    scenario: str
    sent_at: datetime
    status: int | None = None
    referral: str | None = None
    outcome: str | None = None


class Journal:
    """Lines of JSON in a file, each on the disk before the device goes on. A half-written last line is left out."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.entries = {entry.key: entry for entry in _read(path)} if path.exists() else {}
        self._file = path.open("a")

    def intend(self, key: UUID, scenario: str, now: datetime) -> None:
        """This will be sent."""
        self.entries[key] = Entry(key, scenario, now)
        self._write({"key": str(key), "scenario": scenario, "sent_at": now.isoformat()})

    def answered(self, key: UUID, status: int, referral: str | None, outcome: str | None) -> None:
        """This was the answer."""
        entry = self.entries[key]
        entry.status, entry.referral, entry.outcome = status, referral, outcome
        self._write({"key": str(key), "status": status, "referral": referral, "outcome": outcome})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _read(path: Path) -> Iterator[Entry]:
    entries: dict[str, Entry] = {}
    for line in path.read_text().splitlines():
        with suppress(ValueError):
            one = json.loads(line)
            if "scenario" in one:
                sent_at = datetime.fromisoformat(one["sent_at"])
                entries[one["key"]] = Entry(UUID(one["key"]), one["scenario"], sent_at)
            elif one["key"] in entries:
                entry = entries[one["key"]]
                entry.status, entry.referral, entry.outcome = one["status"], one["referral"], one["outcome"]
    yield from entries.values()
