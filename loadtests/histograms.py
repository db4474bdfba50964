"""Latencies as HDR histograms, in files that can be merged and compared.

A file is a log in the HdrHistogram format, version 1.2, tagged by what was measured, a histogram for each second: any
tool that reads such logs reads these. Latencies are microseconds, from 1 to an hour, to 3 significant digits.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)


class Interval(NamedTuple):
    """What was measured in an interval, in seconds from the beginning of the run."""

    tag: str
    begins: float
    seconds: float
    histogram: HdrHistogram


class HistogramsUnreadable(Exception):
    """A file is no log of histograms."""

    def __init__(self, file: Path, line: int, why: str) -> None:
        super().__init__(f"{file}, line {line}: {why}; a line is [Tag=...,]begins,seconds,longest,histogram")


def new() -> HdrHistogram:
    """An empty histogram."""
    return HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)


def recorded(latencies_s: Iterable[float]) -> HdrHistogram:
    """A histogram of latencies that are given in seconds."""
    histogram = new()
    for latency in latencies_s:
        histogram.record_value(min(HIGHEST_US, max(LOWEST_US, round(latency * 1e6))))
    return histogram


def by_second(measured: Mapping[str, Iterable[tuple[float, float]]]) -> list[Interval]:
    """Histograms of each tag and second, in order, from pairs of a moment and a latency, in seconds."""
    latencies: dict[tuple[int, str], list[float]] = defaultdict(list)
    for tag, pairs in measured.items():
        for at, latency in pairs:
            latencies[int(at), tag].append(latency)
    return [Interval(tag, float(at), 1.0, recorded(found)) for (at, tag), found in sorted(latencies.items())]


def write(file: Path, intervals: Iterable[Interval], *, began: float) -> None:
    """Write a log. `began` is when the run did, in seconds since 1970."""
    with file.open("w") as log:
        log.write("#[Histogram log format version 1.2]\n")
        log.write(f"#[StartTime: {began:.3f} (seconds since epoch)]\n")
        log.write('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n')
        for tag, begins, seconds, histogram in intervals:
            longest_ms = histogram.get_max_value() / 1000
            payload = histogram.encode().decode()
            log.write(f"Tag={tag},{begins:.3f},{seconds:.3f},{longest_ms:.3f},{payload}\n")


def read(file: Path) -> Iterator[Interval]:
    """The intervals of a log. Raises HistogramsUnreadable."""
    with file.open() as log:
        for number, line in enumerate(log, 1):
            if line.startswith(("#", '"')) or not line.strip():
                continue
            tag, rest = "", line.strip()
            if rest.startswith("Tag="):
                tag, _, rest = rest.removeprefix("Tag=").partition(",")
            try:
                begins, seconds, _, payload = rest.split(",")
                yield Interval(tag, float(begins), float(seconds), HdrHistogram.decode(payload))
            except Exception as error:  # the library raises errors of many kinds
                raise HistogramsUnreadable(file, number, type(error).__name__) from error


def by_tag(intervals: Iterable[Interval]) -> dict[str, HdrHistogram]:
    """Everything of each tag in one histogram."""
    whole: dict[str, HdrHistogram] = defaultdict(new)
    for one in intervals:
        whole[one.tag].add(one.histogram)
    return dict(whole)


def merged(files: Sequence[Path]) -> list[Interval]:
    """All logs in one, as if all had been measured at the same time: by tag and beginning of the interval."""
    whole: dict[tuple[float, str, float], HdrHistogram] = defaultdict(new)
    for file in files:
        for tag, begins, seconds, histogram in read(file):
            whole[begins, tag, seconds].add(histogram)
    return [Interval(tag, begins, seconds, one) for (begins, tag, seconds), one in sorted(whole.items(), key=_order)]


def _order(item: tuple[tuple[float, str, float], HdrHistogram]) -> tuple[float, str, float]:
    return item[0]


def milliseconds(histogram: HdrHistogram, percentile: float) -> float:
    """The latency that so many percent do not exceed."""
    return float(histogram.get_value_at_percentile(percentile)) / 1000


def figures(histogram: HdrHistogram) -> dict[str, float]:
    """Count, and percentiles in milliseconds."""
    found = {f"p{percentile:g}_ms": round(milliseconds(histogram, percentile), 3) for percentile in PERCENTILES}
    return {
        "count": int(histogram.get_total_count()),
        **found,
        "longest_ms": round(histogram.get_max_value() / 1000, 3),
        "mean_ms": round(histogram.get_mean_value() / 1000, 3),
    }
