"""The folder of a run: what is kept of it, and how runs are merged and compared.

`journal.jsonl` has every request, `latencies.hlog` histograms by second, `result.json` the figures, `report.html` all
of it for people.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from loadtests import figures, histograms, report
from loadtests.run import Run

JOURNAL, LATENCIES, RESULT, REPORT = "journal.jsonl", "latencies.hlog", "result.json", "report.html"
COMPARED = (50.0, 90.0, 99.0, 99.9)


def keep(run: Run) -> dict[str, Any]:
    """Write what is kept of a run into its folder, and return its result."""
    intervals = histograms.by_second(figures.measured(run))
    histograms.write(run.folder / LATENCIES, intervals, began=run.began)
    result = figures.described(run, intervals)
    (run.folder / RESULT).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (run.folder / REPORT).write_text(report.page(run, intervals, result))
    return result


class NoRun(Exception):
    """There is no log of latencies where a run was said to be."""

    def __init__(self, place: Path) -> None:
        super().__init__(f"{place} is neither the folder of a run, with {LATENCIES} in it, nor such a file")


def latencies_of(place: Path) -> Path:
    """The histograms of a run, by its folder or the file itself. Raises NoRun."""
    file = place / LATENCIES if place.is_dir() else place
    if not file.is_file():
        raise NoRun(place)
    return file


def merge(out: Path, places: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Write the histograms of several runs as one log; returns the figures of each tag."""
    merged = histograms.merged([latencies_of(place) for place in places])
    histograms.write(out, merged, began=0.0)
    return {tag: histograms.figures(one) for tag, one in histograms.by_tag(merged).items()}


def compare(one: Path, other: Path) -> Iterator[tuple[str, str, float, float, float]]:
    """What both measured: tag, figure, the one's value, the other's, and by how many percent the other's is more."""
    first, second = (histograms.by_tag(histograms.read(latencies_of(place))) for place in (one, other))
    for tag in sorted(first.keys() & second.keys()):
        for percentile in COMPARED:
            before, after = (histograms.milliseconds(of[tag], percentile) for of in (first, second))
            yield tag, f"p{percentile:g}, ms", before, after, _more(before, after)
    for name, before, after in _costs(one, other):
        yield "", name, before, after, _more(before, after)


def _more(before: float, after: float) -> float:
    return (after / before - 1) * 100 if before else 0.0


def _costs(one: Path, other: Path) -> Iterator[tuple[str, float, float]]:
    """CPU a referral, by process, where both places are folders of runs."""
    if not (one.is_dir() and other.is_dir()):
        return
    first, second = (json.loads((place / RESULT).read_text()) for place in (one, other))
    for name in first["cpu_s"].keys() & second["cpu_s"].keys():
        ended = [result["account"]["outcomes"] for result in (first, second)]
        if all(ended):
            before, after = (
                result["cpu_s"][name] / count * 1000 for result, count in zip((first, second), ended, strict=True)
            )
            yield f"CPU of {name}, ms a referral", before, after
