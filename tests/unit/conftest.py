"""What several modules of unit tests need."""

import pytest

from services.chassis import step


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses before a retry last no time."""
    monkeypatch.setattr(step, "FIRST_PAUSE", 0.0)
