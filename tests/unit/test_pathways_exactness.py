"""The index finds what a plain search finds; ten thousand times in `make exact`, and a few hundred times here."""

from hypothesis import given, settings

from tests.exactness import compare, directories, queries


@settings(max_examples=200, deadline=None)
@given(asked=queries, drawn=directories)
def test_agrees_with_a_plain_search(asked: bytes, drawn: list[bytes]) -> None:
    """Candidates, their order, near misses, proposals and explanations are those of the plain search."""
    compare(asked, drawn)
