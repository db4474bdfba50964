"""The dashboard and the alert rules, as tests look at them."""

import json
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
ALERTS = DEPLOY / "alerts"
DASHBOARD = DEPLOY / "dashboards" / "onward.json"


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, without the headings of its rows."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """Every query of the dashboard and of the alert rules."""
    rules = yaml.safe_load((ALERTS / "onward.yaml").read_text())["groups"][0]["rules"]
    return [one["expr"] for panel in panels() for one in panel["targets"]] + [rule["expr"] for rule in rules]
