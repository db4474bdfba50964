"""What is overridden in asyncpg, and why. tests/unit/test_library_guards.py fails when it changes."""

from typing import Any

from asyncpg.protocol import protocol

ARRAYS: tuple[type, ...] = (list, tuple, set, frozenset, type({}.keys()), type({}.values()))


def tell_arrays_by_their_types() -> None:
    """Ask of a value whether it is an array by its type. Unpatched, asyncpg asks two abstract classes of each element
    of each array, which is a tenth of the time that it takes to send a batch."""
    module: Any = protocol
    module.IterableABC = module.SizedABC = ARRAYS
