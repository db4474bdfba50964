"""Dashboards and alert rules: they speak of metrics that exist, and each alert has its cases."""

import re
import subprocess

import pytest
import yaml

from tests.dashboards import ALERTS, DEPLOY, panels, queries


def documented() -> set[str]:
    """Every name that a query may use: a histogram has three."""
    page = (DEPLOY.parent / "docs" / "metrics.md").read_text()
    names = set()
    for name, kind in re.findall(r"^\| `(onward_\w+)` \| (\w+)", page, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def test_every_query_is_of_metrics_that_are_documented() -> None:
    """A name that nobody exposes would be an alert that never rings."""
    asked = {name for query in queries() for name in re.findall(r"\bonward_\w+", query)}
    assert set() == asked - documented()


def test_every_metric_is_on_the_dashboard() -> None:
    """In one of its forms."""
    shown = " ".join(one["expr"] for panel in panels() for one in panel["targets"])
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in documented()}
    assert set() == {name for name in families if name not in shown}


def test_the_panels_of_the_dashboard_stand_side_by_side() -> None:
    """None lies over another, all fit, and each has its own number."""
    places = [panel["gridPos"] for panel in panels()]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len(panels()) == len({panel["id"] for panel in panels()})


def test_every_alert_has_a_case_that_rings_and_one_that_does_not() -> None:
    """And says in words what is wrong and what to do."""
    rules = yaml.safe_load((ALERTS / "onward.yaml").read_text())["groups"][0]["rules"]
    cases = yaml.safe_load((ALERTS / "onward.test.yaml").read_text())["tests"]
    alerts = {rule["alert"] for rule in rules}
    ringing = {one["alertname"] for case in cases for one in case["alert_rule_test"] if one.get("exp_alerts")}
    quiet = {one["alertname"] for case in cases for one in case["alert_rule_test"] if not one.get("exp_alerts")}
    assert alerts == ringing == quiet
    assert all({"summary", "todo"} == rule["annotations"].keys() for rule in rules)


@pytest.mark.promtool
@pytest.mark.parametrize("ask", [("check", "rules", "onward.yaml"), ("test", "rules", "onward.test.yaml")])
def test_prometheus_takes_the_rules_and_they_ring(ask: tuple[str, str, str]) -> None:
    """Prometheus' own tool reads them and runs the cases."""
    done = subprocess.run(["promtool", *ask], cwd=ALERTS, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr
