"""The rows of a CSV file of any size, one at a time."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from services.pathways.directory_forms import MOST_BYTES_A_LINE, lines_of
from services.pathways.faults import FileFault

Row = tuple[int, list[str]]
"""The number of the last line that it stands in, and its cells."""


def rows_of(file: BinaryIO) -> Iterator[Row | FileFault]:
    """Each row of a file in UTF-8, blank ones too. A fault is the last that is read of it."""
    broken: list[FileFault] = []
    size = 0

    def text() -> Iterator[str]:
        nonlocal size
        for number, line in lines_of(file):
            if isinstance(line, FileFault):
                broken.append(line)
                return
            size += len(line)
            if size > MOST_BYTES_A_LINE:
                message = f"a row is longer than {MOST_BYTES_A_LINE} bytes: is a quotation mark missing?"
                broken.append(FileFault(pointer="", line=number, message=message))
                return
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                message = f"byte {error.start + 1} is not UTF-8: save the file as UTF-8, all of it"
                broken.append(FileFault(pointer="", line=number, message=message))
                return

    reader = csv.reader(text(), strict=True)
    try:
        for row in reader:
            size = 0
            yield reader.line_num, row
    except csv.Error as error:
        if not broken:  # else it is half a row because of what is broken
            yield FileFault(pointer="", line=reader.line_num, message=f"it is not CSV, or half a file: {error}")
    yield from broken
