"""What booking can be told to do otherwise."""

import pytest
from pydantic import ValidationError

from services.booking.settings import BookingSettings


def test_what_is_not_set_has_its_default() -> None:
    """An empty value counts as not set."""
    assert BookingSettings(horizon_days=7, slot_lead_minutes=10) == BookingSettings.read({"ONWARD_HORIZON_DAYS": ""})


def test_what_is_set_counts() -> None:
    """Days and minutes."""
    read = BookingSettings.read({"ONWARD_HORIZON_DAYS": "14", "ONWARD_SLOT_LEAD_MINUTES": "0"})
    assert BookingSettings(horizon_days=14, slot_lead_minutes=0) == read


@pytest.mark.parametrize("days", ["0", "61", "a week"])
def test_a_horizon_that_makes_no_sense_is_refused(days: str) -> None:
    """A diary of no days, of a year, or of words."""
    with pytest.raises(ValidationError):
        BookingSettings.read({"ONWARD_HORIZON_DAYS": days})
