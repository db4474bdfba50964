"""The figures of a run, from its journal, its witness and its samples: for programs, histograms and the report."""

import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

import psutil

from loadtests import histograms
from loadtests.histograms import Interval
from loadtests.journal import Entry
from loadtests.run import Planned, Run
from loadtests.sampling import cores, cpu_seconds, growth_percent, names_in

NORMAL_SECONDS = 1.0
"""A transaction that is answered within so long is as it should be."""


def measured(run: Run) -> dict[str, list[tuple[float, float]]]:
    """Latencies by what was measured: pairs of the intended moment, from the beginning of the run, and the latency.

    `NAME` is what was answered, `NAME.refused` and `NAME.failed` the rest, `NAME.outcome` until the outcome was seen,
    `NAME.told` until the last message was, `NAME.late` how long after its moment the sender sent: its own fault.
    """
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    seen = run.witness.seen if run.witness is not None else {}
    for one in run.journal.entries:
        if one.due < run.began:
            continue  # sent to find out the capacity
        at = one.due - run.began
        found[f"{one.stream}.late"].append((at, one.sent - one.due))
        if one.fate == "under_way":
            continue
        if one.fate in ("refused", "failed"):
            found[f"{one.stream}.{one.fate}"].append((at, one.latency))
            continue
        found[one.stream].append((at, one.latency))
        whole = seen.get(one.referral) if one.referral else None
        if whole is not None and whole.whole(reachable=one.reachable):
            found[f"{one.stream}.outcome"].append((at, whole.ended - one.due))
            found[f"{one.stream}.told"].append((at, whole.told - one.due))
    return dict(found)


def last_told(run: Run) -> float:
    """Seconds from the beginning of the run to the last message that was told."""
    seen = run.witness.seen if run.witness is not None else {}
    told = [
        seen[one.referral].told for one in run.journal.entries if one.referral in seen and seen[one.referral].messages
    ]
    return max(told, default=run.ended) - run.began


def described(run: Run, intervals: Sequence[Interval]) -> dict[str, Any]:
    """The result of a run for programs."""
    by_tag = histograms.by_tag(intervals)
    done = last_told(run)
    return {
        "title": run.scenario.title,
        "adds_up": run.account.adds_up,
        "verdict": run.account.verdict,
        "stopped_early": run.stopped,
        "began": run.began,
        "seconds": round(run.ended - run.began, 2),
        "until_all_was_told_s": round(done, 2),
        "capacity_per_second": None if run.capacity is None else round(run.capacity, 1),
        "machine": machine(),
        "scenario": run.scenario.model_dump(mode="json", exclude_none=True),
        "asked": {name: value for name, value in vars(run.asked).items() if value is not None},
        "streams": [_of_stream(run, one) for one in run.planned],
        "latencies": {tag: histograms.figures(one) for tag, one in sorted(by_tag.items())},
        "cpu_s": cpu_seconds(run.samples),
        "memory_growth_percent": {
            name: growth_percent(run.samples, name) for name in names_in(one.usage for one in run.samples)
        },
        "most_behind": most_behind(run),
        "streamed_bytes": run.streamed_bytes,
        "account": run.account.described(),
    }


