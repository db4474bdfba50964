"""Latencies in files: what was recorded is read again, merged and compared."""

import json
from pathlib import Path

import pytest
from hdrh.log import HistogramLogReader

from loadtests import histograms, results
from loadtests.histograms import HistogramsUnreadable


def log(file: Path, **measured: list[tuple[float, float]]) -> Path:
    """A log of these."""
    histograms.write(file, histograms.by_second(measured), began=1_700_000_000.0)
    return file


def test_what_was_measured_is_read_again(tmp_path):
    """By tag and second, to three significant digits."""
    file = log(tmp_path / "a.hlog", refer=[(0.1, 0.010), (0.9, 0.020), (1.0, 0.5)], lookup=[(3.0, 0.001)])
    read = list(histograms.read(file))
    assert [("refer", 0.0, 2), ("refer", 1.0, 1), ("lookup", 3.0, 1)] == [
        (one.tag, one.begins, one.histogram.get_total_count()) for one in read
    ]
    whole = histograms.by_tag(read)
    assert pytest.approx(20, rel=0.001) == histograms.milliseconds(whole["refer"], 50)
    assert pytest.approx(500, rel=0.001) == histograms.milliseconds(whole["refer"], 100)


def test_the_file_is_a_log_that_other_tools_read(tmp_path):
    """The library's own reader of the format finds the same."""
    file = log(tmp_path / "a.hlog", refer=[(0.1, 0.010), (0.2, 0.020)])
    interval = HistogramLogReader(str(file), histograms.new()).get_next_interval_histogram()
    assert ("refer", 2) == (interval.get_tag(), interval.get_total_count())


def test_logs_are_merged_by_second(tmp_path):
    """Two senders of one run make one log, with all that either measured."""
    one = log(tmp_path / "a.hlog", refer=[(0.1, 0.010), (1.1, 0.010)])
    other = log(tmp_path / "b.hlog", refer=[(0.2, 0.030)], lookup=[(0.5, 0.001)])
    figures = results.merge(tmp_path / "both.hlog", [one, other])
    assert {"refer": 3, "lookup": 1} == {tag: found["count"] for tag, found in figures.items()}
    assert [0.0, 0.0, 1.0] == [interval.begins for interval in histograms.read(tmp_path / "both.hlog")]


def test_runs_are_compared(tmp_path):
    """Each figure of both, and by how much the other's is more; CPU a referral where both are folders."""
    for name, latency, cpu in (("a", 0.010, 2.0), ("b", 0.015, 3.0)):
        folder = tmp_path / name
        folder.mkdir()
        log(folder / results.LATENCIES, refer=[(0.0, latency)])
        told = {"cpu_s": {"edge": cpu}, "account": {"outcomes": 1000}}
        (folder / results.RESULT).write_text(json.dumps(told))
    rows = list(results.compare(tmp_path / "a", tmp_path / "b"))
    assert ("refer", "p50, ms") == rows[0][:2]
    assert pytest.approx([10, 15, 50], rel=0.01) == rows[0][2:]
    assert ("", "CPU of edge, ms a referral", 2.0, 3.0, pytest.approx(50)) == rows[-1]


def test_what_is_no_log_is_refused_with_its_line(tmp_path):
    """The file, the line, and what a line must be."""
    file = log(tmp_path / "a.hlog", refer=[(0.0, 0.010)])
    file.write_text(file.read_text() + "Tag=refer,1.000,1.000\n")
    with pytest.raises(HistogramsUnreadable, match=r"a\.hlog, line 5: .*begins,seconds"):
        list(histograms.read(file))
    with pytest.raises(results.NoRun, match="neither the folder of a run"):
        results.latencies_of(tmp_path / "nothing")
