"""The record of hazards names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_hazard_names_a_test_that_exists() -> None:
    """Each row of docs/hazards.md names at least one test, and each named test is there."""
    rows = [line for line in (ROOT / "docs" / "hazards.md").read_text().splitlines() if re.match(r"\| [A-Z]", line)]
    named = {row: re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row) for row in rows}

    missing = [
        f"{file}::{test}"
        for tests in named.values()
        for file, test in tests
        if not (ROOT / file).exists() or f"def {test}(" not in (ROOT / file).read_text()
    ]

    assert 25 < len(rows)
    assert [] == [row for row, tests in named.items() if not tests]
    assert [] == missing
