"""Both servers of one folder, started and stopped as one, by one process at a time."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from filelock import FileLock, Timeout

from services.backing import kafka, postgres
from services.backing.child import SECRETS
from services.backing.failures import FolderBusy, GivenUnreachable
from services.backing.settings import Settings
from services.chassis.kafka import Kafka

_BUSY_PATIENCE = 180.0  # seconds; longer than a start may take, downloads included
_GIVEN_PATIENCE = 5  # seconds


@dataclass(frozen=True)
class Backing:
    """Where Kafka and PostgreSQL answer their administrator; the process of each that is embedded, None for one that
    was given.
    """

    kafka: Kafka
    database_url: str
    kafka_pid: int | None = None
    postgres_pid: int | None = None


@dataclass(frozen=True)
class Status:
    """The embedded servers that run in one folder; None for one that does not."""

    kafka: kafka.Broker | None
    postgres: postgres.Server | None


def start(folder: Path, *, say: Callable[[str], None], settings: Settings | None = None) -> Backing:
    """Give a Kafka and a PostgreSQL that answer: the given ones, or embedded ones with their data in this folder.

    What already runs in the folder is kept. The embedded servers outlive this process; `stop` ends them.
    `say` is told, from several threads, what a person may want to know. Without settings, the environment's.
    Raises a `BackingFailure` that says what to do; what this call had started is then stopped again.
    """
    settings = settings or Settings.read()
    given_kafka, given_postgres = settings.kafka, settings.database_url
    if given_kafka:
        _check_kafka(given_kafka.bootstrap_servers)
    if given_postgres:
        _check_postgres(given_postgres)
    if given_kafka and given_postgres:
        return Backing(given_kafka.administrator, given_postgres)
    folder = folder.resolve()
    with _alone(folder, say):
        before = _status(folder)
        try:
            with ThreadPoolExecutor(2) as pool:
                starts: list[Future[kafka.Broker] | Future[postgres.Server]] = []
                if not given_kafka:
                    starts.append(pool.submit(kafka.start, folder / "kafka", cache=settings.cache, say=say))
                if not given_postgres:
                    starts.append(pool.submit(postgres.start, folder / "postgres", say=say))
                for started in starts:
                    started.result()
        except BaseException:
            if before.kafka is None:
                kafka.stop(folder / "kafka")
            if before.postgres is None:
                postgres.stop(folder / "postgres")
            raise
        now = _status(folder)
    broker = given_kafka or (now.kafka.access if now.kafka else None)
    assert broker is not None
    return Backing(
        kafka=broker.administrator,
        database_url=given_postgres or (now.postgres.url if now.postgres else ""),
        kafka_pid=None if given_kafka or now.kafka is None else now.kafka.child.pid,
        postgres_pid=None if given_postgres or now.postgres is None else now.postgres.child.pid,
    )


def stop(folder: Path, *, purge: bool = False, say: Callable[[str], None] = lambda _: None) -> None:
    """End the embedded servers of this folder in order, if they run; with `purge`, then delete their data."""
    folder = folder.resolve()
    if not folder.exists():
        return
    with _alone(folder, say):
        with ThreadPoolExecutor(2) as pool:
            for stopped in (pool.submit(kafka.stop, folder / "kafka"), pool.submit(postgres.stop, folder / "postgres")):
                stopped.result()
        if purge:
            postgres.purge(folder / "postgres")
            for home in (folder / "kafka", folder / "postgres", folder / SECRETS):
                if home.exists():
                    shutil.rmtree(home)


def status(folder: Path) -> Status:
    """Tell which embedded servers run in this folder."""
    return _status(folder.resolve())


def _status(folder: Path) -> Status:
    return Status(kafka=kafka.running(folder / "kafka"), postgres=postgres.running(folder / "postgres"))


@contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep every other process from starting or stopping the servers of this folder meanwhile.

    The system frees the lock when its owner ends, however it ends; the owner's pid beside it is for people.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / "lock"), folder / "owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"Process {_owner(owner)} is starting or stopping the servers in {folder}; waiting for it")
        try:
            lock.acquire(timeout=_BUSY_PATIENCE)
        except Timeout as busy:
            raise FolderBusy(owner=_owner(owner), folder=folder, seconds=_BUSY_PATIENCE) from busy
    try:
        left = _owner(owner)
        if left is not None and not psutil.pid_exists(left):
            say(f"Process {left} ended while it was starting or stopping the servers in {folder}; going on from there")
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _owner(file: Path) -> int | None:
    with suppress(FileNotFoundError, ValueError):
        return int(file.read_text())
    return None


def _check_kafka(bootstrap_servers: str) -> None:
    cause: Exception | None = None
    for address in bootstrap_servers.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_GIVEN_PATIENCE).close()
        except (OSError, ValueError) as failure:
            cause = failure
        else:
            return
    raise GivenUnreachable(variable="KAFKA_BOOTSTRAP_SERVERS", address=bootstrap_servers, cause=cause)


def _check_postgres(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=_GIVEN_PATIENCE).close()
    except psycopg.Error as cause:
        # The address may hold a password; the cause names the host.
        raise GivenUnreachable(variable="DATABASE_URL", address="a database", cause=str(cause).strip()) from None
