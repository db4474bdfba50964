"""What a device has not had answered, in a file of its own. Neither a restart nor a power cut loses any of it."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from services.device.clock import Clock

APPLICATION = 0x4F4E5744
"""Marks a file as a device's, in SQLite's own header: ONWD."""

MIGRATIONS = (
    """
    create table referrals (
      number     integer primary key, -- in the order in which they were written down
      key        text    not null unique,
      scenario   text    not null,
      body       blob    not null, -- exactly what is sent; empty once it is over: a lost device must hold no patient
      written_at text    not null, -- by the device's clock, which may be wrong
      boot       text    not null, -- which time since it was switched on
      expires    real    not null, -- seconds since it was switched on
      state      text    not null check (state in ('queued', 'sent', 'received', 'answered', 'expired', 'dropped')),
      referral   text,             -- its id, once it is known to be received
      status     integer,          -- of the answer
      answer     text
    );
    """,
    """
    alter table referrals add column tries integer not null default 0;
    """,
)
"""The file says in its header how many of these it has had."""

State = Literal["queued", "sent", "received", "answered", "expired", "dropped"]
"""Not sent yet; sent, and not known whether it was received; received, and not settled; answered; too old, so that the
crew must be asked; given up by the crew. The last state of each is `answered` or `dropped`."""

OVER = frozenset({"answered", "dropped"})

LOCK_SECONDS = 2.0
"""How long to wait for a file that another device is just leaving."""

_Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One referral on the device."""

    key: UUID
    scenario: str
    body: bytes
    written_at: datetime
    boot: str
    expires: float
    state: State = "queued"
    referral: str | None = None
    status: int | None = None
    answer: dict[str, Any] | None = None
    tries: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in OVER

    @property
    def outcome(self) -> str | None:
        """What was answered, if it was settled."""
        return self.answer.get("outcome") if self.answer and self.status in (200, 201) else None

    def is_late(self, clock: Clock) -> bool:
        """Whether it is too old to be sent without asking the crew.

        How long a device was switched off only its clock says, which may be wrong: what is from before is late.
        """
        return self.boot != clock.boot or clock.elapsed() >= self.expires


class QueueFaulty(Exception):
    """A device's file cannot be used; the message says which, why and what to do."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}")


INSERT = """
-- Written down once: who comes again with a key finds what stands.
insert into referrals (key, scenario, body, written_at, boot, expires, state) values (?, ?, ?, ?, ?, ?, 'queued')
on conflict (key) do nothing
"""

UPDATE = """
-- What is over forgets what was sent.
update referrals set state = ?2, boot = ?3, expires = ?4, referral = ?5, status = ?6, answer = ?7, tries = ?8,
  body = case when ?2 in ('answered', 'dropped') then x'' else body end
where key = ?1
"""

READ = """
select key, scenario, body, written_at, boot, expires, state, referral, status, answer, tries
from referrals order by number
"""


class Queue:
    """The file of one device. `entries` is what it holds, by key, in the order in which it was written down.

    What `write` and `change` return is on the disk. Changes that come while the disk is at work are stored together.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises QueueFaulty."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = _open(path)
        self.entries = {entry.key: entry for entry in map(_entry, self._connection.execute(READ))}
        self._thread = ThreadPoolExecutor(1)
        self._turn = asyncio.Lock()
        self._waiting: list[_Statement] = []
        self._next: asyncio.Task[None] | None = None

    async def write(self, entries: Sequence[Entry]) -> list[Entry]:
        """Write down what is to be sent; returns what stands under each key."""
        new = [entry for entry in entries if entry.key not in self.entries]
        await self._store([_insert(entry) for entry in new])
        self.entries.update({entry.key: entry for entry in new})
        return [self.entries[entry.key] for entry in entries]

    async def change(self, entry: Entry, **changed: Any) -> Entry:
        """Store what has changed of an entry; returns it as it stands then."""
        entry = replace(entry, **changed)
        if entry.is_over:
            entry = replace(entry, body=b"")
        await self._store([_update(entry)])
        self.entries[entry.key] = entry
        return entry

    async def _store(self, statements: Sequence[_Statement]) -> None:
        self._waiting.extend(statements)
        if self._next is None:
            self._next = asyncio.create_task(self._commit_next())
        await asyncio.shield(self._next)

    async def _commit_next(self) -> None:
        """One transaction for all that has come until it is the turn of this one."""
        async with self._turn:
            statements, self._waiting, self._next = self._waiting, [], None
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, statements)

    def _commit(self, statements: Sequence[_Statement]) -> None:
        with self._connection:
            self._connection.execute("begin immediate")
            for statement, values in statements:
                self._connection.execute(statement, values)

    def close(self) -> None:
        """Finish what is being stored, and close the file."""
        self._thread.shutdown()
        self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    """The file, brought up to date. What is wrong with it is found before anything in it is changed."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))  # it holds patients: for its owner's eyes
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS)
    try:
        connection.execute("pragma locking_mode = exclusive")
        (application,), (version,), (tables,) = (
            connection.execute(query).fetchone()
            for query in ("pragma application_id", "pragma user_version", "select count(*) from sqlite_schema")
        )
        if application != APPLICATION and tables:
            raise QueueFaulty(path, "is a database, but not a device's. Name another file")
        if version > len(MIGRATIONS):
            raise QueueFaulty(
                path,
                f"was written by a newer version of the device: it is of version {version}, and this device knows "
                f"versions up to {len(MIGRATIONS)}. Nothing in it was changed or sent. Update this device, or name "
                "another file; what this one holds unsent stays unsent until then",
            )
        # WAL and FULL: what is committed is on the disk, also when the power is cut the moment after.
        for pragma in ("journal_mode = wal", "synchronous = full", "secure_delete = on"):
            connection.execute(f"pragma {pragma}")
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            with connection:
                connection.execute("begin exclusive")
                connection.execute(migration)
                connection.execute(f"pragma application_id = {APPLICATION}")
                connection.execute(f"pragma user_version = {number}")
    except sqlite3.DatabaseError as error:
        connection.close()
        if "locked" in str(error):
            raise QueueFaulty(path, "is in use by another device. Stop that one, or name another file") from None
        raise QueueFaulty(path, f"cannot be read as a device's file ({error}). Name another file") from None
    except QueueFaulty:
        connection.close()
        raise
    return connection


def _insert(entry: Entry) -> _Statement:
    when = (entry.written_at.isoformat(), entry.boot, entry.expires)
    return INSERT, (str(entry.key), entry.scenario, entry.body, *when)


def _update(entry: Entry) -> _Statement:
    answer = None if entry.answer is None else json.dumps(entry.answer)
    where = (str(entry.key), entry.state, entry.boot, entry.expires)
    return UPDATE, (*where, entry.referral, entry.status, answer, entry.tries)


def _entry(row: tuple[Any, ...]) -> Entry:
    key, scenario, body, written_at, boot, expires, state, referral, status, answer, tries = row
    return Entry(
        key=UUID(key),
        scenario=scenario,
        body=body,
        written_at=datetime.fromisoformat(written_at),
        boot=boot,
        expires=expires,
        state=state,
        referral=referral,
        status=status,
        answer=None if answer is None else json.loads(answer),
        tries=tries,
    )
