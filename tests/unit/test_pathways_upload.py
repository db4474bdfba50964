"""Bodies that are too large for memory: kept in a file, bounded, and whole or refused."""

from collections.abc import Sequence
from typing import Any

import pytest
from fastapi import Request

from services.chassis.problems import Problem
from services.pathways import upload
from services.pathways.upload import uploaded


def request(*chunks: bytes, cut_off: bool = False) -> Request:
    """A request whose body arrives in these pieces, and may end before its end."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": one, "more_body": True} for one in chunks]
    messages.append({"type": "http.disconnect"} if cut_off else {"type": "http.request", "more_body": False})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


@pytest.mark.parametrize("chunks", [(), (b"a",), (b"ab", b"c" * 3_000_000, b"d")])
async def test_a_body_is_read_as_it_was_sent(chunks: Sequence[bytes]) -> None:
    """Whether it fits into memory or not; as often as is wanted."""
    async with uploaded(request(*chunks)) as file:
        whole = file.read()
        file.seek(0)
        assert b"".join(chunks) == whole == file.read()


@pytest.mark.parametrize(
    ("body", "status"), [(request(b"a" * 6, b"b" * 5), 413), (request(b"abc", cut_off=True), 400)], ids=["long", "half"]
)
async def test_a_body_without_an_end_and_half_a_body_are_refused(body: Request, status: int) -> None:
    """Past the bound no more is read; one that was cut off is never taken for whole."""
    with pytest.raises(Problem) as refused:
        async with uploaded(body, most_bytes=10):
            pytest.fail("nothing may read it")
    assert status == refused.value.status


async def test_what_is_in_memory_is_bounded() -> None:
    """A long body is in memory by a piece at a time."""
    async with uploaded(request(*[b"x" * 500_000] * 8)) as file:
        assert upload.IN_MEMORY < 4_000_000
        assert getattr(file, "_rolled")  # noqa: B009 - what says that it is on the disk