def machine() -> dict[str, Any]:
    """Where the sender ran."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def most_behind(run: Run) -> dict[str, int]:
    """By reader and topic, the most records that it was behind."""
    found = {
        name: max(one.lag.get(name, 0) for one in run.samples) for name in names_in(one.lag for one in run.samples)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _of_stream(run: Run, planned: Planned) -> dict[str, Any]:
    entries = [one for one in run.journal.entries if one.stream == planned.load.name and one.due >= run.began]
    schedule = planned.schedule
    said: dict[str, Any] = {
        "name": planned.load.name,
        "kind": planned.load.kind,
        "offered": len(entries),
        "seconds": round(schedule.seconds, 2),
        **_fates(entries, max(schedule.seconds, run.ended - run.began)),
    }
    if planned.load.schedule.steps is not None:
        ends = list(accumulate(piece.seconds for piece in schedule.pieces))
        said["steps"] = [
            _of_step(run, entries, end - piece.seconds, piece.seconds, piece.begins)
            for piece, end in zip(schedule.pieces, ends, strict=True)
        ]
    return said


def _fates(entries: Sequence[Entry], seconds: float) -> dict[str, Any]:
    counts = {fate: sum(one.fate == fate for one in entries) for fate in ("answered", "taken", "refused", "failed")}
    good = counts["answered"] + counts["taken"]
    return counts | {"good_per_second": round(good / max(seconds, 1e-9), 1)}


def _of_step(run: Run, entries: Sequence[Entry], begins: float, seconds: float, rate: float) -> dict[str, Any]:
    """One step: what was offered in it; and what was answered while it lasted, whenever that was asked."""
    own = [one for one in entries if begins <= one.due - run.began < begins + seconds]
    answered = sum(one.fate == "answered" and begins <= one.ended - run.began < begins + seconds for one in entries)
    odd = [one.due - run.began - begins for one in own if one.fate != "answered" or one.latency > NORMAL_SECONDS]
    return {
        "per_second": round(rate, 1),
        "begins_s": round(begins, 2),
        "offered": len(own),
        "refused": sum(one.fate == "refused" for one in own),
        "failed": sum(one.fate == "failed" for one in own),
        "goodput_per_second": round(answered / seconds, 1),
        "answered_p99_ms": _percentile((one.latency for one in own if one.fate == "answered"), 99),
        "refused_p99_ms": _percentile((one.latency for one in own if one.fate == "refused"), 99),
        "normal_after_s": round(max(odd, default=0.0), 2),
    }


def _percentile(latencies: Iterable[float], percentile: float) -> float | None:
    histogram = histograms.recorded(latencies)
    if not histogram.get_total_count():
        return None
    return round(histograms.milliseconds(histogram, percentile), 2)


Line = list[tuple[float, float]]


def by_second(moments: Iterable[float], seconds: float) -> Line:
    """How many in each second."""
    counts: dict[int, int] = defaultdict(int)
    for at in moments:
        counts[int(at)] += 1
    return [(second + 0.5, counts[second]) for second in range(int(seconds) + 1)]


def throughput(run: Run) -> dict[str, Line]:
    """A second: what was due, and what ended in which way."""
    entries = [one for one in run.journal.entries if one.due >= run.began]
    length = max((one.ended or one.due for one in entries), default=run.began) - run.began
    seen = run.witness.seen.values() if run.witness is not None else ()
    told = [one.ended - run.began for one in seen if one.outcomes]
    lines = {"offered": by_second((one.due - run.began for one in entries), length)}
    names: dict[str, Callable[[Entry], bool]] = {
        "answered": lambda one: one.fate == "answered",
        "refused": lambda one: one.fate == "refused",
        "failed": lambda one: one.fate in ("failed", "under_way"),
    }
    for name, counts in names.items():
        if moments := [one.ended - run.began for one in entries if counts(one)]:
            lines[name] = by_second(moments, length)
    if told := [at for at in told if at >= 0]:
        lines["outcomes"] = by_second(told, max(length, *told))
    return lines


def latency_lines(intervals: Sequence[Interval], tag: str) -> dict[str, Line]:
    """Percentiles over time, in milliseconds."""
    own = [one for one in intervals if one.tag == tag]
    return {
        f"p{percentile:g}": [(one.begins + 0.5, histograms.milliseconds(one.histogram, percentile)) for one in own]
        for percentile in (50, 99)
    }


def usage_lines(run: Run) -> tuple[dict[str, Line], dict[str, Line], dict[str, Line]]:
    """Cores and memory (MB) by process, and records behind by reader and topic, over the run."""
    samples = run.samples
    names = names_in(one.usage for one in samples)
    cpu = {name: _from(run, cores(samples, name)) for name in names}
    memory = {
        name: _from(run, [(one.at, one.usage[name].memory_mb) for one in samples if name in one.usage])
        for name in names
    }
    behind = {
        name: _from(run, [(one.at, float(one.lag.get(name, 0))) for one in samples])
        for name, most in most_behind(run).items()
        if most
    }
    return cpu, memory, behind


def _from(run: Run, line: Line) -> Line:
    return [(at - run.began, value) for at, value in line]
