"""Directory files written: what the directory holds, or what was invented, in a form that reads as it was."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from services.pathways.directory_csv import write_csv
from services.pathways.directory_file import Entry

FORMS = (".jsonl", ".ndjson", ".json", ".csv", ".fhir.json")


class FormUnknown(Exception):
    """A directory is not written in a form of this name; the message says in which."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file}: a directory is written as {', '.join(FORMS)}: end the file's name with one of them")


def write(found: Iterable[Entry], path: Path) -> list[Path]:
    """Write a directory in the form of the file's ending, whole or not at all. Returns the files that were written.

    CSV has one kind of entry in a file, so desks go to a second one beside it. FHIR has no desks.
    """
    if not path.name.endswith(FORMS):
        raise FormUnknown(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        written = _write(found, Path(folder), path.name)
        return [one.replace(path.parent / one.name) for one in written]


def _write(found: Iterable[Entry], folder: Path, name: str) -> list[Path]:
    path = folder / name
    lines = path if name.endswith((".jsonl", ".ndjson")) else folder / f"{name}.lines"
    with lines.open("w", encoding="utf-8") as file:
        for entry in found:
            file.write(entry.model_dump_json() + "\n")
    if lines == path:
        return [path]
    with path.open("w", encoding="utf-8", newline="") as file:
        if name.endswith(".csv"):
            desks = path.with_name(f"{path.stem}-desks.csv")
            write_csv(_of_kind(lines, services=True), "services", file)
            with desks.open("w", encoding="utf-8", newline="") as other:
                write_csv(_of_kind(lines, services=False), "desks", other)
            return [path, desks]
        if name.endswith(".fhir.json"):
            from services.pathways.directory_fhir import write_bundle  # its library is large, and few need it

            write_bundle(_of_kind(lines, services=True), file)
        else:
            _write_document(lines, file)
    return [path]


def _of_kind(lines: Path, *, services: bool) -> Iterator[dict[str, Any]]:
    with lines.open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if ("service_id" in entry) == services:
                yield entry


def _write_document(lines: Path, file: TextIO) -> None:
    """One JSON object with services and desks, an entry a line."""
    opening = "{"
    for name in ("services", "desks"):
        file.write(f'{opening}"{name}": [')
        separator = "\n"
        for entry in _of_kind(lines, services=name == "services"):
            file.write(separator + json.dumps(entry, ensure_ascii=False))
            separator = ",\n"
        file.write("\n]")
        opening = ",\n"
    file.write("}\n")
