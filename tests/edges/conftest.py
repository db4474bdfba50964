"""One system for all tests of this folder: what they send leaves it good for the next."""

from collections.abc import Iterator

import pytest

from services.backing import instance
from tests.conftest import broken_in, empty_database, new_prefix
from tests.edges.whole_system import Whole, whole_system


@pytest.fixture(scope="package")
def whole(backing: instance.Backing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Everything in one process. The invariants hold at its end."""
    with empty_database(backing) as database, new_prefix(backing.kafka) as prefix:
        with whole_system(backing.kafka, database, prefix, tmp_path_factory.mktemp("whole")) as one:
            yield one
        assert [] == broken_in(backing.kafka, database, prefix)
