"""What is wrong with a file, and where."""

from collections.abc import Sequence

from services.chassis.problems import Fault

MOST_FAULTS = 100
"""After so many faults a file is read no further."""


class FileFault(Fault):
    """One thing wrong with a file: its line, its JSON pointer or column, and what it is. Neither is the whole file."""

    line: int | None = None

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line is not None else ""
        return f"{' '.join(part for part in (line, self.pointer) if part) or '/'}: {self.message}"


class FileFaulty(Exception):
    """A file does not hold, and nothing of it was kept. `faults` names every one, or the first hundred."""

    def __init__(self, faults: Sequence[FileFault], what: str) -> None:
        self.faults = tuple(faults)
        lines = [str(fault) for fault in faults]
        if len(faults) >= MOST_FAULTS:
            lines.append("it was read no further")
        super().__init__("\n  ".join([f"{what} is refused whole; mend each fault and load it again:", *lines]))
