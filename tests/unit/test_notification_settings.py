"""How messages are handed over, as the environment says."""

import pytest
from pydantic import ValidationError

from services.notification.settings import NotificationSettings


def test_the_environment_says_how_messages_are_handed_over() -> None:
    """What is named is taken, what is empty is left as it is."""
    environ = {"NOTIFICATION_BATCH": "7", "NOTIFICATION_POLL_SECONDS": ""}
    assert NotificationSettings(batch=7) == NotificationSettings.read(environ)


def test_a_batch_of_none_is_refused() -> None:
    """A setting with which nothing would ever leave stops the start."""
    with pytest.raises(ValidationError, match="batch"):
        NotificationSettings.read({"NOTIFICATION_BATCH": "0"})
