"""What the sender prefers about waiting."""

import pytest

from services.gateway.preferences import Preference, preference_of


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preference(5, None)),
        (["wait=10"], Preference(10, "wait=10")),
        (["wait=600"], Preference(30, "wait=30")),
        (["wait=0"], Preference(0, "wait=0")),
        (["Wait = 7"], Preference(7, "wait=7")),
        (['wait="7"'], Preference(7, "wait=7")),
        (["respond-async"], Preference(0, "respond-async")),
        (["respond-async, wait=3"], Preference(3, "wait=3")),
        (["respond-async", "wait=3"], Preference(3, "wait=3")),
        (["wait=3, wait=9"], Preference(3, "wait=3")),
        (["return=minimal; foo=bar, wait=2"], Preference(2, "wait=2")),
        (["wait=-1"], Preference(5, None)),
        (["wait=soon"], Preference(5, None)),
        (["wait=²"], Preference(5, None)),
        (["wait=" + "9" * 5000], Preference(5, None)),
        (["respond-async=maybe"], Preference(5, None)),
        (["", ",,;=,"], Preference(5, None)),
    ],
)
def test_prefer_as_rfc_7240_reads_it(headers: list[str], expected: Preference) -> None:
    """What is understood is honoured and said; what is not is ignored."""
    assert expected == preference_of(headers, default=5, longest=30)
