"""The sender's journal: every request before it is sent, and what came back. A run is held against it.

A file of JSON lines, written as it happens, so that what was sent is known also of a run that was killed. It holds ids,
times and statuses, and nothing of any patient.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TextIO

Fate = Literal["answered", "taken", "refused", "failed", "under_way"]
"""What the sender knows: an outcome, or that it was received, or that nothing of it was kept, or nothing."""


@dataclass(slots=True)
class Entry:
    """One request. Times in seconds since 1970."""

    stream: str
    kind: str
    """Of request: `transaction`, `lookup` or `event`."""
    id: str
    """The Idempotency-Key of a transaction, the event's id of an event."""
    due: float
    """When it was to leave."""
    reachable: bool = False
    """Whether the patient can be told: then an outcome that places them wants one message more."""
    referral: str = ""
    sent: float = 0.0
    ended: float = 0.0
    fate: Fate = "under_way"
    status: int = 0
    outcome: str = ""
    error: str = ""

    @property
    def latency(self) -> float:
        """Seconds from when it was to leave to what came back."""
        return self.ended - self.due


class Journal:
    """Entries in memory and on disk."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.entries: list[Entry] = []
        self.fates: defaultdict[str, Counter[Fate]] = defaultdict(Counter)
        """Of each stream, how many there are of each fate."""

    @classmethod
    def begin(cls, file: Path) -> Self:
        """A new journal, each line of which is on its way to the disk when the next is written."""
        return cls(file.open("w", buffering=1))

    def sending(self, entries: Iterable[Entry]) -> None:
        """These are about to be sent."""
        said = []
        for one in entries:
            self.entries.append(one)
            self.fates[one.stream]["under_way"] += 1
            said.append(
                f'{{"stream":"{one.stream}","kind":"{one.kind}","id":"{one.id}","due":{one.due:.6f},"sent":{one.sent:.6f},'
                f'"referral":"{one.referral}","reachable":{json.dumps(one.reachable)}}}\n'
            )
        self._file.write("".join(said))

    def ended(self, entries: Sequence[Entry]) -> None:
        """This came back of these."""
        for one in entries:
            self.fates[one.stream].subtract(["under_way"])
            self.fates[one.stream][one.fate] += 1
        self._file.write(
            "".join(
                f'{{"id":"{one.id}","ended":{one.ended:.6f},"fate":"{one.fate}","status":{one.status},'
                f'"referral":"{one.referral}","outcome":"{one.outcome}","error":{json.dumps(one.error)}}}\n'
                for one in entries
            )
        )

    def close(self) -> None:
        """Write no more."""
        self._file.close()


def read(file: Path) -> list[Entry]:
    """The entries of a journal; a line that a kill cut short is left out."""
    entries: dict[str, Entry] = {}
    for line in _whole_lines(file):
        said = json.loads(line)
        if "due" in said:
            entries[said["id"]] = Entry(**said)
        else:
            entry = entries[said["id"]]
            for name, value in said.items():
                setattr(entry, name, value)
    return list(entries.values())


def _whole_lines(file: Path) -> Iterator[str]:
    with file.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield line
