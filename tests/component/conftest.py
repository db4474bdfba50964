"""Services that several modules of component tests ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway_running import Start, starting
from tests.gateway_settling import NOW
from tests.pathways_running import Pathways, running
from tests.referrals_replica import Replica, serving


@pytest.fixture(scope="session")
def keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the keys of callers are made."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
async def pathways(database: str, keys_folder: Path) -> AsyncIterator[Pathways]:
    """Pathways on this test's database."""
    async with running(database, keys_folder) as one:
        yield one


@pytest.fixture
async def replica(database: str, keys_folder: Path) -> AsyncIterator[Replica]:
    """A process that serves referrals on this test's database, over real HTTP."""
    async with serving(database, keys_folder) as replica:
        yield replica


@pytest.fixture
async def start(database: str, keys_folder: Path) -> AsyncIterator[Start]:
    """Start a replica on this test's database; with `wait_seconds` short, for tests that time out on purpose."""
    async with starting(database, keys_folder, clock=lambda: NOW) as start:
        yield start
