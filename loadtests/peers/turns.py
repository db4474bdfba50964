"""Onward and its peers in turns, on one Kafka and one PostgreSQL: all but the one that is measured are frozen."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

from loadtests import system
from loadtests.peers import ground, processes
from loadtests.peers.processes import Peer
from loadtests.target import Target
from services.cli import local
from services.cli.local import LocalSystem


@dataclass
class Turns:
    """Who is measured in turns: Onward and the peers, all but one frozen at a time."""

    under_load: LocalSystem
    peers: Mapping[str, Peer]

    def target(self, name: str) -> Target:
        """Onward's, or a peer's."""
        own = Target.local(self.under_load)
        if name == "onward":
            return own
        peer = self.peers[name]
        return replace(own, url=peer.url, database_url=peer.database, prefix=peer.prefix, processes=peer.pids)

    @contextmanager
    def alone(self, name: str) -> Iterator[Target]:
        """The others are frozen meanwhile; Onward has joined its groups again before it is measured."""
        pids = [one.pid for peer in self.peers.values() if peer.name != name for one in peer.processes]
        if name != "onward":
            pids += [worker.child.pid for worker in self.under_load.workers]
        with processes.frozen(pids):
            if name == "onward":
                local.wait_until_ready(self.under_load)
            yield self.target(name)


@asynccontextmanager
async def turns(*names: str) -> AsyncIterator[Turns]:
    """Onward, and the peers of these names."""
    under_load = await asyncio.to_thread(system.start)
    started: dict[str, Peer] = {}
    try:
        async with _laid(under_load, names) as databases:
            for name, database in databases.items():
                if name == "monolith":
                    started[name] = processes.monolith(database, under_load.keys_file)
                else:
                    started[name] = getattr(processes, name)(under_load.kafka, database)
            yield Turns(under_load, started)
    finally:
        processes.stop(list(started.values()))
        system.stop()


@asynccontextmanager
async def _laid(under_load: LocalSystem, names: Sequence[str]) -> AsyncIterator[dict[str, str]]:
    databases = {}
    for name in names:
        async with ground.laid(under_load.kafka, under_load.database_url, name, system.ROOM) as database:
            databases[name] = database
    yield databases
