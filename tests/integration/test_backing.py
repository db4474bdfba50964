"""The embedded Kafka and PostgreSQL: started, stopped, killed, and found in every state that a crash can leave."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import asyncpg
import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError

from services.backing import instance, kafka, postgres
from services.backing.failures import GivenUnreachable, PasswordLost, ServerDied
from services.backing.settings import Settings
from services.chassis.kafka import ADMINISTRATOR, Kafka
from services.chassis.passwords import make_password

pytestmark = pytest.mark.backing

EMBEDDED = Settings()

START = """
import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner in the background ignores it
import sys; from pathlib import Path
from services.backing import instance; from services.backing.settings import Settings
backing = instance.start(Path(sys.argv[1]), say=lambda _: None, settings=Settings())
print(backing.kafka_pid, backing.postgres_pid)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder of one's own; what runs in it is stopped after the test."""
    with tempfile.TemporaryDirectory(prefix="onward-") as name:
        yield Path(name) / "data"
        instance.stop(Path(name) / "data", purge=True)


@pytest.fixture
def said() -> list[str]:
    """What was said while the test ran: pass `said.append` as `say`."""
    return []


@pytest.fixture
def postgres_only(backing: instance.Backing) -> Settings:
    """Settings that give a Kafka, so that only PostgreSQL, which starts faster, is embedded."""
    return Settings(kafka=backing.kafka)


def start_alone(server: ModuleType, folder: Path, said: list[str]) -> None:
    """Start one of the two servers in its part of the folder."""
    if server is kafka:
        kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    else:
        postgres.start(folder / "postgres", say=said.append)


