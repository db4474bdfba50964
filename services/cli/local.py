"""A system on this machine: backing services, keys, topics, schemas, and a few worker processes."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from services.backing import instance
from services.backing.child import SECRETS, Child, ending_of, free_port, keep_previous, read_record, write_whole
from services.chassis.identity import make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.cli.speaking import Refused
from services.cli.topics import compare
from services.composition import make_passwords, migrate

DEFAULT_FOLDER = Path(".onward")
DEFAULT_PORT = 8080
PORTS = 200
"""How many ports are tried, from the wanted one on."""
READY_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Worker:
    """A process and the services in it. Those that are `answering` only answer their routes there."""

    name: str
    services: tuple[str, ...]
    answering: tuple[str, ...] = ()
    gives_way: bool = False
    """It works behind the others where cores are short: nobody waits for what it does."""


WORKERS = (
    Worker("edge", ("gateway", "triage", "pathways"), answering=("booking", "notification", "referrals")),
    Worker("settle", ("booking", "notification")),
    Worker("record", ("referrals",), gives_way=True),
)
"""The first has the routes of all on one port. The work is split to keep two cores busy, and so that people have their
answers and messages first in a rush, and the history soon after (docs/decisions/chassis-giving-way.md)."""


@dataclass(frozen=True)
class Running:
    """A worker that was started: its process and its port."""

    name: str
    services: tuple[str, ...]
    child: Child
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class LocalSystem:
    """A system that runs on this machine."""

    folder: Path
    base_url: str
    kafka: Kafka
    """Whoever is given it speaks as the administrator."""
    database_url: str
    keys_file: Path
    signing_key: Path
    workers: tuple[Running, ...]

    def token(self, organisation: str, practitioner: str, role: str) -> str:
        """A token that this system accepts: its own keys, for development."""
        return sign(
            self.signing_key, organisation=organisation, practitioner=practitioner, role=role, now=datetime.now(UTC)
        )


def start(folder: Path, *, say: Callable[[str], None], port: int = DEFAULT_PORT) -> LocalSystem:
    """Start what does not run yet in this folder; return once every service is ready."""
    backing = instance.start(folder, say=say)
    private, public = make_keys(folder.resolve() / "keys")
    settings = _settings(folder, backing, public)
    asyncio.run(compare(settings.kafka, settings.topic_prefix, change=True))
    migrate(settings, os.environ)
    running = _workers(folder)
    if len(running) < len(WORKERS):
        _stop_workers(running)
        say("Starting the services")
        running = _start_workers(folder, settings, port)
    system = LocalSystem(
        folder=folder.resolve(),
        base_url=running[0].url,
        kafka=backing.kafka,
        database_url=backing.database_url,
        keys_file=public,
        signing_key=private,
        workers=tuple(running),
    )
    _wait_until_ready(system, except_for=frozenset({DIRECTORY_EMPTY}))
    return system


DIRECTORY_EMPTY = "the directory is empty"
"""How pathways begins its reason for not being ready before a directory is loaded."""


def _settings(folder: Path, backing: instance.Backing, keys_file: Path) -> Settings:
    """What every process of the system is told. An embedded PostgreSQL asks the services for passwords."""
    given = os.environ.get("ONWARD_DATABASE_PASSWORDS")
    passwords = Path(given) if given else None
    if backing.postgres_pid is not None:
        passwords = folder.resolve() / SECRETS / "database"
    settings = Settings(
        kafka=backing.kafka, database_url=backing.database_url, database_passwords=passwords, keys_file=keys_file
    )
    make_passwords(settings, os.environ)
    return settings


def _start_workers(folder: Path, settings: Settings, port: int) -> list[Running]:
    logs = folder.resolve() / "log"
    logs.mkdir(exist_ok=True)
    running: list[Running] = []
    for worker in WORKERS:
        first = running[-1].port + 1 if running else port
        own_port = free_port(first, range(first, first + PORTS))
        log = logs / f"{worker.name}.log"
        keep_previous(log)
        command = [sys.executable, "-m", "services.cli", "serve", *worker.services]
        command += [part for name in worker.answering for part in ("--answering", name)]
        environ = {
            **settings.environ,
            "ONWARD_HTTP_PORT": str(own_port),
            "ONWARD_REPLICA": f"local-{worker.name}",
            "ONWARD_GIVES_WAY": str(worker.gives_way),
        }
        child = Child.spawn(command, log=log, user=None, folder=Path.cwd(), environ=os.environ | environ)
        if worker.gives_way:
            child.give_way()
        running.append(Running(worker.name, worker.services, child, own_port))
    record = [asdict(one) for one in running]
    write_whole(folder.resolve() / "workers.json", json.dumps({"workers": record}))
    return running


def _workers(folder: Path) -> list[Running]:
    """The workers of this folder that still run."""
    record = read_record(folder.resolve() / "workers.json")
    remembered = [
        Running(one["name"], tuple(one["services"]), Child(**one["child"]), one["port"])
        for one in record.get("workers", [])
    ]
    return [one for one in remembered if one.child.alive()]


def _wait_until_ready(system: LocalSystem, *, except_for: frozenset[str] = frozenset()) -> None:
    deadline = time.monotonic() + READY_SECONDS
    for worker in system.workers:
        while reasons := _reasons(worker, except_for):
            if not worker.child.alive():
                log = system.folder / "log" / f"{worker.name}.log"
                raise Refused(f"the worker {worker.name} ended at its start; the end of {log}:\n{ending_of(log)}")
            if time.monotonic() > deadline:
                raise Refused(f"the worker {worker.name} is not ready: {'; '.join(reasons)}")
            time.sleep(0.05)


def _reasons(worker: Running, except_for: frozenset[str]) -> list[str]:
    answer = readiness(worker)
    if answer is None:
        return ["it does not answer yet"]
    return [
        f"{service}: {reason}"
        for service, reasons in answer["services"].items()
        for reason in reasons
        if not any(reason.startswith(start) for start in except_for)
    ]


def readiness(worker: Running) -> dict[str, Any] | None:
    """What the worker says of its readiness; None when it does not answer."""
    try:
        answer = httpx.get(f"{worker.url}/health/ready", timeout=2.0)
        return dict(answer.json())
    except (httpx.HTTPError, ValueError):
        return None


def wait_until_ready(system: LocalSystem) -> None:
    """Return once every service is ready, the directory loaded included. Raises Refused with the reasons."""
    _wait_until_ready(system)


def find(folder: Path) -> LocalSystem:
    """The system that runs in this folder. Raises Refused when none does."""
    running = _workers(folder)
    if not running:
        raise Refused(f"no system runs in {folder}: start one with `onward up`")
    servers = instance.status(folder)
    private, public = make_keys(folder.resolve() / "keys")
    return LocalSystem(
        folder=folder.resolve(),
        base_url=running[0].url,
        kafka=(servers.kafka.access if servers.kafka else Kafka.read(os.environ) or Kafka("")).administrator,
        database_url=servers.postgres.url if servers.postgres else os.environ.get("DATABASE_URL", ""),
        keys_file=public,
        signing_key=private,
        workers=tuple(running),
    )


def stop(folder: Path, *, say: Callable[[str], None], purge: bool = False) -> None:
    """Stop the workers of this folder, then its backing services; with `purge`, delete its data."""
    _stop_workers(_workers(folder))
    (folder / "workers.json").unlink(missing_ok=True)
    instance.stop(folder, purge=purge, say=say)


def _stop_workers(running: list[Running]) -> None:
    for worker in running:
        with suppress(ProcessLookupError):
            os.kill(worker.child.pid, signal.SIGTERM)
    for worker in running:
        worker.child.stop(signal.SIGTERM, patience=STOP_SECONDS)
