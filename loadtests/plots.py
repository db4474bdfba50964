"""Plots as SVG: lines over time on one axis, and latency by percentile. Nothing is fetched, and no script runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from hdrh.histogram import HdrHistogram

from loadtests import histograms

Line = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 1000, 190
LEFT, RIGHT, TOP, BOTTOM = 66, 190, 12, 26
COLOURS = 8
"""Classes `c0` to `c7` of the style sheet; more lines than that begin again, dashed."""

MOST_LINES = 12
LABEL_HEIGHT = 13
TALL = 320
PERCENTILE_TICKS = (0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999)


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    begins: float
    ends: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = log10(low), log10(high), log10(max(value, low))
        part = (min(max(value, low), high) - low) / (high - low or 1)
        return self.begins + part * (self.ends - self.begins)


def over_time(lines: Mapping[str, Line], *, seconds: float, unit: str, logarithmic: bool = False) -> str:
    """Lines over the seconds of a run, each named at its end. The same `seconds` gives the same axis."""
    shown = dict(list(lines.items())[:MOST_LINES])
    values = [value for line in shown.values() for _, value in line]
    x = _Scale(0, seconds, LEFT, WIDTH - RIGHT)
    y, ticks = _upright(values, HEIGHT, logarithmic=logarithmic)
    parts = _axes(y, ticks, unit, HEIGHT)
    for tick in _ticks(seconds, 8):
        parts.append(_tick_below(x(tick), _clock(tick, seconds), HEIGHT))
    return _drawn(parts, shown, x, y, HEIGHT)


def by_percentile(of: Mapping[str, HdrHistogram]) -> str:
    """Latency by percentile, in milliseconds, each further digit of the percentile as wide as the one before."""
    lines = {name: _distribution(histogram) for name, histogram in of.items() if histogram.get_total_count()}
    furthest = max((line[-1][0] for line in lines.values()), default=2.0)
    x = _Scale(0, furthest, LEFT, WIDTH - RIGHT)
    y, ticks = _upright([value for line in lines.values() for _, value in line], TALL, logarithmic=True)
    parts = _axes(y, ticks, "ms", TALL)
    for percentile in PERCENTILE_TICKS:
        if (at := _nines(percentile)) <= furthest:
            parts.append(_tick_below(x(at), f"{percentile:g}%", TALL))
    return _drawn(parts, lines, x, y, TALL)


def _distribution(histogram: HdrHistogram) -> list[tuple[float, float]]:
    count = histogram.get_total_count()
    furthest = max(1.0, log10(count))
    steps = [furthest * number / 200 for number in range(201)]
    return [(at, histograms.milliseconds(histogram, 100 * (1 - 10**-at))) for at in steps]


def _nines(percentile: float) -> float:
    return -log10(1 - percentile / 100)


def _upright(values: Sequence[float], height: int, *, logarithmic: bool) -> tuple[_Scale, list[float]]:
    if logarithmic:
        positive = [value for value in values if value > 0] or [1.0]
        low, high = 10 ** floor(log10(min(positive))), 10 ** ceil(log10(max(positive) * 1.0001))
        decades = range(round(log10(low)), round(log10(high)) + 1)
        return _Scale(low, high, height - BOTTOM, TOP, logarithmic=True), [10.0**decade for decade in decades]
    ticks = _ticks(max([*values, 1e-9]) * 1.05, 4)
    return _Scale(0, max(ticks[-1], *values, 1e-9) if values else 1, height - BOTTOM, TOP), ticks


def _ticks(most: float, about: int) -> list[float]:
    """Round values from 0 up to `most`."""
    rough = most / about
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [round(number * step, 10) for number in range(int(most / step) + 1)]


def _axes(y: _Scale, ticks: Sequence[float], unit: str, height: int) -> list[str]:
    parts = []
    for tick in ticks:
        at = y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{at + 4:.1f}">{_number(tick)}</text>')
    parts.append(
        f'<text class="unit" transform="translate(12 {(TOP + height - BOTTOM) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(unit)}</text>'
    )
    return parts


def _tick_below(at: float, text: str, height: int) -> str:
    return (
        f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'
        f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{height - 8}">{text}</text>'
    )


def _drawn(parts: list[str], lines: Mapping[str, Line], x: _Scale, y: _Scale, height: int) -> str:
    ends: list[tuple[float, int, str]] = []
    for number, (name, line) in enumerate(lines.items()):
        if not line:
            continue
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line)
        dashed = ' stroke-dasharray="5 3"' if number >= COLOURS else ""
        parts.append(f'<polyline class="line c{number % COLOURS}" points="{points}"{dashed}/>')
        ends.append((y(line[-1][1]), number, name))
    for at, number, name in _spread(sorted(ends), height):
        parts.append(
            f'<text class="name c{number % COLOURS}" x="{WIDTH - RIGHT + 8}" y="{at + 4:.1f}">{escape(name)}</text>'
        )
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(parts)}</svg>'


def _spread(ends: list[tuple[float, int, str]], height: int) -> list[tuple[float, int, str]]:
    """Names at the ends of their lines, moved apart where they would cover each other."""
    placed: list[tuple[float, int, str]] = []
    for at, number, name in ends:
        lowest = placed[-1][0] + LABEL_HEIGHT if placed else TOP
        placed.append((max(at, lowest), number, name))
    over = placed[-1][0] - (height - 4) if placed else 0.0
    if over > 0:
        limit = float(height - 4)
        for index in range(len(placed) - 1, -1, -1):
            at, number, name = placed[index]
            placed[index] = (min(at, limit), number, name)
            limit = placed[index][0] - LABEL_HEIGHT
    return placed


def _number(value: float) -> str:
    if value and abs(value) < 1:
        return f"{value:g}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _clock(at: float, seconds: float) -> str:
    if seconds < 600:
        return f"{at:g} s"
    return f"{at / 60:g} min"