def pids(backing: instance.Backing) -> set[int]:
    """The processes of both servers, which must both be embedded."""
    assert backing.kafka_pid is not None
    assert backing.postgres_pid is not None
    return {backing.kafka_pid, backing.postgres_pid}


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code in a process of its own."""
    command = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(fact: Callable[[], object], within: float = 30) -> None:
    """Wait until something is so, at most `within` seconds."""
    deadline = time.monotonic() + within
    while not fact():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.01)


@asynccontextmanager
async def admin(broker: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """An administrator of the broker."""
    client = AIOKafkaAdminClient(**broker.administrator.client())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def write_fact(backing: instance.Backing) -> None:
    """Leave one row in PostgreSQL and one record in Kafka."""
    connection = await asyncpg.connect(backing.database_url)
    await connection.execute("create table kept (fact text)")
    await connection.execute("insert into kept values ('row')")
    await connection.close()
    async with admin(backing.kafka) as client:
        await client.create_topics([NewTopic("kept", 1, 1)])
    producer = AIOKafkaProducer(**backing.kafka.client(), acks="all")
    await producer.start()
    await producer.send_and_wait("kept", b"record")
    await producer.stop()


async def read_fact(backing: instance.Backing) -> tuple[str, bytes]:
    """Read back what `write_fact` left."""
    connection = await asyncpg.connect(backing.database_url)
    row = await connection.fetchval("select fact from kept")
    await connection.close()
    consumer = AIOKafkaConsumer("kept", **backing.kafka.client(), auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    return row, record.value


async def test_data_is_kept_from_one_start_to_the_next(folder: Path, said: list[str]) -> None:
    """What was written before an orderly stop is there after the next start, at the same addresses."""
    first = instance.start(folder, say=said.append, settings=EMBEDDED)
    await write_fact(first)
    instance.stop(folder)
    second = instance.start(folder, say=said.append, settings=EMBEDDED)
    assert ("row", b"record") == await read_fact(second)
    assert first.kafka == second.kafka
    assert first.database_url == second.database_url


def test_a_stop_leaves_no_process(folder: Path, said: list[str]) -> None:
    """After a stop neither server runs, nor any child of one, and the status says so."""
    started = instance.start(folder, say=said.append, settings=EMBEDDED)
    children = [child for pid in pids(started) for child in psutil.Process(pid).children(recursive=True)]
    instance.stop(folder)
    assert instance.Status(kafka=None, postgres=None) == instance.status(folder)
    assert not [pid for pid in pids(started) if psutil.pid_exists(pid)]
    wait_until(lambda: not [child for child in children if child.is_running()])


def test_a_second_start_reuses_what_runs(folder: Path, said: list[str]) -> None:
    """Starting twice gives the same processes at the same addresses."""
    first = instance.start(folder, say=said.append, settings=EMBEDDED)
    assert first == instance.start(folder, say=said.append, settings=EMBEDDED)


def test_the_servers_outlive_who_started_them(folder: Path, said: list[str]) -> None:
    """A process starts the servers and ends; they go on, and another process finds and stops them."""
    starter = run(START, folder)
    output, errors = starter.communicate(timeout=120)
    assert 0 == starter.returncode, errors
    started = {int(pid) for pid in output.split()}
    now = instance.start(folder, say=said.append, settings=EMBEDDED)
    assert started == pids(now)
    instance.stop(folder)
    wait_until(lambda: not [pid for pid in started if psutil.pid_exists(pid) and is_running(pid)])


def is_running(pid: int) -> bool:
    """Say whether a process does more than wait to be collected."""
    try:
        return psutil.STATUS_ZOMBIE != psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False


@pytest.mark.faults
async def test_killed_servers_come_back_with_their_data_and_addresses(folder: Path, said: list[str]) -> None:
    """After kill -9 of both servers a start brings back what was acknowledged, at the same addresses."""
    first = instance.start(folder, say=said.append, settings=EMBEDDED)
    await write_fact(first)
    assert kafka.kill(folder / "kafka")
    assert postgres.kill(folder / "postgres")
    assert instance.Status(kafka=None, postgres=None) == instance.status(folder)
    second = instance.start(folder, say=said.append, settings=EMBEDDED)
    assert ("row", b"record") == await read_fact(second)
    assert first.kafka == second.kafka
    assert first.database_url == second.database_url


@pytest.mark.faults
def test_one_server_can_be_killed_and_started_alone(folder: Path, said: list[str]) -> None:
    """Killing Kafka leaves PostgreSQL as it is, and starting Kafka alone brings it back."""
    first = instance.start(folder, say=said.append, settings=EMBEDDED)
    assert kafka.kill(folder / "kafka")
    broker = kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    now = instance.status(folder)
    assert broker == now.kafka
    assert first.kafka == broker.access.administrator
    assert now.postgres is not None
    assert first.postgres_pid == now.postgres.child.pid


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


def test_data_whose_password_is_lost_is_not_touched(folder: Path, said: list[str]) -> None:
    """Kafka's data without its administrator's password is of no use to anybody: the file is named, nothing started."""
    (folder / "kafka" / "data").mkdir(parents=True)
    (folder / "kafka" / "data-is-whole").touch()
    with pytest.raises(PasswordLost, match="secrets/kafka/administrator, is not there"):
        kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    assert kafka.running(folder / "kafka") is None


def test_passwords_are_for_their_owner_alone(folder: Path, said: list[str]) -> None:
    """Neither the administrator's password nor the settings that repeat it can be read by another user."""
    kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    private = [folder / "secrets" / "kafka" / "administrator", folder / "kafka" / "server.properties"]
    assert [0o600, 0o600] == [stat.S_IMODE(file.stat().st_mode) for file in private]
    password = private[0].read_text().strip()
    others = [file for file in folder.rglob("*") if file.is_file() and file not in private]
    assert not [file for file in others if password.encode() in file.read_bytes()]


async def test_who_does_not_say_who_he_is_is_refused(backing: instance.Backing) -> None:
    """Neither without a user nor with a wrong password."""
    wrong = backing.kafka.client() | {"sasl_plain_password": "guessed"}
    for client in ({"bootstrap_servers": backing.kafka.bootstrap_servers}, wrong):
        nobody = AIOKafkaAdminClient(**client)
        with pytest.raises(KafkaConnectionError):
            await nobody.start()
        await nobody.close()


