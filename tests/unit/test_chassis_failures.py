"""What is retried, and what waiting cannot cure."""

import asyncpg
import pytest
from aiokafka import errors

from services.chassis.failures import Transient, is_transient, where


@pytest.mark.parametrize(
    "error",
    [
        Transient("away"),
        TimeoutError(),
        ConnectionRefusedError(),
        errors.KafkaConnectionError(),
        errors.NotLeaderForPartitionError(),
        errors.RequestTimedOutError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.CannotConnectNowError(),
        asyncpg.AdminShutdownError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.SerializationError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.DiskFullError(),
        asyncpg.QueryCanceledError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_away_is_waited_for(error: Exception) -> None:
    """Servers away, busy, restarting, or full: the same call can work later."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        ValueError("x"),
        AssertionError(),
        asyncpg.UniqueViolationError(),
        asyncpg.UndefinedTableError(),
        asyncpg.InsufficientPrivilegeError(),
        asyncpg.DataError("refused by the driver"),
        asyncpg.exceptions.CharacterNotInRepertoireError(),
        errors.MessageSizeTooLargeError(),
        errors.RecordListTooLargeError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_bug_is_not_waited_for(error: Exception) -> None:
    """The same call would fail the same way for ever."""
    assert not is_transient(error)


def test_an_argument_that_the_driver_refuses_is_a_bug() -> None:
    """asyncpg raises one that is a DataError and an InterfaceError at once; the first counts."""

    class Refused(asyncpg.InterfaceError, asyncpg.DataError):
        pass

    assert not is_transient(Refused("invalid input for query argument $1"))


def test_where_an_error_arose_is_said_without_its_text() -> None:
    """File, line and function, innermost first; the message may quote a patient."""

    def inner() -> None:
        raise ValueError("Ada Example 9000000009")

    with pytest.raises(ValueError) as caught:
        inner()
    said = where(caught.value)
    assert said.startswith("test_chassis_failures.py:")
    assert " inner < " in said
    assert "Ada" not in said
    assert "9000000009" not in said
