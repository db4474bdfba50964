"""Settings of a process, read once from its environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.chassis.settings import Settings, SettingsMissing

REQUIRED = {
    "KAFKA_BOOTSTRAP_SERVERS": "here:9092",
    "DATABASE_URL": "postgresql://here/onward",
    "ONWARD_KEYS_FILE": "keys.json",
}


def test_what_is_required_is_enough() -> None:
    """The rest has defaults for one process on one machine."""
    settings = Settings.read(REQUIRED)
    assert ("here:9092", Path("keys.json"), "", 8080) == (
        settings.kafka.bootstrap_servers,
        settings.keys_file,
        settings.topic_prefix,
        settings.http_port,
    )


def test_numbers_are_read_as_numbers() -> None:
    """The environment holds text only."""
    settings = Settings.read(REQUIRED | {"ONWARD_HTTP_PORT": "9000", "ONWARD_POOL_SIZE": "9"})
    assert (9000, 9) == (settings.http_port, settings.pool_size)


def test_an_empty_variable_counts_as_absent() -> None:
    """Deployments often set one to nothing."""
    assert 8080 == Settings.read(REQUIRED | {"ONWARD_HTTP_PORT": ""}).http_port


def test_every_missing_setting_is_named_at_once() -> None:
    """Whoever deploys mends all of them in one go."""
    with pytest.raises(SettingsMissing, match="KAFKA_BOOTSTRAP_SERVERS, DATABASE_URL, ONWARD_KEYS_FILE"):
        Settings.read({})


def test_settings_do_not_change() -> None:
    """What was read at the start holds for the life of the process."""
    settings = Settings.read(REQUIRED)
    with pytest.raises(ValidationError):
        settings.topic_prefix = "other-"  # type: ignore[misc]
