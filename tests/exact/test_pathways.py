"""The index finds what a plain search finds, ten thousand times over."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from services.pathways.criteria import CRITERIA
from tests.exactness import KEYS, compare, directories, queries


@pytest.mark.exact
@pytest.mark.timeout(1200)
def test_agrees_with_a_plain_search_ten_thousand_times() -> None:
    """Each criterion alone excludes, and each key of the order alone decides, a hundred times at least."""
    counted: Counter[str] = Counter()

    @settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(asked=queries, drawn=directories)
    def run(asked: bytes, drawn: list[bytes]) -> None:
        counted.update(compare(asked, drawn))
        counted["directories"] += 1

    run()
    print(counted)
    rare = {name: counted[name] for name in (*CRITERIA, *KEYS) if counted[name] < 100}
    assert ({}, True) == (rare, counted["directories"] >= 10_000)
