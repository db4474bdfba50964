"""What several modules of these tests need."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.backing import instance
from services.backing.settings import Settings
from services.chassis.kafka import Kafka
from tests.chassis_examples import make_topics


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


@pytest.fixture
async def topics(kafka: Kafka, prefix: str) -> None:
    """Desks to read, capacities to tell, and dead letters."""
    await make_topics(kafka, prefix, "desks", "capacity", "booking.dlq")
