"""What the sender prefers about waiting: the `Prefer` header of RFC 7240."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preference:
    """How long to wait for the outcome, in seconds, and what of the sender's wish was honoured."""

    seconds: int
    applied: str | None
    """The value of `Preference-Applied`; none where nothing was asked, or nothing that is understood."""


def preference_of(headers: Iterable[str], *, default: int, longest: int) -> Preference:
    """The wish in the values of `Prefer`: `wait=N` seconds, at most `longest`; `respond-async` alone: none.

    A preference that is not understood is ignored, as RFC 7240 (section 2) says; of one given twice the first counts.
    With both, `respond-async` is what happens after the wait (section 4.3).
    """
    wait: int | None = None
    at_once = False
    for preference in ",".join(headers).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name == "wait" and wait is None and value.isascii() and value.isdigit() and len(value) < 10:
            wait = min(int(value), longest)
        elif name == "respond-async" and not value:
            at_once = True
    if wait is not None:
        return Preference(wait, f"wait={wait}")
    return Preference(0, "respond-async") if at_once else Preference(default, None)
