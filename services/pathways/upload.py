"""A body that is too large for memory: kept in a file while it arrives, then read as often as needed."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

from fastapi import Request
from starlette.requests import ClientDisconnect

from services.chassis.problems import Problem

MOST_BYTES = 2 * 1024**3
"""Enough for a whole postcode table or a nation's directory; a body without an end must not fill the disk."""
IN_MEMORY = 1024 * 1024
"""A body up to this size touches no disk."""


@asynccontextmanager
async def uploaded(request: Request, most_bytes: int = MOST_BYTES) -> AsyncIterator[BinaryIO]:
    """The whole body as a file, at its beginning. Raises Problem: 413, and 400 for half a body."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        size, waiting = 0, bytearray()
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most_bytes:
                    detail = f"At most {most_bytes} bytes are read. Nothing was kept: send it in parts."
                    raise Problem(413, "Too much at once", detail)
                waiting += chunk
                if len(waiting) >= IN_MEMORY:
                    await asyncio.to_thread(file.write, bytes(waiting))
                    waiting.clear()
        except ClientDisconnect:
            raise Problem(400, "Half a body", "The connection ended before it. Nothing was kept.") from None
        file.write(waiting)
        file.seek(0)
        yield file  # type: ignore[misc]  # typeshed gives it a class of its own, which reads and seeks alike
