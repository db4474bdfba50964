"""Containers are given the same settings as the embedded servers; that they start is seen where there is an engine."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.backing import containers, postgres
from services.backing.failures import ContainersUnavailable

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


@pytest.fixture
def compose() -> dict[str, Any]:
    """The services that `deploy/compose.yaml` declares."""
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def test_compose_sets_what_the_embedded_broker_sets(compose: dict[str, Any]) -> None:
    """The broker of compose has the embedded broker's settings, and one more for where its data lies."""
    expected = {"KAFKA_LOG_DIRS": "/var/lib/kafka/data", **containers.kafka_environment(9092)}
    assert expected == compose["kafka"]["environment"]
    assert containers.KAFKA_IMAGE == compose["kafka"]["image"]


def test_compose_sets_what_the_embedded_postgresql_sets(compose: dict[str, Any]) -> None:
    """The PostgreSQL of compose has the embedded server's settings and database."""
    assert containers.postgres_command() == compose["postgres"]["command"]
    assert postgres.DATABASE == compose["postgres"]["environment"]["POSTGRES_DB"]
    assert containers.POSTGRES_IMAGE == compose["postgres"]["image"]


def test_compose_opens_ports_on_this_machine_only(compose: dict[str, Any]) -> None:
    """No port of compose can be reached from another machine."""
    ports = [port for service in compose.values() for port in service["ports"]]
    assert ["127.0.0.1:9092:9092", "127.0.0.1:5432:5432"] == ports


def test_a_missing_engine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a container engine, asking for containers fails with what to do instead."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(ContainersUnavailable, match="leave `--containers` out"), containers.run(say=lambda _: None):
        pytest.fail("there is no engine on port 1")
