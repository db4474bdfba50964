"""The report of a run: one HTML file that needs nothing else, the verdict first."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtests import figures, histograms, plots
from loadtests.histograms import Interval
from loadtests.run import Run

STYLE = (Path(__file__).parent / "report.css").read_text() + "".join(
    f".line.c{number} {{ stroke: var(--c{number}) }} .name.c{number} {{ fill: var(--c{number}) }}\n"
    for number in range(plots.COLOURS)
)

PAGE = Template(
    """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title><style>$style</style>
<p class="verdict$bad">$verdict</p>
<h1>$title</h1>
<p>$shows</p>$assumes
<p class="soft">$about</p>
<div class="keys">$keys</div>
$sections
</html>
"""
)

SAID_OF = {
    "": "answered",
    "outcome": "until the outcome was seen",
    "told": "until the last message was seen",
    "refused": "until it was refused",
    "failed": "until it failed",
    "late": "how late the sender was",
}


def page(run: Run, intervals: Sequence[Interval], result: Mapping[str, Any]) -> str:
    """The whole page."""
    by_tag = histograms.by_tag(intervals)
    scenario = run.scenario
    assumes = "".join(f'<p class="soft">Assumed: {escape(one)}</p>' for one in scenario.assumes)
    early = " It was stopped early: the figures are of what was sent until then." if run.stopped else ""
    machine = result["machine"]
    about = (
        f"{machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}, the "
        f"sender among them. Every latency is from the moment at which the request was to leave.{early}"
    )
    sections = [
        _section("Latency by percentile", plots.by_percentile(_worth_a_line(by_tag))),
        _section("Over the run", _over_time(run, intervals)),
        _section("Latencies in milliseconds", _latency_table(by_tag)),
        *(
            _section(f"Steps of {one['name']}", _step_table(one["steps"]))
            for one in result["streams"]
            if "steps" in one
        ),
        _section("What it used", _usage_table(run, result)),
        _section("Accounting", _account_table(result["account"])),
    ]
    return PAGE.substitute(
        title=escape(scenario.title),
        style=STYLE,
        bad="" if run.account.adds_up else " bad",
        verdict=escape(run.account.verdict),
        shows=escape(scenario.shows),
        assumes=assumes,
        about=about,
        keys="".join(_key(*one) for one in _keys(run, result, by_tag)),
        sections="".join(sections),
    )


def name_of(tag: str) -> str:
    """What a tag is called."""
    stream, _, what = tag.partition(".")
    return f"{stream}: {SAID_OF[what]}"


def _worth_a_line(by_tag: Mapping[str, HdrHistogram]) -> dict[str, HdrHistogram]:
    return {_short(tag): one for tag, one in sorted(by_tag.items()) if not tag.endswith((".late", ".failed"))}


def _short(tag: str) -> str:
    stream, _, what = tag.partition(".")
    return f"{stream}, {what}" if what else stream


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}"


def _key(value: str, what: str) -> str:
    return f'<div class="key"><b>{escape(value)}</b><span>{escape(what)}</span></div>'


def _keys(run: Run, result: Mapping[str, Any], by_tag: Mapping[str, HdrHistogram]) -> list[tuple[str, str]]:
    seconds = max(result["until_all_was_told_s"], 1e-9)
    account = run.account
    keys = [(f"{account.sent:,}", "sent")]
    if account.outcomes:
        keys += [
            (f"{account.outcomes / seconds:,.0f} /s", "referrals ended, from the first request to the last message"),
            (f"{seconds:,.1f} s", "until all was told"),
        ]
    for one in run.planned:
        name, tag = one.load.name, f"{one.load.name}.told" if one.load.kind == "event" else one.load.name
        if tag in by_tag:
            for percentile in (50, 99):
                what = f"p{percentile} of {name}" + (" until all was told" if one.load.kind == "event" else "")
                keys.append((_in_units(histograms.milliseconds(by_tag[tag], percentile)), what))
    keys += [
        (f"{account.refused:,}", "refused"),
        (f"{account.failed:,}", "failed: left without an answer"),
        (f"{account.lost:,} / {account.doubled:,}", "lost / doubled"),
    ]
    return keys


def _in_units(milliseconds: float) -> str:
    return f"{milliseconds:,.1f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:,.1f} s"


def _over_time(run: Run, intervals: Sequence[Interval]) -> str:
    cpu, memory, behind = figures.usage_lines(run)
    through = figures.throughput(run)
    lines: dict[str, plots.Line] = {}
    for one in run.planned:
        tag = f"{one.load.name}.told" if one.load.kind == "event" else one.load.name
        found = figures.latency_lines(intervals, tag)
        lines |= {f"{_short(tag)} {name}": line for name, line in found.items()}
    every: Sequence[plots.Line] = [*through.values(), *cpu.values(), *memory.values(), *behind.values()]
    seconds = max((at for line in every for at, _ in line), default=1.0)
    panels: list[tuple[str, Mapping[str, plots.Line], str, bool]] = [
        ("Throughput", through, "a second", False),
        ("Latency", lines, "ms", True),
        ("Lag by reader and topic", behind, "records", False),
        ("CPU by process", cpu, "cores", False),
        ("Memory by process", memory, "MB", False),
    ]
    return "".join(
        f"<h3>{title}</h3>"
        + (
            plots.over_time(shown, seconds=seconds, unit=unit, logarithmic=logarithmic)
            if any(shown.values())
            else '<p class="soft">nothing</p>'
        )
        for title, shown, unit, logarithmic in panels
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_said(one))}</td>' for one in row)}</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def _said(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _latency_table(by_tag: Mapping[str, HdrHistogram]) -> str:
    found = {tag: histograms.figures(one) for tag, one in sorted(by_tag.items())}
    head = ["", "count", *(f"p{one:g}" for one in histograms.PERCENTILES), "longest", "mean"]
    return _table(head, [[name_of(tag), *one.values()] for tag, one in found.items()])


def _step_table(steps: Sequence[Mapping[str, Any]]) -> str:
    head = ["offered a second", "offered", "good a second", "refused", "failed", "answered p99 ms", "refused p99 ms"]
    names = ["per_second", "offered", "goodput_per_second", "refused", "failed", "answered_p99_ms", "refused_p99_ms"]
    head, names = [*head, "normal after s"], [*names, "normal_after_s"]
    return _table(head, [[step[name] for name in names] for step in steps])


def _usage_table(run: Run, result: Mapping[str, Any]) -> str:
    referrals = run.account.outcomes
    rows = []
    for name, cpu in result["cpu_s"].items():
        memory = [one.usage[name].memory_mb for one in run.samples if name in one.usage]
        growth = result["memory_growth_percent"].get(name)
        each = round(cpu / referrals * 1000, 3) if referrals else None
        rows.append([name, cpu, each, round(max(memory), 1), None if growth is None else f"{growth:+} %"])
    head = ["process", "CPU seconds", "CPU ms a referral", "most memory, MB", "memory, second fifth to last"]
    return _table(head, rows)


def _account_table(account: Mapping[str, Any]) -> str:
    numbers = {name: value for name, value in account.items() if isinstance(value, int) and not isinstance(value, bool)}
    faults = "".join(f"<p>{escape(one)}</p>" for one in account["faults"][:20])
    rows = [
        [
            one["sentence"],
            one["looked_at"] or None,
            _held(one),
        ]
        for one in account["invariants"]
    ]
    counts = _table(list(numbers), [list(numbers.values())])
    return faults + counts + "<h3>Invariants</h3>" + _table(["invariant", "facts looked at", ""], rows)


def _held(finding: Mapping[str, Any]) -> str:
    if finding["unchecked"]:
        return f"not checked: {finding['unchecked']}"
    return f"BROKEN {finding['broken']}" if finding["broken"] else "holds"
