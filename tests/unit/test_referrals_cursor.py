"""A place in the feed, as it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.referrals.cursor import Cursor


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
def test_a_cursor_is_read_as_it_was_written(epoch: int, position: int) -> None:
    """A reader hands back what it was given."""
    assert Cursor(epoch, position) == Cursor.read(str(Cursor(epoch, position)))


@pytest.mark.parametrize(
    "written",
    ["", "1", "-", "1-", "-1", "1--1", "01-1", "1-01", " 1-1", "1-1\n", "1-x", "1-1-1", "٣-1", "1-" + "9" * 19],
)
def test_what_is_not_a_cursor_is_refused(written: str) -> None:
    """Anything else is a fault of the caller, not a place to begin."""
    with pytest.raises(ValueError):
        Cursor.read(written)
