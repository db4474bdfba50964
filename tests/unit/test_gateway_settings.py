"""The gateway's settings."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.gateway.settings import GatewaySettings


def test_a_submission_may_be_acted_on_for_15_minutes() -> None:
    """Unless the setting says otherwise."""
    assert timedelta(minutes=15) == GatewaySettings.read({}).answer_within


def test_settings_come_from_the_environment() -> None:
    """By their names in capitals; an empty one is as one not set."""
    read = GatewaySettings.read({"ONWARD_GATEWAY_WAITERS": "3", "ONWARD_GATEWAY_BODY_BYTES": "", "OTHER": "x"})
    assert (3, 65_536) == (read.waiters, read.body_bytes)


def test_a_senseless_setting_is_refused() -> None:
    """At the start, not at the first request."""
    with pytest.raises(ValidationError):
        GatewaySettings.read({"ONWARD_GATEWAY_ANSWER_MINUTES": "0"})
