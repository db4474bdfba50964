"""The trace that a request belongs to (W3C Trace Context, level 1)."""

import re

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def traceparent_of(header: str | None) -> str | None:
    """The header `traceparent` where it is valid: version 00, ids that are not all zeros. Else none: a new trace."""
    return header if header is not None and _TRACEPARENT.fullmatch(header) else None
