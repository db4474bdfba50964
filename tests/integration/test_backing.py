"""Embedded servers as they run: what is kept, who is let in, what they refuse and what is given instead of them."""

import signal
import stat
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError

from services.backing import instance, kafka, postgres
from services.backing.failures import GivenUnreachable, PasswordLost
from services.backing.settings import Settings
from services.chassis.kafka import Kafka
from tests.backing_running import EMBEDDED, START, admin, pids, read_fact, run, wait_until, write_fact

pytestmark = [pytest.mark.backing, pytest.mark.faults]


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
