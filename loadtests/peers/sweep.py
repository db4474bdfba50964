"""`python -m loadtests.peers.sweep [monolith] [batched]`: with which settings the peers do best; into build/bench.

Each setting is measured for some seconds in two rounds, the second the other way about, on a Kafka and a PostgreSQL
that do nothing else. The best, by the median of referrals a second until the last message was told, is what
`processes.py` starts the peers with.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from loadtests import material, streams
from loadtests.account import Account
from loadtests.load_bench import AROUND, DoesNotHold, burst, closed
from loadtests.material import Body
from loadtests.peers import ground, processes
from loadtests.peers.processes import Peer
from loadtests.system import ROOM
from loadtests.target import Target, signing
from services.backing import instance
from services.chassis.identity import make_keys

RESULT = Path("build") / "bench" / "sweep.json"
ROUNDS = 2
WARM_SECONDS, CLOSED_SECONDS = 1.5, 4.0
WARM_EVENTS, EVENTS = 500, 8_000
DIFFERENT = 4_000

Settings = Mapping[str, int]
SETTINGS: Mapping[str, Sequence[Settings]] = {
    "monolith": [{"workers": workers, "pool": pool} for workers, pool in product((1, 2, 3), (4, 8, 16))],
    "batched": [{"lanes": lanes, "batch": batch} for lanes, batch in product((1, 2, 3), (250, 500, 1_000, 2_000))],
}
Begin = Callable[[Settings], Peer]
Measure = Callable[[Peer], Awaitable[float]]


async def swept(name: str, begin: Begin, measure: Measure) -> list[dict[str, Any]]:
    """What the peer does with each of its settings, best first."""
    rates: list[list[float]] = [[] for _ in SETTINGS[name]]
    for number in range(ROUNDS):
        numbered = list(enumerate(SETTINGS[name]))
        for which, settings in reversed(numbered) if number % 2 else numbered:
            peer = await asyncio.to_thread(begin, settings)
            try:
                rates[which].append(round(await measure(peer), 1))
            finally:
                processes.stop([peer])
            print(f"round {number + 1}, {name} {dict(settings)}: {rates[which][-1]:,.0f} a second", flush=True)
    found = [
        {**settings, "per_second": round(median(own), 1), "of_each_round": own}
        for settings, own in zip(SETTINGS[name], rates, strict=True)
    ]
    return sorted(found, key=lambda one: -one["per_second"])


async def monolith(servers: instance.Backing, keys: Path) -> list[dict[str, Any]]:
    """(a): workers and the connections of each, asked by as many senders as `load_bench` has."""
    private, public = make_keys(keys)
    bodies = [Body.of(one.submission) for one in material.incidents(AROUND, 1, DIFFERENT)]
    async with ground.laid(servers.kafka, servers.database_url, "monolith", ROOM) as database:
        target = Target("", servers.kafka, database, signing(private), prefix=ground.prefix_of("monolith"))

        def begin(settings: Settings) -> Peer:
            return processes.monolith(database, public, **settings)

        async def measure(peer: Peer) -> float:
            there = replace(target, url=peer.url)
            await closed(there, bodies, WARM_SECONDS)
            asked = await closed(there, bodies, CLOSED_SECONDS)
            return _counted(asked.until_told, asked.account)

        return await swept("monolith", begin, measure)


async def batched(servers: instance.Backing, keys: Path) -> list[dict[str, Any]]:
    """(b): lanes and the most records of a batch, in a burst."""
    private, _ = make_keys(keys)
    async with ground.laid(servers.kafka, servers.database_url, "batched", ROOM) as database:
        target = Target("", servers.kafka, database, signing(private), prefix=ground.prefix_of("batched"))
        templates = streams.templates(AROUND, 1, DIFFERENT, target)

        def begin(settings: Settings) -> Peer:
            return processes.batched(servers.kafka, database, **settings)

        async def measure(_peer: Peer) -> float:
            await burst(target, templates, WARM_EVENTS)
            ended = await burst(target, templates, EVENTS)
            return _counted(ended.per_second, ended.account)

        return await swept("batched", begin, measure)


def _counted(per_second: float, account: Account) -> float:
    """The rate. Raises DoesNotHold where it does not add up."""
    if account.faults:
        raise DoesNotHold(account.faults)
    return per_second


@contextmanager
def _servers() -> Iterator[tuple[instance.Backing, Path]]:
    """A Kafka and a PostgreSQL with empty data, and a folder for keys."""
    with tempfile.TemporaryDirectory(prefix="onward-sweep-") as made:
        folder = Path(made)
        try:
            yield instance.start(folder / "backing", say=print), folder / "keys"
        finally:
            instance.stop(folder / "backing", purge=True)


PARTS = {"monolith": monolith, "batched": batched}


def main(arguments: Sequence[str] | None = None) -> None:
    """Sweep the peers, and merge what is found into what there is."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.peers.sweep", description=__doc__)
    parser.add_argument("peer", nargs="*", choices=[*PARTS, []], help="both if none is named")
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in parser.parse_args(arguments).peer or list(PARTS):
        busy, began = os.getloadavg()[0], time.monotonic()
        with _servers() as (servers, keys):
            settings = uvloop.run(_swept(name, servers, keys))
        found[name] = {
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
            "load_before": round(busy, 2),
            "load_after": round(os.getloadavg()[0], 2),
            "took_s": round(time.monotonic() - began),
            "settings": settings,
        }
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found[name], indent=1), flush=True)


async def _swept(name: str, servers: instance.Backing, keys: Path) -> list[dict[str, Any]]:
    return await PARTS[name](servers, keys)


if __name__ == "__main__":
    main()
