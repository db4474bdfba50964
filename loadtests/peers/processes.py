"""The peers as processes: started beside the system under load, on its Kafka and its PostgreSQL, and frozen in turns.

While one is measured all others are frozen (SIGSTOP): nobody pays for another's polling.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from loadtests.peers.ground import prefix_of
from services.backing.child import free_port
from services.chassis.kafka import Kafka

READY_SECONDS = 90.0
PORTS = range(28600, 28700)


@dataclass
class Peer:
    """A peer that runs."""

    name: str
    database: str
    processes: Sequence["subprocess.Popen[bytes]"]
    url: str = ""

    @property
    def prefix(self) -> str:
        """What stands before its topics."""
        return prefix_of(self.name)

    @property
    def pids(self) -> Mapping[str, int]:
        """Its processes, by name."""
        return {f"{self.name} {number}": one.pid for number, one in enumerate(self.processes, 1)}


def batched(kafka: Kafka, database: str, *, lanes: int = 3, batch: int = 2_000) -> Peer:
    """Peer (b), once it is ready."""
    arguments = ["--database", database, "--prefix", prefix_of("batched"), "--lanes", str(lanes), "--batch", str(batch)]
    return Peer("batched", database, [_spoken("batched", arguments, kafka)])


def messages(kafka: Kafka, database: str) -> Peer:
    """Peer (c), once it is ready."""
    arguments = ["--database", database, "--prefix", prefix_of("messages"), "--part"]
    parts = [_spoken("messages", [*arguments, part], kafka) for part in ("edge", "decide", "record")]
    return Peer("messages", database, parts)


def monolith(database: str, keys: Path, *, workers: int = 2, pool: int = 16, room: int = 1000) -> Peer:
    """Peer (a), once it answers."""
    port = free_port(PORTS.start, PORTS)
    told = {"PEER_DATABASE": database, "PEER_KEYS": str(keys), "PEER_POOL": str(pool), "PEER_ROOM": str(room)}
    command = [sys.executable, "-m", "loadtests.peers.monolith", "--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command, env=os.environ | told, start_new_session=True)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + READY_SECONDS
    while True:
        try:
            httpx.get(f"{url}/openapi.json", timeout=5).raise_for_status()
            return Peer("monolith", database, [process], url)
        except httpx.HTTPError:
            if time.monotonic() > deadline or process.poll() is not None:
                stop([Peer("monolith", database, [process])])
                raise
            time.sleep(0.2)


def _spoken(module: str, arguments: Sequence[str], kafka: Kafka) -> "subprocess.Popen[bytes]":
    """A process that says when it is ready."""
    command = [sys.executable, "-m", f"loadtests.peers.{module}", *arguments]
    process = subprocess.Popen(command, env=os.environ | kafka.environ, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    timer = threading.Timer(READY_SECONDS, process.kill)
    timer.start()
    line = process.stdout.readline()
    timer.cancel()
    if line != b"ready\n":
        raise RuntimeError(f"the peer {module} did not become ready, and ended with {process.wait(10)}")
    return process


def stop(peers: Sequence[Peer]) -> None:
    """End them."""
    for peer in peers:
        for process in peer.processes:
            _signal(process.pid, signal.SIGCONT)
            _signal(process.pid, signal.SIGTERM)
    for peer in peers:
        for process in peer.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                _signal(process.pid, signal.SIGKILL)
                process.wait(10)


def _signal(pid: int, number: int) -> None:
    """To a process and its children: each of ours leads a group of its own."""
    try:
        os.killpg(os.getpgid(pid), number)
    except ProcessLookupError:
        return


@contextmanager
def frozen(pids: Sequence[int]) -> Iterator[None]:
    """These processes, and their children, do nothing meanwhile."""
    for pid in pids:
        _signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)
