"""How the command line speaks: sentences and tables for people, JSON for programs, errors that help."""

import json
import os
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

FAULT_OF_OURS = 70
"""Exit code for a fault in this program (sysexits' EX_SOFTWARE). 1: it could not be done; 2: the call was wrong."""


class Refused(Exception):
    """What was asked cannot be done; the message says why and what to do."""


def say(message: str) -> None:
    """Progress for people, on standard error."""
    err.print(message, markup=False)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_line(value: Any) -> None:
    """One JSON document on one line of standard output, at once."""
    print(json.dumps(value, default=str, ensure_ascii=False), flush=True)


def explain(error: Exception) -> int:
    """Say what went wrong on standard error; returns the exit code."""
    if os.environ.get("ONWARD_TRACEBACK"):
        traceback.print_exception(error)
    if type(error).__module__.partition(".")[0] in ("services", "contracts", "loadtests") or isinstance(error, OSError):
        err.print(f"onward: {error}", style="bold red", markup=False)
        return 1
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    err.print(f"onward: a fault of ours ({where}). ONWARD_TRACEBACK=1 shows more.", style="bold red", markup=False)
    return FAULT_OF_OURS
