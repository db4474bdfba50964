"""What comes while others are being served is served together next: no timer, and nobody waits when nothing is busy."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from services.chassis.failures import is_transient

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathering(Generic[Item, Result]):
    """Serves single items in batches, over a few lanes at a time.

    A batch that fails for good is served again one by one, so that one item's fault is its own.
    """

    def __init__(
        self, serve: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, lanes: int, largest: int
    ) -> None:
        self._serve = serve
        self._idle_lanes = lanes
        self._largest = largest
        self._waiting: list[tuple[Item, asyncio.Future[Result], Context]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, item: Item) -> Result:
        """The item's own result, or its own failure. What is not waited for any longer is served all the same."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result, copy_context()))
        self._begin()
        return await result

    def _begin(self) -> None:
        """Serve what waits, if a lane is free, in the context of who waits longest: its trace goes on there."""
        if self._waiting and self._idle_lanes:
            self._idle_lanes -= 1
            task = asyncio.get_running_loop().create_task(self._run(), context=self._waiting[0][2])
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
            if batch:  # else another lane took it
                await self._serve_batch([(item, result) for item, result, _ in batch])
        finally:
            self._idle_lanes += 1
        self._begin()

    async def _serve_batch(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._serve([item for item, _ in batch])
        except Exception as failure:
            if len(batch) > 1 and not is_transient(failure):
                for single in batch:
                    await self._serve_batch([single])
                return
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(failure)
        except asyncio.CancelledError:
            for _, waiting in batch:
                waiting.cancel()
            raise
        else:
            for (_, waiting), result in zip(batch, results, strict=True):
                if not waiting.done():
                    waiting.set_result(result)
