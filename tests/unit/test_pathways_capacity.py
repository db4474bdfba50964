"""Capacity with its age: what a report says at a moment, and how that counts in the order."""

from datetime import timedelta
from pathlib import Path

import pytest

from contracts.directory import CapacityReportedData
from services.pathways.capacity import CapacityOrder, CapacityOrderFaulty, Row, Standing, Status, standing, status
from services.pathways.settings import PathwaysSettings
from tests.pathways_examples import NOON, reported

REPORTED = NOON - timedelta(minutes=10)
RESETS = NOON + timedelta(minutes=50)
TABLE = """
name = "an example"
source = "a test"
never_reported_adds_km = 7
rows = [
  { status = "green", adds_km = 0 },
  { status = "green", from_minutes = 120, adds_km = 1 },
  { status = "amber", adds_km = 3 },
  { status = "unknown", from_minutes = 30, adds_km = 5 },
  { status = "unknown", adds_km = 2 },
]
"""


def report(capacity: str = "green") -> CapacityReportedData:
    """A report of ten to twelve, which runs out at ten to one."""
    return reported("S1", capacity, resets_at=RESETS).data


@pytest.fixture
def order(tmp_path: Path) -> CapacityOrder:
    """The example's table, as it is read."""
    return CapacityOrder.read(written(tmp_path, TABLE))


def written(folder: Path, table: str) -> Path:
    """A file that holds a table."""
    file = folder / "capacity.toml"
    file.write_text(table)
    return file


def test_never_reported_is_unknown() -> None:
    """And not green; nobody knows since when."""
    assert ("unknown", Standing("unknown", None, None)) == (status(None, NOON), standing(None, NOON))


@pytest.mark.parametrize("capacity", ["red", "amber", "green"])
def test_a_report_holds_until_it_runs_out(capacity: Status) -> None:
    """From its receipt up to, and not including, its reset."""
    last = RESETS - timedelta(microseconds=1)
    assert (capacity, Standing(capacity, REPORTED, RESETS)) == (
        status(report(capacity), last),
        standing(report(capacity), last),
    )


@pytest.mark.parametrize("capacity", ["red", "amber", "green"])
def test_a_report_that_has_run_out_is_unknown_since_then(capacity: Status) -> None:
    """Red does not become green by the passing of time."""
    assert ("unknown", Standing("unknown", RESETS, None)) == (
        status(report(capacity), RESETS),
        standing(report(capacity), RESETS + timedelta(days=1)),
    )


def test_a_report_without_a_reset_holds() -> None:
    """As long as it is not replaced."""
    forever = reported("S1", "amber").data
    assert Standing("amber", REPORTED, None) == standing(forever, NOON + timedelta(days=400))


@pytest.mark.parametrize(
    ("one", "age", "km"),
    [
        (Standing("green", NOON, RESETS), timedelta(minutes=119, seconds=59), 0),
        (Standing("green", NOON, RESETS), timedelta(minutes=120), 1),
        (Standing("green", NOON, RESETS), timedelta(days=9), 1),
        (Standing("green", NOON, RESETS), timedelta(minutes=-1), 0),
        (Standing("amber", NOON, RESETS), timedelta(0), 3),
        (Standing("unknown", NOON, None), timedelta(minutes=29), 2),
        (Standing("unknown", NOON, None), timedelta(minutes=30), 5),
        (Standing("unknown", None, None), timedelta(0), 7),
        (Standing("red", NOON, RESETS), timedelta(0), 0),
    ],
)
def test_how_status_and_age_count_is_data(order: CapacityOrder, one: Standing, age: timedelta, km: float) -> None:
    """The last row whose age has been reached says by how many km; rows may stand in any order."""
    assert km == order.adds_km(one, NOON + age)


def test_the_shipped_table_leaves_the_published_order_alone() -> None:
    """And it is read where nobody names another."""
    shipped = CapacityOrder.read(PathwaysSettings.read({}).capacity_order)
    assert not shipped.counts
    for one in ("green", "amber", "unknown"):
        assert 0 == shipped.adds_km(Standing(one, NOON, None), NOON + timedelta(days=3))


@pytest.mark.parametrize(
    "changed",
    [
        {"never_reported_adds_km": 1},
        {"rows": (Row(status="green", adds_km=0), Row(status="green", from_minutes=9, adds_km=0.5))},
    ],
)
def test_a_table_that_adds_anything_counts(changed: dict[str, object]) -> None:
    """However late it does."""
    nothing = CapacityOrder.read(PathwaysSettings.read({}).capacity_order)
    assert nothing.model_copy(update=changed).counts


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("adds_km = 3", "adds_km = -3", "/rows/2/adds_km"),
        ('"amber"', '"black"', "/rows/2/status"),
        ('status = "amber"', 'status = "green"', "from which age green counts"),
        ('{ status = "amber", adds_km = 3 },', "", "no row says how amber counts"),
        ("adds_km = 1 ", "add_km = 1 ", "/rows/1/add_km"),
        ("name = ", "name ", "capacity.toml"),
    ],
)
def test_a_faulty_table_is_refused_with_what_is_wrong(tmp_path: Path, was: str, becomes: str, says: str) -> None:
    """And where."""
    assert was in TABLE
    with pytest.raises(CapacityOrderFaulty, match=says):
        CapacityOrder.read(written(tmp_path, TABLE.replace(was, becomes, 1)))


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(CapacityOrderFaulty, match=r"nowhere\.toml"):
        CapacityOrder.read(tmp_path / "nowhere.toml")


def test_a_site_names_its_own_table() -> None:
    """In the environment."""
    environ = {"ONWARD_PATHWAYS_CAPACITY_ORDER": "/etc/onward/capacity.toml"}
    assert Path("/etc/onward/capacity.toml") == PathwaysSettings.read(environ).capacity_order
