"""One server process that outlives whoever started it, and is known again later by its pid and start time."""

import json
import os
import signal
import socket
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SECRETS = "secrets"
"""The part of a system's folder that holds passwords: of Kafka's users in `kafka`, of PostgreSQL's in `database`."""

BEHIND = 10
"""How nice who gives way is: where cores are short they get a tenth of what others get."""


@dataclass(frozen=True)
class Child:
    """A process: its pid, and when it began (seconds since 1970), so that a recycled pid is never mistaken for it."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Child":
        """Describe the process that has this pid now; psutil.NoSuchProcess if there is none."""
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        log: Path,
        user: str | None,
        folder: Path,
        environ: Mapping[str, str] | None = None,
    ) -> "Child":
        """Start a command in a session of its own, its output appended to the log, as another user if one is named.

        Without an environment, it has ours.
        """
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,
                env=environ,
                **rights_of(user),
            )
        return cls.of(process.pid)

    def give_way(self) -> None:
        """Let the process work behind others where cores are short, as far as the system can.

        Linux may share its cores out among sessions first, so the session of the process steps back as well.
        """
        with suppress(OSError, AttributeError):  # Windows has no such thing
            os.setpriority(os.PRIO_PROCESS, self.pid, BEHIND)
        with suppress(OSError):
            Path(f"/proc/{self.pid}/autogroup").write_text(str(BEHIND))

    def alive(self) -> bool:
        """Say whether this very process still runs; one that ended and was not collected yet does not."""
        return self._process() is not None

    def listens(self, port: int) -> bool:
        """Say whether this very process accepts connections on a TCP port: not only that somebody does."""
        with socket.socket() as probe:
            # Cheap, and mostly no: looking into the process costs the time that it needs to start.
            if probe.connect_ex(("127.0.0.1", port)):
                return False
        process = self._process()
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess):
            return any(
                port == connection.laddr.port
                for connection in process.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN
            )
        return False

    def stop(self, request: signal.Signals, *, patience: float) -> bool:
        """Ask the process to end, wait for `patience` seconds, then kill it; False if it had to be killed."""
        process = self._process()
        if process is None:
            return True
        with suppress(psutil.NoSuchProcess):
            process.send_signal(request)
        try:
            process.wait(patience)
        except psutil.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End the process and its children at once, as a power cut would, and wait until they are gone."""
        process = self._process()
        if process is None:
            return
        family = [process]
        with suppress(psutil.NoSuchProcess):
            # PostgreSQL's children lead sessions of their own, so a signal to the group would miss them.
            family += process.children(recursive=True)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=10)

    def _process(self) -> psutil.Process | None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            # Start times of two processes with one pid differ by far more than the clock is corrected.
            if process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.created) < 1:
                return process
        return None


def rights_of(user: str | None) -> dict[str, Any]:
    """Give the arguments that make subprocess run a program with exactly this user's rights; without one, our own."""
    if user is None:
        return {}
    import pwd  # not on Windows, where this module must still be read

    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def free_port(wanted: int, choice: range, *, but: int | None = None) -> int:
    """Choose a TCP port on 127.0.0.1 on which nobody listens: the wanted one, or the next free one of the choice."""
    for port in (wanted, *range(wanted + 1, choice.stop), *choice):
        with socket.socket() as probe, suppress(OSError):
            # Connections of an earlier server that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            if port != but:
                return port
    raise OSError(f"no free port on 127.0.0.1 from {choice.start} to {choice.stop - 1}")


def keep_previous(log: Path) -> None:
    """Put the log of the last run aside, in place of the one before it, so that no log grows for ever."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader sees all of the old text or all of the new."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def read_record(path: Path) -> dict[str, Any]:
    """Read what is remembered of a server; nothing if there is no record or it cannot be read."""
    with suppress(FileNotFoundError, ValueError):
        record = json.loads(path.read_text())
        if isinstance(record, dict):
            return record
    return {}


def ending_of(log: Path, lines: int = 20) -> str:
    """Give the last lines of a log, indented."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return textwrap.indent("\n".join(text.splitlines()[-lines:]) or "(nothing)", "    ")


def set_aside(folder: Path) -> Path:
    """Rename a folder that is not to be trusted, never deleting it; return its new path."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.incomplete-{number}")).exists():
        number += 1
    return folder.rename(aside)
