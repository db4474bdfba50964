"""Which trace a request belongs to."""

import pytest

from services.gateway.traces import traceparent_of

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_valid_traceparent_is_passed_on() -> None:
    """Unchanged."""
    assert VALID == traceparent_of(VALID)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        VALID.upper(),
        VALID + "\n",
        VALID + "-00",
        VALID.replace("00-", "ff-", 1),
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    ],
)
def test_what_is_not_valid_is_dropped(header: str | None) -> None:
    """A broken header costs the trace, never the referral."""
    assert None is traceparent_of(header)
