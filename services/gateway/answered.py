"""An answer to an attempt, as it is sent over HTTP and stored: the same bytes whoever makes it."""

from dataclasses import dataclass

CREATED = 201


@dataclass(frozen=True, slots=True)
class Answered:
    """The body, and under which status it is sent: that of a submission unless it says otherwise."""

    body: bytes
    status: int = CREATED
