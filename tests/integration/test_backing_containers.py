"""Containers for tests; that they start is seen where there is an engine."""

from pathlib import Path

import pytest

from services.backing import containers
from services.backing.failures import ContainersUnavailable

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


def test_a_missing_engine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a container engine, asking for containers fails with what to do instead."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(ContainersUnavailable, match="leave `--containers` out"), containers.run(say=lambda _: None):
        pytest.fail("there is no engine on port 1")
