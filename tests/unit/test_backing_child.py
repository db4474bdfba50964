"""A process that is started here."""

import os
import signal
import sys
from pathlib import Path

import pytest

from services.backing.child import BEHIND, Child

WAITS = "import signal; signal.pause()"


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of a process")
def test_a_process_that_gives_way_is_nicer_than_the_others_and_so_is_its_session(tmp_path: Path) -> None:
    """Of the session only where there is such a thing: a system may share its cores out among processes alone."""
    children = [
        Child.spawn([sys.executable, "-c", WAITS], log=tmp_path / name, user=None, folder=tmp_path)
        for name in ("first", "second")
    ]
    try:
        children[0].give_way()
        niceness = [os.getpriority(os.PRIO_PROCESS, child.pid) for child in children]
        groups = [Path(f"/proc/{child.pid}/autogroup") for child in children]
        said = [group.read_text().split()[-1] for group in groups if group.exists()]
    finally:
        for child in children:
            child.stop(signal.SIGTERM, patience=10)
    assert [BEHIND, os.getpriority(os.PRIO_PROCESS, 0)] == niceness
    assert said in ([], [str(BEHIND), "0"])


def test_one_that_has_ended_gives_way_in_silence(tmp_path: Path) -> None:
    """Whoever starts it finds out in its own way that it is not there."""
    child = Child.spawn([sys.executable, "-c", ""], log=tmp_path / "log", user=None, folder=tmp_path)
    child.stop(signal.SIGTERM, patience=10)
    child.give_way()
    assert not child.alive()
