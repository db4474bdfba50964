"""The reference positions of English health services, as a directory. Good geography, never one to send anyone to.

The material says where things are and little of what they do, so types and hours are given by this mapping:

| rows | type | open | takes patients |
|---|---|---|---|
| hospitals, `has_ed` likely or possible | 105 emergency department | always | as they come |
| every fifth of these, by its row | 121 primary PCI centre instead | always | as they come |
| every third of the rest of these | 122 hyper-acute stroke unit instead | always | as they come |
| hospitals for mental health | 142 mental-health crisis | always | accepts in 30 minutes |
| other hospitals, in turn | 140 same-day emergency care | weekdays 08:00 to 20:00 | accepts in 20 minutes |
| | 146 community response, 155 virtual ward | daily 08:00 to 20:00 | accepts in 20 minutes |
| urgent care | 135 urgent treatment centre | daily 08:00 to 22:00 | by slots |
| pharmacies | 13 pharmacy | weekdays 09:00 to 18:00, Saturday to 17:00 | as they come |
| GP practices | 100 GP practice | weekdays 08:00 to 18:30 | as they come |
| ambulance trusts | 158 ambulance service pathway | always | as they come |
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from contracts.directory import DAYS, OpeningHours, OpeningPeriod, Service, SlotSession
from contracts.people import Position

ALWAYS = OpeningHours(always=True)
EVERY_DAY = OpeningHours(periods=(OpeningPeriod(days=DAYS, opens="08:00", closes="20:00"),))
ON_WEEKDAYS = OpeningHours(periods=(OpeningPeriod(days=DAYS[:5], opens="08:00", closes="20:00"),))
CENTRE = OpeningHours(periods=(OpeningPeriod(days=DAYS, opens="08:00", closes="22:00"),))
SURGERY = OpeningHours(periods=(OpeningPeriod(days=DAYS[:5], opens="08:00", closes="18:30"),))
SHOP = OpeningHours(
    periods=(
        OpeningPeriod(days=DAYS[:5], opens="09:00", closes="18:00"),
        OpeningPeriod(days=("sat",), opens="09:00", closes="17:00"),
    )
)
SESSION = SlotSession(days=DAYS, begins="08:00", ends="22:00", slot_minutes=15, capacity=2)
ACCEPTANCE = {"booking": "acceptance", "accept_within_minutes": 20}

Row = Mapping[str, str]


def services(folder: Path) -> list[Service]:
    """Every service of the material that has a position, by the mapping above."""
    found: list[Service] = []
    for number, row in enumerate(_rows(folder / "hospitals.csv")):
        found += _service("H", number, row, **_hospital(row, number))
    for letter, name, what in (
        ("U", "urgent_care", {"service_type": 135, "hours": CENTRE, "booking": "slots", "sessions": (SESSION,)}),
        ("P", "pharmacies", {"service_type": 13, "hours": SHOP}),
        ("G", "gp_practices", {"service_type": 100, "hours": SURGERY}),
        ("A", "ambulance_trusts", {"service_type": 158, "hours": ALWAYS}),
    ):
        for number, row in enumerate(_rows(folder / f"{name}.csv")):
            found += _service(letter, number, row, **what)
    return found


def _hospital(row: Row, number: int) -> dict[str, Any]:
    if row["has_ed"] in ("likely", "possible"):
        service_type = 121 if number % 5 == 0 else 122 if number % 3 == 0 else 105
        return {"service_type": service_type, "hours": ALWAYS}
    if "mental" in row["subtype"].casefold():
        return {"service_type": 142, "hours": ALWAYS, "booking": "acceptance", "accept_within_minutes": 30}
    service_type = (140, 146, 155)[number % 3]
    return {"service_type": service_type, "hours": ON_WEEKDAYS if service_type == 140 else EVERY_DAY, **ACCEPTANCE}


def _service(letter: str, number: int, row: Row, **what: Any) -> Iterator[Service]:
    latitude, longitude = (row.get(name) or row.get(f"hq_{name}") or "" for name in ("latitude", "longitude"))
    if latitude and longitude:
        code = re.sub(r"[^A-Z0-9]", "", row["ods_code"].upper())
        yield Service(
            service_id=f"{letter}{number:05}",
            name=row["name"][:200] or "without a name",
            organisation=code if 3 <= len(code) <= 12 else "UNKNOWN",
            position=Position(latitude=float(latitude), longitude=float(longitude)),
            telephone="01632 960000",
            **what,
        )


def patients(folder: Path, count: int, random: Random) -> list[Position]:
    """Positions drawn by population: a small area by the people of its district, and a place within some km of it."""
    districts = {
        row["code"]: int(row["population"]) / int(row["msoa_count"]) for row in _rows(folder / "districts.csv")
    }
    areas = [row for row in _rows(folder / "msoas.csv") if row["district_code"] in districts]
    drawn = random.choices(areas, [districts[row["district_code"]] for row in areas], k=count)
    return [
        Position(
            latitude=float(row["latitude"]) + random.gauss(0, 0.008),
            longitude=float(row["longitude"]) + random.gauss(0, 0.013),
        )
        for row in drawn
    ]


def _rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)
