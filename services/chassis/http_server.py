"""uvicorn that takes in every connection that waits. libuv, and so uvloop, takes in one in each turn of the event loop:
while many requests are answered, and a turn is long, callers who have no connection yet wait for half a minute."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from sse_starlette.sse import AppStatus

from services.chassis.log import logger

MOST_AT_ONCE = 128
"""So many connections are taken in before those that are there are looked at again."""

PAUSE_SECONDS = 1.0
"""Where the process can have no more of them."""


class Server(uvicorn.Server):
    """Without uvicorn's signal handling too: the process decides when to stop, and stops its services as well."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening: socket.socket | None = None
        self._taking_in: set[asyncio.Task[object]] = set()

    def ask_to_stop(self) -> None:
        """Take no more requests, end the open streams, and finish the answers under way."""
        self.should_exit = True
        AppStatus.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, in the place of uvicorn's own listening. Exits where the port cannot be had, as uvicorn does."""
        listening = self.config.bind_socket()
        listening.set_inheritable(False)
        listening.setblocking(False)
        await super().startup(sockets=[])
        listening.listen(self.config.backlog)
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._take_in, listening)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, and finish."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        await super().shutdown(sockets=[])

    def _take_in(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(MOST_AT_ONCE):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # too many are open: what waits goes on waiting
                logger("web").error("no_connection", error=type(error).__name__, reason=error.strerror)
                loop.remove_reader(listening)
                loop.call_later(PAUSE_SECONDS, self._go_on, listening)
                return
            task = loop.create_task(self._serve_connection(connection))
            self._taking_in.add(task)
            task.add_done_callback(self._taking_in.discard)

    def _go_on(self, listening: socket.socket) -> None:
        if self._listening is listening:
            asyncio.get_running_loop().add_reader(listening, self._take_in, listening)

    async def _serve_connection(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # it may be gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
