"""The machine's memory as it is on one that has run for a while: none of it is free.

A virtual machine gets memory from its host when it first touches it, a page at a time, and gives back what is free. So
whatever is written to files costs more as long as some is free, and that would be measured as the system's own
(`docs/performance.md` has the figures).
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

CHUNK = 4 * 1024 * 1024
LEFT = 512 * 1024 * 1024
"""So much stays free: the kernel begins to make room before there is none."""


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Until the end of the block a file of this folder lies in all memory that was free.

    It is made of holes and takes no room on disk; the kernel gives its memory to whoever needs some.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(psutil.virtual_memory().total)
        at = 0
        while psutil.virtual_memory().free > LEFT and (read := len(os.pread(file.fileno(), CHUNK, at))):
            at += read
        yield
