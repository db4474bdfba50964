"""Apache Kafka and PostgreSQL in containers, from the official images, for as long as a block of code runs.

Not tested where CI has no container engine. For servers that stay up, see `deploy/compose.yaml`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from services.backing import kafka, postgres
from services.backing.child import free_port
from services.backing.failures import ContainersUnavailable
from services.backing.instance import Backing
from services.chassis.kafka import Kafka

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:18"


@contextmanager
def run(*, say: Callable[[str], None]) -> Iterator[Backing]:
    """Start both servers in containers, give their addresses, and remove them with their data afterwards.

    ContainersUnavailable if testcontainers (a development requirement) or a container engine is missing.
    """
    try:
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.wait_strategies import ExecWaitStrategy, LogMessageWaitStrategy
    except ImportError as absent:
        raise ContainersUnavailable(cause=absent) from absent

    say(f"Starting {KAFKA_IMAGE} and {POSTGRES_IMAGE} in containers")
    # Clients are told the broker's port by the broker, so it must be known before the container starts.
    kafka_port = free_port(kafka.PORTS.start, kafka.PORTS)
    postgres_port = free_port(kafka_port + 1, kafka.PORTS)
    with ExitStack() as containers:
        try:
            broker = DockerContainer(KAFKA_IMAGE).with_envs(**kafka_environment(kafka_port))
            containers.callback(broker.stop)
            # On the loopback interface only, which the library's own way of binding a port cannot say.
            broker.ports = {"9092/tcp": ("127.0.0.1", kafka_port)}  # type: ignore[dict-item]
            broker.waiting_for(LogMessageWaitStrategy("Kafka Server started")).start()
            server = DockerContainer(POSTGRES_IMAGE).with_command(postgres_command())
            containers.callback(server.stop)
            server.with_envs(POSTGRES_HOST_AUTH_METHOD="trust", POSTGRES_DB=postgres.DATABASE)
            server.ports = {"5432/tcp": ("127.0.0.1", postgres_port)}  # type: ignore[dict-item]
            # Over TCP: while the image prepares its database, the server answers on its socket only.
            server.waiting_for(ExecWaitStrategy(["pg_isready", "--host", "127.0.0.1"])).start()
        except Exception as cause:  # the engine's client raises many kinds; all mean that there is no container
            raise ContainersUnavailable(cause=cause) from cause
        yield Backing(
            kafka=Kafka(f"127.0.0.1:{kafka_port}"),
            database_url=f"postgresql://postgres@127.0.0.1:{postgres_port}/{postgres.DATABASE}",
        )


def kafka_environment(port: int) -> dict[str, str]:
    """Give the broker's settings as the image reads them; clients outside reach it on this port of 127.0.0.1."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": "CLIENT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": "1@127.0.0.1:9093",
        **kafka.SETTINGS,
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}


def postgres_command() -> str:
    """Give the command of the image that sets what the embedded server sets."""
    return " ".join(["postgres", *(f"-c {name}={value}" for name, value in postgres.SETTINGS.items())])
