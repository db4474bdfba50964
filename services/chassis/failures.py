"""Failures are decided here, in one place: what is retried, what is buried, and what stops the service."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from contracts.envelope import Event


class Transient(Exception):
    """Something we depend on cannot answer now: retried with growing pauses, nothing skipped."""


class Unfinished(Transient):
    """A part of a batch must wait. What is told of the rest is told now, and again when the whole batch is repeated."""

    def __init__(self, told: Sequence[Event], why: str) -> None:
        super().__init__(why)
        self.told = told


class Poison(Exception):
    """A record that this reader can never use: it goes to the dead letters, the rest of its batch goes on."""

    def __init__(self, event_id: UUID, why: str) -> None:
        super().__init__(why)
        self.event_id = event_id
        self.why = why


_TRANSIENT = (
    Transient,
    KafkaError,
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""A terminated backend shows under several of these names. InsufficientResources: the disk is full, or memory is."""


_PERMANENT = (
    asyncpg.DataError,  # asyncpg makes it an InterfaceError too when it refuses an argument
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)


def is_transient(error: BaseException) -> bool:
    """Whether waiting and trying again can help."""
    return isinstance(error, _TRANSIENT) and not isinstance(error, _PERMANENT)


def where(error: BaseException) -> str:
    """Where an error arose, by file and line, innermost first. Its message is left out: it may quote a patient."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
