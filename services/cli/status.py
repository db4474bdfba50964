"""What waits, and for how long, as the services' own metrics have it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

Number = int | float | None
"""None for what could not be counted."""

_OF_GROUPS = {
    "behind": "onward_group_lag_records",
    "oldest_seconds": "onward_unfinished_oldest_seconds",
    "newest_seconds": "onward_unfinished_newest_seconds",
}
_OF_SERVICES = {
    "unsettled": "onward_unsettled_submissions",
    "unsettled_oldest_seconds": "onward_unsettled_oldest_seconds",
    "dead_letters": "onward_dead_letters",
    "outbox_waiting": "onward_outbox_waiting",
    "outbox_oldest_seconds": "onward_outbox_oldest_seconds",
    "overdue_referrals": "onward_overdue_referrals",
    "overdue_owners": "onward_overdue_owners",
}
_SUMMED = {"unsettled"}
"""Each replica's own count; of all else every replica says the same, or the oldest counts."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, by service and topic, and by service."""

    groups: Mapping[tuple[str, str], Mapping[str, Number]]
    services: Mapping[str, Mapping[str, Number]]

    def described(self) -> dict[str, Any]:
        """For programs."""
        groups = [{"service": service, "topic": topic, **of} for (service, topic), of in self.groups.items()]
        return {"groups": groups, "services": self.services}

    def tables(self) -> list[Table]:
        """For people. A group that is not behind has no line of its own."""
        groups = Table("service", "topic", "behind", "oldest", box=None, header_style="bold")
        for (service, topic), of in self.groups.items():
            if of.get("behind") != 0 or of.get("oldest_seconds"):
                groups.add_row(service, topic, _count(of.get("behind")), _age(of.get("oldest_seconds")))
        services = Table("service", "waiting", "oldest", box=None, header_style="bold")
        for service, of in self.services.items():
            for what, name, oldest in _ROWS:
                if name in of:
                    services.add_row(f"{service}: {what}", _count(of[name]), _age(of.get(oldest, 0)))
        if not groups.row_count:
            groups.add_row("every group has read everything")
        return [groups, services]


_ROWS = (
    ("submissions without an outcome", "unsettled", "unsettled_oldest_seconds"),
    ("events to tell", "outbox_waiting", "outbox_oldest_seconds"),
    ("dead letters", "dead_letters", ""),
    ("referrals past their due time", "overdue_referrals", ""),
    ("owners who are late", "overdue_owners", ""),
)


def _count(number: Number) -> str:
    return "not known" if number is None else f"{number:,}"


def _age(seconds: Number) -> str:
    return "not known" if seconds is None else f"{seconds:.0f} s" if seconds else ""


def scraped(url: str) -> str:
    """The metrics of a process; nothing when it does not answer."""
    try:
        return httpx.get(f"{url}/metrics", timeout=5.0).raise_for_status().text
    except httpx.HTTPError:
        return ""


def backlog_in(scrapes: Iterable[str]) -> Backlog:
    """What the metrics of some processes say together."""
    groups: dict[tuple[str, str], dict[str, Number]] = defaultdict(dict)
    services: dict[str, dict[str, Number]] = defaultdict(dict)
    of_groups = {metric: name for name, metric in _OF_GROUPS.items()}
    of_services = {metric: name for name, metric in _OF_SERVICES.items()}
    for text in scrapes:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in of_groups:
                    key = sample.labels["service"], sample.labels["topic"]
                    _merge(groups[key], of_groups[sample.name], sample.value)
                elif sample.name in of_services:
                    _merge(services[sample.labels["service"]], of_services[sample.name], sample.value)
    return Backlog(dict(sorted(groups.items())), dict(sorted(services.items())))


def _merge(into: dict[str, Number], name: str, value: float) -> None:
    number: Number = None if math.isnan(value) else round(value, 1) if name.endswith("_seconds") else int(value)
    known = into.get(name)
    if known is None or number is None:
        into[name] = number if known is None else known
    else:
        into[name] = known + number if name in _SUMMED else max(known, number)
