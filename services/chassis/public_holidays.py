"""Public holidays of a site, for every service that works out hours."""

from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path

from services.chassis.versioned_table import VersionedTable, read_table

SHIPPED = Path(str(files("services.chassis") / "public_holidays.toml"))
"""England's."""


class PublicHolidays(VersionedTable):
    """The table of a site."""

    days: frozenset[date]


def public_holidays(environ: Mapping[str, str]) -> frozenset[date]:
    """The days of the table that ONWARD_PUBLIC_HOLIDAYS names, else of England. Raises TableFaulty."""
    return read_table(Path(environ.get("ONWARD_PUBLIC_HOLIDAYS") or SHIPPED), PublicHolidays).days
