"""Documents made from the code are as the code is."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services import composition
from services.cli import documents

assert composition.SERVICES  # everything that counts is imported with them

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", documents.DOCUMENTS, ids=lambda file: file.name)
def test_a_document_is_current(file: Path) -> None:
    """Otherwise run `make docs`."""
    assert documents.DOCUMENTS[file]() == file.read_text(), f"{file.relative_to(ROOT)} is not current: run make docs"


def test_every_metric_is_documented_and_nothing_else_is() -> None:
    """What this process exposes under our name, and what docs/metrics.md lists, are the same."""
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("onward_")
    }
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert exposed == set(re.findall(r"^\| `(onward_\w+)`", page, re.MULTILINE))
