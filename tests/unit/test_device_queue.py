"""The file of a device: what is in it survives, and what cannot be used is refused whole."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from services.device.queue import APPLICATION, MIGRATIONS, Entry, Queue, QueueFaulty

WRITTEN = datetime(2031, 3, 4, 7, tzinfo=UTC)


def entry(number: int = 0, **changed: object) -> Entry:
    """A referral that was just written down."""
    one = Entry(uuid4(), f"fall {number}", b'{"a":1}', WRITTEN, boot="b", expires=600.0)
    return replace(one, **changed)  # type: ignore[arg-type]


async def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    """In the order in which it was written down, with its state; what is over has forgotten the patient."""
    file = tmp_path / "device.sqlite"
    queue = Queue(file)
    waiting, sent, answered = await queue.write([entry(1), entry(2), entry(3)])
    await queue.change(sent, state="sent", tries=1)
    await queue.change(answered, state="answered", status=201, answer={"outcome": "unplaced"}, referral="r")
    held = queue.entries
    queue.close()

    again = Queue(file)

    assert list(held.items()) == list(again.entries.items())
    assert [(waiting.key, "queued", b'{"a":1}'), (sent.key, "sent", b'{"a":1}'), (answered.key, "answered", b"")] == [
        (one.key, one.state, one.body) for one in again.entries.values()
    ]
    assert "unplaced" == again.entries[answered.key].outcome
    again.close()


async def test_a_key_is_written_down_once(tmp_path: Path) -> None:
    """Who comes again with a key finds what stands under it."""
    queue = Queue(tmp_path / "device.sqlite")
    [first] = await queue.write([entry()])
    sent = await queue.change(first, state="sent")

    assert [sent] == await queue.write([replace(first, body=b"other")])
    queue.close()


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds patients."""
    Queue(tmp_path / "device.sqlite").close()

    assert 0o600 == (tmp_path / "device.sqlite").stat().st_mode & 0o777


def test_a_file_of_a_newer_version_is_refused_and_not_changed(tmp_path: Path) -> None:
    """The error says which file, that it is newer and by how much, and what to do."""
    file = tmp_path / "device.sqlite"
    Queue(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute(f"pragma user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = file.read_bytes()

    with pytest.raises(
        QueueFaulty, match=rf"{file} .*newer version.*version {len(MIGRATIONS) + 1}.*Update this device"
    ):
        Queue(file)

    assert before == file.read_bytes()


async def test_a_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """A file of the first version keeps what it holds, and can be used."""
    file, key = tmp_path / "device.sqlite", uuid4()
    with sqlite3.connect(file) as connection:
        connection.execute(MIGRATIONS[0])
        connection.execute(f"pragma application_id = {APPLICATION}")
        connection.execute("pragma user_version = 1")
        connection.execute(
            "insert into referrals (key, scenario, body, written_at, boot, expires, state) "
            "values (?, 'fall', ?, ?, 'b', 600, 'queued')",
            (str(key), b"{}", WRITTEN.isoformat()),
        )
    connection.close()

    queue = Queue(file)

    assert [entry(key=key, scenario="fall", body=b"{}")] == list(queue.entries.values())
    assert 1 == (await queue.change(queue.entries[key], tries=1)).tries
    queue.close()


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 100, b"SQLite format 3\0broken"])
def test_a_file_that_is_not_a_devices_is_refused(tmp_path: Path, content: bytes) -> None:
    """Its name and what to do, and it is left as it was."""
    file = tmp_path / "device.sqlite"
    file.write_bytes(content)

    with pytest.raises(QueueFaulty, match=f"{file} .*another file"):
        Queue(file)

    assert content == file.read_bytes()


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    """A database with tables of its own is not taken over."""
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("create table mine (a)")
    connection.close()

    with pytest.raises(QueueFaulty, match="not a device's"):
        Queue(file)


async def test_two_devices_never_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told who has it."""
    monkeypatch.setattr("services.device.queue.LOCK_SECONDS", 0.01)
    queue = Queue(tmp_path / "device.sqlite")
    await queue.write([entry()])

    with pytest.raises(QueueFaulty, match="in use by another device"):
        Queue(tmp_path / "device.sqlite")
    queue.close()


async def test_changes_at_once_are_stored_together_and_each_waits_for_its_own(tmp_path: Path) -> None:
    """A thousand changes at once are all on the disk when they return, in far fewer transactions."""
    queue = Queue(tmp_path / "device.sqlite")
    entries = await queue.write([entry(number) for number in range(1000)])
    commits = 0
    commit = queue._commit

    def counted(statements: object) -> None:
        nonlocal commits
        commits += 1
        commit(statements)  # type: ignore[arg-type]

    queue._commit = counted  # type: ignore[method-assign]
    await asyncio.gather(*(queue.change(one, state="sent", tries=1) for one in entries))
    queue.close()

    again = Queue(tmp_path / "device.sqlite")

    assert (1000, True) == (sum(one.state == "sent" for one in again.entries.values()), commits < 100)
    again.close()


PRAGMAS = ("journal_mode", "synchronous")
"""2 is FULL: no transaction is over before the disk has it, so that a cut of the power is like signal 9."""

WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4
from services.device.queue import Entry, Queue

async def write():
    queue = Queue(Path(sys.argv[1]))
    while True:
        [written] = await queue.write([Entry(uuid4(), "fall", b"{}", datetime.now(UTC), boot="b", expires=600.0)])
        print(written.key, flush=True)

asyncio.run(write())
"""


def test_a_power_cut_loses_nothing_that_was_shown_as_kept(tmp_path: Path) -> None:
    """A device killed by signal 9 while it writes: each referral that it had shown as kept is in its file."""
    file = tmp_path / "device.sqlite"
    shown: set[str] = set()
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", WRITER, file], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _number, line in zip(range(40), process.stdout, strict=False):
            shown.add(line.strip())
        os.kill(process.pid, signal.SIGKILL)
        shown |= {line.strip() for line in process.stdout if line.endswith("\n")}
        process.wait(10)
        process.stdout.close()

    queue = Queue(file)

    assert 80 <= len(shown)
    assert shown <= {str(key) for key in queue.entries}
    assert [("wal",), (2,)] == [queue._connection.execute(f"pragma {one}").fetchone() for one in PRAGMAS]
    queue.close()
