"""Failures are decided here, in one place: what is retried, what is buried, and what stops the service."""

from uuid import UUID

import asyncpg
from aiokafka.errors import KafkaError


class Transient(Exception):
    """Something we depend on cannot answer now: retried with growing pauses, nothing skipped."""


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


def is_transient(error: BaseException) -> bool:
    """Whether waiting and trying again can help."""
    if isinstance(error, asyncpg.DataError):  # asyncpg makes it an InterfaceError too when it refuses an argument
        return False
    return isinstance(error, _TRANSIENT)