def test_the_log_of_postgresql_holds_no_values(folder: Path, said: list[str]) -> None:
    """A refused row is logged without its values, which may be a patient's."""
    server = postgres.start(folder / "postgres", say=said.append)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create table kept (number text primary key)")
        connection.execute("insert into kept values ('9000000009')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("insert into kept values ('9000000009')")
    log = folder / "postgres" / "server.log"
    wait_until(lambda: "duplicate key" in log.read_text())
    assert "9000000009" not in log.read_text()


async def test_a_topic_is_never_made_by_a_typing_error(folder: Path, said: list[str]) -> None:
    """Telling something to a topic that nobody declared is refused and does not create it."""
    broker = kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    producer = AIOKafkaProducer(**broker.access.administrator.client(), request_timeout_ms=500)
    await producer.start()
    try:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_and_wait("refferals", b"lost?")
    finally:
        await producer.stop()
    async with admin(broker.access) as client:
        assert [] == await client.list_topics()


async def test_records_carry_the_brokers_time(folder: Path, said: list[str]) -> None:
    """A record's timestamp is when it reached the log, whatever the producer says."""
    broker = kafka.start(folder / "kafka", cache=EMBEDDED.cache, say=said.append)
    async with admin(broker.access) as client:
        await client.create_topics([NewTopic("kept", 1, 1)])
    producer = AIOKafkaProducer(**broker.access.administrator.client())
    await producer.start()
    stored = await producer.send_and_wait("kept", b"record", timestamp_ms=1)
    await producer.stop()
    assert 1 == stored.timestamp_type
    assert 1 < stored.timestamp


def test_given_servers_are_used_and_nothing_is_started(
    backing: instance.Backing, folder: Path, said: list[str]
) -> None:
    """With both addresses given, they come back as they are and the folder stays untouched."""
    given = Settings(kafka=backing.kafka, database_url=backing.database_url)
    expected = instance.Backing(backing.kafka, backing.database_url)
    assert expected == instance.start(folder, say=said.append, settings=given)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["a space", "ü 病院", "50%"])
def test_a_data_folder_may_have_any_name(folder: Path, said: list[str], name: str, postgres_only: Settings) -> None:
    """Spaces, letters beyond ASCII and signs that mean something in addresses do not disturb PostgreSQL."""
    started = instance.start(folder / name, say=said.append, settings=postgres_only)
    try:
        with psycopg.connect(started.database_url) as connection:
            assert (postgres.DATABASE,) == connection.execute("select current_database()").fetchone()
    finally:
        instance.stop(folder / name)


def test_kafka_runs_in_a_folder_of_any_name(folder: Path, said: list[str]) -> None:
    """Commas, spaces and letters beyond ASCII in the path do not disturb Kafka."""
    home = folder / "ü, 病院" / "kafka"
    try:
        assert kafka.start(home, cache=EMBEDDED.cache, say=said.append) == kafka.running(home)
        assert (home / "data" / "meta.properties").exists()
    finally:
        kafka.stop(home)


def test_one_server_can_be_given_and_the_other_embedded(folder: Path, said: list[str], postgres_only: Settings) -> None:
    """With only Kafka's address given, only PostgreSQL is started."""
    started = instance.start(folder, say=said.append, settings=postgres_only)
    assert postgres_only.kafka == started.kafka
    assert started.kafka_pid is None
    assert started.postgres_pid is not None
    assert instance.status(folder).kafka is None


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        (Settings(kafka=Kafka("127.0.0.1:1")), "KAFKA_BOOTSTRAP_SERVERS"),
        (Settings(database_url="postgresql://who:secret@127.0.0.1:1/onward"), "DATABASE_URL"),
    ],
)
def test_a_given_server_that_does_not_answer_is_named(
    folder: Path, said: list[str], given: Settings, variable: str
) -> None:
    """A given address where nothing answers is refused by the name of its variable, without its password."""
    with pytest.raises(GivenUnreachable, match=variable) as refused:
        instance.start(folder, say=said.append, settings=given)
    assert "secret" not in str(refused.value)


def test_an_interrupted_start_leaves_nothing_running(folder: Path, said: list[str]) -> None:
    """Ctrl-C during a start stops what it had started."""
    starter = run(START, folder)
    wait_until(lambda: instance.status(folder).kafka is not None)
    starter.send_signal(signal.SIGINT)
    starter.communicate(timeout=60)
    assert 0 != starter.returncode
    assert instance.Status(kafka=None, postgres=None) == instance.status(folder)
