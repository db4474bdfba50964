"""Kafka and PostgreSQL of one's own, which may be stopped, killed and frozen."""

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from services.backing import instance, jars, kafka
from services.backing.child import Child, free_port
from services.backing.settings import Settings

EMBEDDED = Settings()


class Servers:
    """Servers of one's own, which may be stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._given = instance.start(folder, say=print, settings=EMBEDDED)
        self.kafka = self._given.kafka
        self.database = self._given.database_url

    async def without(self, server: Callable[[Path], object], name: str) -> None:
        """End one of them."""
        await asyncio.to_thread(server, self._folder / name)

    async def whole(self) -> None:
        """Start again what is not running, on the ports it had."""
        again = await asyncio.to_thread(instance.start, self._folder, say=print, settings=EMBEDDED)
        assert (self.kafka, self.database) == (again.kafka, again.database_url)

    @contextmanager
    def second_broker(self) -> Iterator["SecondBroker"]:
        """Another broker in the same cluster, for as long as it is needed."""
        second = SecondBroker(self._folder / "kafka", self._folder / "second")
        try:
            yield second
        finally:
            second.kill()

    @asynccontextmanager
    async def frozen_broker(self) -> AsyncIterator[None]:
        """A broker that does nothing and refuses nothing: its connections stay, and no answer comes."""
        broker = instance.status(self._folder).kafka
        assert broker is not None
        os.kill(broker.child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(broker.child.pid, signal.SIGCONT)


class SecondBroker:
    """A broker that has its controller in another: what lies on it alone is led by nobody while it is away."""

    NODE = 2

    def __init__(self, first: Path, home: Path) -> None:
        """Lay out its data as a part of the first one's cluster."""
        self._home = home
        class_path = os.pathsep.join(str(jar) for jar in jars.materialise(EMBEDDED.cache, say=print))
        self._java = kafka._java_command(kafka._java(), class_path)
        self._port = free_port(kafka.PORTS.stop - 1, kafka.PORTS)
        self._child: Child | None = None
        home.mkdir()
        settings = dict(line.split("=", 1) for line in (first / "server.properties").read_text().splitlines())
        settings |= {
            "process.roles": "broker",
            "node.id": str(self.NODE),
            "listeners": f"CLIENT://127.0.0.1:{self._port}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{self._port}",
        }
        (home / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        cluster = re.search(r"^cluster.id=(.*)$", (first / "data" / "meta.properties").read_text(), re.MULTILINE)
        assert cluster is not None
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster[1], "--config", "server.properties"]
        subprocess.run([*self._java, *tool], cwd=home, check=True, capture_output=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [*self._java, "kafka.Kafka", "server.properties"]
        self._child = Child.spawn(command, log=self._home / "server.log", user=None, folder=self._home)
        deadline = time.monotonic() + 60
        while not self._child.listens(self._port):
            assert self._child.alive(), (self._home / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()
