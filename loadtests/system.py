"""The system under load: on this machine, with data of its own, and a directory that can take everyone."""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import httpx

from contracts.directory import Service
from contracts.topics import Topic
from services.chassis.versioned_table import read_table
from services.cli import local
from services.cli.connection import TRUST, Connection, answered
from services.cli.directory import LOAD_SECONDS, SHIPPED
from services.cli.status import backlog_in, scraped
from services.pathways.codes import CodeTable
from services.pathways.directory_file import Entry, read_file
from services.pathways.invented import Codes, invented
from services.pathways.settings import PathwaysSettings
from services.pathways.towns import towns

FOLDER = Path(".onward") / "bench"
PORT = 8280
ROOM = 1000
"""Patients a slot: the benchmark measures the pipeline, not a shortage."""

SEED = 1
CODES = PathwaysSettings().codes


def start(
    *,
    services: int | None = None,
    room: int | None = ROOM,
    horizon_days: int | None = None,
    say: Callable[[str], None] = print,
) -> local.LocalSystem:
    """A new system, loaded and ready: with the small directory, or with so many invented services all over England.

    `room` is how many patients a slot takes, or as the directory says.
    """
    clear()
    with _told(ONWARD_HORIZON_DAYS=horizon_days):
        system = local.start(FOLDER, say=say, port=PORT)
    editor = Connection(system.base_url, system.token(TRUST, "bench", "directory-editor"))
    small = read_file(SHIPPED)
    entries: Iterable[Entry] = chain(small.desks, small.services)
    if services is not None:
        # The small directory's desks too: it is the trust of the shipped directory for which is referred.
        entries = chain(small.desks, invented(towns(), services, SEED, Codes.of(read_table(CODES, CodeTable))))
        say(f"Loading {services:,} services")
    answered(
        httpx.post(
            f"{editor.url}/services/import",
            content=(f"{roomy(one, room).model_dump_json(exclude_unset=True)}\n".encode() for one in entries),
            headers=editor.headers | {"Content-Type": "application/x-ndjson"},
            timeout=LOAD_SECONDS,
        )
    )
    local.wait_until_ready(system)
    wait_for_diaries(system)
    return system


@contextmanager
def _told(**settings: object) -> Iterator[None]:
    """Settings of the processes that are started meanwhile; what is None stays as it is."""
    given = {name: str(value) for name, value in settings.items() if value is not None}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def hosting(system: local.LocalSystem, service: str) -> local.Running:
    """The process that a service works in."""
    return next(worker for worker in system.workers if service in worker.services)


def wait_for_diaries(system: local.LocalSystem) -> None:
    """Return once booking has read of every service: until then placements wait for diaries that are being made."""
    booking = hosting(system, "booking")
    deadline = time.monotonic() + LOAD_SECONDS
    while True:
        behind = backlog_in([scraped(booking.url)]).groups.get(("booking", Topic.SERVICES), {}).get("behind")
        if behind == 0:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"booking has {behind} services to read of after {LOAD_SECONDS:.0f} s")
        time.sleep(1.1)  # the count is made at most once a second


def roomy(entry: Entry, room: int | None) -> Entry:
    """A service with room for so many in every slot; others as they are."""
    if room is None or not isinstance(entry, Service) or not entry.sessions:
        return entry
    sessions = tuple(session.model_copy(update={"capacity": room}) for session in entry.sessions)
    return entry.model_copy(update={"sessions": sessions})


def clear() -> None:
    """Leave nothing of a system that was under load before."""
    stop()
    shutil.rmtree(FOLDER, ignore_errors=True)


def stop() -> None:
    """Stop the system under load; its data stays until the next start."""
    local.stop(FOLDER, say=lambda _: None, purge=True)
