"""The public holidays of a site."""

from datetime import date
from pathlib import Path

import pytest

from services.chassis.public_holidays import public_holidays
from services.chassis.versioned_table import TableFaulty


def test_public_holidays_of_england() -> None:
    """Eight a year. Easter is where it is, and a holiday at a week-end is kept on a weekday."""
    days = public_holidays({})
    assert [8, 8, 8] == [len({day for day in days if day.year == year}) for year in (2026, 2027, 2028)]
    assert {date(2026, 4, 6), date(2027, 3, 29), date(2028, 4, 17)} <= days  # Easter Mondays
    assert {day for day in days if day.weekday() > 4} == set()


def test_a_site_names_its_own(tmp_path: Path) -> None:
    """In place of England's."""
    own = tmp_path / "own.toml"
    own.write_text('name = "a site\'s"\nversion = "1"\ndays = [2026-11-30]\n')
    assert {date(2026, 11, 30)} == public_holidays({"ONWARD_PUBLIC_HOLIDAYS": str(own)})


def test_a_fault_of_the_table_is_named(tmp_path: Path) -> None:
    """Where it is in the file; nothing starts with it."""
    own = tmp_path / "own.toml"
    own.write_text('name = "a site\'s"\nversion = "1"\ndays = [2026-11-30, "someday"]\n')
    with pytest.raises(TableFaulty, match=r"own\.toml: days\.1: "):
        public_holidays({"ONWARD_PUBLIC_HOLIDAYS": str(own)})
