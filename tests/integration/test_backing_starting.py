"""Embedded servers as they start: again, at once, after a kill, on a taken port, and in any folder."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import psutil
import psycopg
import pytest

from services.backing import instance, kafka, postgres
from services.backing.failures import ServerDied
from services.backing.settings import Settings
from services.chassis.kafka import ADMINISTRATOR
from services.chassis.passwords import make_password
from tests.backing_running import EMBEDDED, START, pids, run, start_alone, wait_until

pytestmark = [pytest.mark.backing, pytest.mark.faults]


def test_a_recycled_pid_is_not_stopped(folder: Path, said: list[str]) -> None:
    """A record whose pid now belongs to another process does not make `stop` end that process."""
    stranger = run("import time; time.sleep(600)")
    try:
        for home in (folder / "kafka", folder / "postgres"):
            home.mkdir(parents=True)
            record = {"pid": stranger.pid, "created": 1.0, "port": 1, "controller_port": 2, "sockets": str(home)}
            (home / "running.json").write_text(json.dumps(record))
        instance.stop(folder)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.communicate()


def test_a_lock_whose_owner_died_does_not_hold(folder: Path, said: list[str], postgres_only: Settings) -> None:
    """A process killed while it held the folder is named, and the next start goes on from there."""
    code = """
import sys, time; from pathlib import Path
from services.backing import instance
with instance._alone(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(600)
"""
    holder = run(code, folder)
    assert holder.stdout is not None
    assert "held\n" == holder.stdout.readline()
    holder.kill()
    holder.communicate()
    instance.start(folder, say=said.append, settings=postgres_only)
    assert any(f"Process {holder.pid} ended while" in line for line in said)


def test_a_remembered_port_that_is_taken_is_changed(folder: Path, said: list[str]) -> None:
    """If somebody else listens on Kafka's port at the next start, another port is chosen and that is said."""
    home = folder / "kafka"
    first = kafka.start(home, cache=EMBEDDED.cache, say=said.append)
    kafka.stop(home)
    with socket.create_server(("127.0.0.1", first.port)):
        second = kafka.start(home, cache=EMBEDDED.cache, say=said.append)
    assert first.port != second.port
    assert any(f"Port {first.port}, which Apache Kafka had before, is taken" in line for line in said)


def test_a_port_taken_after_its_choice_is_chosen_again(
    folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a port is lost between its choice and its use, the start tries again with another."""
    choose = kafka.free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        lost = [taken.getsockname()[1]]
        monkeypatch.setattr(kafka, "free_port", lambda *args, **named: lost.pop() if lost else choose(*args, **named))
        broker = kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    assert broker == kafka.running(folder / "kafka")
    assert any("taken before it could listen" in line for line in said)


@pytest.mark.parametrize("server", [kafka, postgres])
def test_a_half_written_data_folder_is_moved_aside(folder: Path, said: list[str], server: ModuleType) -> None:
    """Data without its last mark is kept under another name, never used and never deleted, and that is said."""
    data = folder / server.__name__.rpartition(".")[2] / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("half of a li")
    start_alone(server, folder, said)
    aside = data.with_name("data.incomplete-1")
    assert "half of a li" == (aside / "meta.properties").read_text()
    assert any(f"half-written by a start that did not finish; it is now {aside}" in line for line in said)


def test_a_start_killed_while_it_lays_out_data_is_recovered(folder: Path, said: list[str]) -> None:
    """kill -9 of a first start, as soon as there is any data, leaves nothing that stops the next start."""
    starter = run(START, folder)
    wait_until(lambda: (folder / "postgres" / "data" / "PG_VERSION").exists())
    starter.kill()
    starter.communicate()
    # What the killed start had begun (initdb, say) ends by itself or goes on for a moment.
    wait_until(
        lambda: not [p for p in psutil.process_iter(["cmdline"]) if names(p, folder) and not recorded(p, folder)]
    )
    started = instance.start(folder, say=said.append, settings=EMBEDDED)
    with psycopg.connect(started.database_url) as connection:
        assert (1,) == connection.execute("select 1").fetchone()


def names(process: psutil.Process, folder: Path) -> bool:
    """Say whether a process was given this folder on its command line."""
    return any(str(folder) in word for word in process.info["cmdline"] or [])


def recorded(process: psutil.Process, folder: Path) -> bool:
    """Say whether a process is one of the servers that this folder remembers."""
    now = instance.status(folder)
    return process.pid in {server.child.pid for server in (now.kafka, now.postgres) if server is not None}


def test_two_instances_run_at_once(folder: Path, said: list[str]) -> None:
    """Two folders started at the same moment get servers of their own, at addresses of their own."""
    folders = [folder / "one", folder / "two"]
    try:
        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(lambda own: instance.start(own, say=said.append, settings=EMBEDDED), folders)
        assert 4 == len(pids(one) | pids(two))
        assert one.kafka.bootstrap_servers != two.kafka.bootstrap_servers
        assert one.database_url != two.database_url
    finally:
        for own in folders:
            instance.stop(own)


def test_two_starts_of_one_folder_give_one_instance(folder: Path, said: list[str]) -> None:
    """Of two processes that start the same folder, one waits, and both get the same servers."""
    starters = [run(START, folder), run(START, folder)]
    (first, first_errors), (second, second_errors) = [starter.communicate(timeout=120) for starter in starters]
    assert [0, 0] == [starter.returncode for starter in starters], first_errors + second_errors
    assert 2 == len(set(first.split()))
    assert first == second


def test_who_waits_is_told_for_whom(folder: Path, said: list[str]) -> None:
    """A start that finds the folder held names the process that holds it."""
    with ThreadPoolExecutor(1) as pool:
        with instance._alone(folder, said.append):
            waiting = pool.submit(instance.stop, folder, say=said.append)
            wait_until(lambda: said)
            assert not waiting.done()
        waiting.result(timeout=30)
    assert [f"Process {os.getpid()} is starting or stopping the servers in {folder}; waiting for it"] == said


def test_purge_removes_the_data(folder: Path, said: list[str], postgres_only: Settings) -> None:
    """Stopping with `purge` leaves no data of either server, and a later start begins empty."""
    started = instance.start(folder, say=said.append, settings=postgres_only)
    with psycopg.connect(started.database_url, autocommit=True) as connection:
        connection.execute("create table kept (fact text)")
    (folder / "kafka" / "data").mkdir(parents=True)
    instance.stop(folder, purge=True)
    assert {"lock"} == {entry.name for entry in folder.iterdir()}
    again = instance.start(folder, say=said.append, settings=postgres_only)
    with psycopg.connect(again.database_url) as connection:
        assert (None,) == connection.execute("select to_regclass('kept')").fetchone()


@pytest.mark.parametrize("name", ["d" * 120, "one, two"])
def test_a_path_that_no_socket_may_have_does_not_stop_postgresql(folder: Path, said: list[str], name: str) -> None:
    """A data folder whose path is too long for a socket, or holds a comma, works; a purge leaves nothing elsewhere."""
    deep = folder / name
    try:
        server = postgres.start(deep / "postgres", say=said.append)
        with psycopg.connect(server.url) as connection:
            assert (1,) == connection.execute("select 1").fetchone()
        assert not server.sockets.is_relative_to(folder)
    finally:
        instance.stop(deep, purge=True)
    assert not server.sockets.exists()


def test_a_pid_file_of_a_stranger_is_removed(folder: Path, said: list[str]) -> None:
    """PostgreSQL starts although its old pid file names a process that is something else now."""
    home = folder / "postgres"
    postgres.start(home, say=said.append)
    pid_file = home / "data" / "postmaster.pid"
    left = pid_file.read_text().splitlines()
    postgres.kill(home)
    pid_file.write_text("\n".join([str(os.getpid()), *left[1:]]))
    assert postgres.start(home, say=said.append) == postgres.running(home)
    assert any(f"{pid_file} names process {os.getpid()}, which is not this server" in line for line in said)


@pytest.mark.parametrize(
    ("server", "spoilt", "reason"),
    [(kafka, "kafka/data/meta.properties", "version"), (postgres, "postgres/data/global/pg_control", "pg_control")],
)
def test_a_server_that_cannot_start_says_why(
    folder: Path, said: list[str], server: ModuleType, spoilt: str, reason: str
) -> None:
    """A server that gives up while it starts is reported with the end of its log, and is not left behind."""
    start_alone(server, folder, said)
    instance.stop(folder)
    (folder / spoilt).write_text("version=none\n")
    with pytest.raises(ServerDied, match=reason):
        start_alone(server, folder, said)
    assert instance.Status(kafka=None, postgres=None) == instance.status(folder)


def test_a_start_that_fails_stops_what_it_started(folder: Path, said: list[str]) -> None:
    """If Kafka cannot start, the PostgreSQL that was started with it does not stay either."""
    (folder / "kafka" / "data").mkdir(parents=True)
    (folder / "kafka" / "data-is-whole").touch()
    make_password(kafka.passwords_of(folder / "kafka"), ADMINISTRATOR)
    with pytest.raises(ServerDied):
        instance.start(folder, say=said.append, settings=EMBEDDED)
    assert (folder / "postgres" / "data-is-whole").exists()
    assert instance.Status(kafka=None, postgres=None) == instance.status(folder)
