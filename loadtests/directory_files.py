"""Reading directory files: how long, and how much memory."""

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

from services.pathways.directory_export import write
from services.pathways.directory_file import read
from services.pathways.invented import invented
from services.pathways.towns import towns

FORMS = ("jsonl", "csv", "json", "fhir.json")
KILOBYTES_TO_MB = 1 / 1024


def measure(count: int) -> dict[str, float]:
    """The figures of so many services: each form is read in a process of its own, whose largest memory is told."""
    figures: dict[str, float] = {"services": count}
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            [file, *_] = write(invented(towns(), count, 1), Path(folder) / f"one.{form}")
            with multiprocessing.get_context("spawn").Pool(1) as process:
                seconds, before, after = process.apply(_read, (file,))
            figures |= {
                f"{form}_file_mb": round(file.stat().st_size / 1e6, 1),
                f"{form}_seconds": round(seconds, 1),
                f"{form}_memory_before_mb": round(before, 1),
                f"{form}_memory_mb": round(after, 1),
            }
            file.unlink()
    return figures


def _read(file: Path) -> tuple[float, float, float]:
    """Seconds, and the largest resident memory before and after, in MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTES_TO_MB
    began = time.perf_counter()
    for _ in read(file):
        pass
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTES_TO_MB
    return time.perf_counter() - began, before, after
