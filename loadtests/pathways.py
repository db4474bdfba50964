"""`make bench-pathways`: the search of the directory beside PostGIS, in the same run, into build/bench/pathways.json.

In process: one search at a time, and a hundred together, in towns and in the country, at each size of directory. What
is compared is what PostGIS answers too: who, in which order, how far. What the reasons, near misses and proposals cost
besides is measured apart. Every answer of some searches is held against PostGIS, and against the plain search of the
tests. Then over HTTP.

A cost is CPU time: ours is that of this process, PostGIS' is that of the server process of its one connection. What
PostGIS costs its client, to ask and to read the answer, is told apart and does not count for it. Each of its statements
is planned once, or anew for each search, whichever costs it less; and where it is quicker alone than at a batch, that
counts. No search was asked before the one time that its cost is compared, and time goes on from search to search, so
that no answer is remembered. A figure is the median of some rounds; a ratio also has the least and the most of them.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

from contracts.directory import CapacityReportedData, Service
from loadtests.lookups import over_http
from loadtests.open_loop import percentile
from loadtests.peers.postgis import PostGis, postgis
from loadtests.searches import HOLIDAYS, dense, index_of, reports_on, rules, rural, searches, services_of
from services.chassis.collector import spare_the_collector
from services.pathways.index import Snapshot
from services.pathways.request import SearchRequest
from services.pathways.search import places_of_many, search_many
from services.pathways.search_rules import SearchRules

RESULT = Path("build") / "bench" / "pathways.json"
BAR_SIZE = 10_000
"""The size for which the bars are set."""
BATCH = 100
ROUNDS = 3
ASKED = {1_000: 400, 10_000: 300, 100_000: 100}
"""How many searches a round has, in towns and as many in the country, by size: PostGIS becomes slow."""
TRIED = 25
"""With so many of them it is tried which plans cost PostGIS less."""
PLAINLY = {1_000: 100, 10_000: 20, 100_000: 2}
"""How many searches of each size are held against the plain search, which is slow."""

Figures = dict[str, float | int]


async def measure(sizes: Sequence[int]) -> Figures:
    """The figures, flat; those without a size are of 10,000 services, or of the largest size there is."""
    figures: Figures = {}
    decided = rules()
    async with postgis(decided) as peer:
        for size in sizes:
            named = await _of_size(size, peer, decided)
            figures |= {f"{name}_{size}": value for name, value in named.items()}
            print(json.dumps(named))
    shown = BAR_SIZE if BAR_SIZE in sizes else max(sizes)
    figures |= {name: figures[f"{name}_{shown}"] for name in ("single_ratio_to_postgis", "batched_ratio_to_postgis")}
    figures["p99_ms"] = figures[f"p99_ms_{shown}"]
    figures["agreement"] = min(figures[f"agreement_{size}"] for size in sizes)
    for smaller, larger in pairwise(sizes):
        for how in ("single", "batched"):
            growth = figures[f"{how}_us_{larger}"] / figures[f"{how}_us_{smaller}"]
            figures[f"{how}_growth_{smaller}_to_{larger}"] = round(growth, 2)
    return figures


async def _of_size(size: int, peer: PostGis, decided: SearchRules) -> Figures:
    services = services_of(size)
    reports = reports_on(services)
    organisations = sorted({service.organisation for service in services})
    began = time.perf_counter()
    index = index_of(services, reports)
    directory = index.snapshot
    figures: Figures = {"read_and_built_s": round(time.perf_counter() - began, 2)}
    spare_the_collector()
    await peer.fill(services, reports)
    await peer.prepare()

    asked = ASKED.get(size, min(ASKED.values()))
    wide = searches([*dense(), *rural()], asked, 3, organisations, from_second=None)
    figures |= await _agreement(directory, peer, wide, services, reports, decided, size)

    latencies: list[float] = []
    for kind, where in (("dense", dense()), ("rural", rural())):
        seconds = iter(range(0, 1_000 * asked, asked))
        rounds = [
            (
                searches(where, asked, 10 + n, organisations, from_second=next(seconds)),
                searches(where, asked, 100 + n, organisations, from_second=next(seconds)),
            )
            for n in range(ROUNDS + 1)
        ]
        plans = await _best_plans(peer, rounds[0][0])
        costs = [await _costs(directory, peer, *one, plans) for one in rounds][1:]  # the first round warms both
        latencies += [one for cost in costs for one in cost.latencies]
        figures |= _medians(kind, costs)
    for how in ("single", "batched"):
        figures[f"{how}_us"] = round((figures[f"dense_{how}_us"] + figures[f"rural_{how}_us"]) / 2, 1)
        figures[f"{how}_ratio_to_postgis"] = min(figures[f"dense_{how}_ratio"], figures[f"rural_{how}_ratio"])
    figures["p99_ms"] = round(percentile(latencies, 0.99), 3)
    over = {
        kind: searches(where, asked // 2, 6, organisations, from_second=0)
        for kind, where in (("dense", dense()), ("rural", rural()))
    }
    return figures | await over_http(services, reports, over)


class Costs(NamedTuple):
    """What the searches of a round cost."""

    microseconds: tuple[float, ...]
    """CPU time a search: ours alone and batched, with reasons alone and batched; PostGIS' alone and batched; and what
    it costs to ask it for one."""
    latencies: list[float]
    """Of ours, one at a time, in milliseconds."""

    @property
    def ratios(self) -> tuple[float, float]:
        """How many times what ours cost PostGIS' do: alone, and batched; what it does best counts."""
        single, batched, _, _, theirs, theirs_batched, _ = self.microseconds
        return theirs / single, min(theirs, theirs_batched) / batched


def _medians(kind: str, costs: Sequence["Costs"]) -> Figures:
    """The figures of some rounds of one kind."""
    single, batched, reasons, batched_reasons, theirs, theirs_batched, client = (
        round(median(column), 1) for column in zip(*(cost.microseconds for cost in costs), strict=True)
    )
    figures: Figures = {
        f"{kind}_single_us": single,
        f"{kind}_single_with_reasons_us": reasons,
        f"{kind}_postgis_single_us": theirs,
        f"{kind}_postgis_client_us": client,
        f"{kind}_batched_us": batched,
        f"{kind}_batched_with_reasons_us": batched_reasons,
        f"{kind}_postgis_batched_us": theirs_batched,
    }
    for how, ratios in zip(("single", "batched"), zip(*(cost.ratios for cost in costs), strict=True), strict=True):
        figures |= {
            f"{kind}_{how}_ratio": round(median(ratios), 2),
            f"{kind}_{how}_ratio_least": round(min(ratios), 2),
            f"{kind}_{how}_ratio_most": round(max(ratios), 2),
        }
    return figures


class Plans(NamedTuple):
    """How PostGIS plans each of its statements."""

    single: str
    batched: str


async def _best_plans(peer: PostGis, asked: Sequence[SearchRequest]) -> Plans:
    """What costs PostGIS the least for such searches."""
    parameters = [peer.parameters(one) for one in asked[:TRIED]]

    async def singly() -> None:
        for values in parameters:
            await peer.search(values)

    async def together() -> None:
        await peer.search_many(parameters)

    return Plans(await peer.best_plan(singly), await peer.best_plan(together))


async def _costs(
    directory: Snapshot, peer: PostGis, alone: Sequence[SearchRequest], together: Sequence[SearchRequest], plans: Plans
) -> Costs:
    """What it costs to answer as many searches alone as in batches, each side in turn."""
    batches = [together[n : n + BATCH] for n in range(0, len(together), BATCH)]
    parameters = [peer.parameters(one) for one in alone]
    batched = [[peer.parameters(one) for one in batch] for batch in batches]
    latencies = []
    times = [time.process_time()]
    for one in alone:
        began = time.perf_counter()
        places_of_many(directory, [one])
        latencies.append((time.perf_counter() - began) * 1000)
    times.append(time.process_time())
    for batch in batches:
        places_of_many(directory, batch)
    times.append(time.process_time())
    for one in alone:
        search_many(directory, [one])
    times.append(time.process_time())
    for batch in batches:
        search_many(directory, batch)
    times.append(time.process_time())
    await peer.plan_by(plans.single)
    theirs, asking = [peer.cpu_seconds()], time.process_time()
    for values in parameters:
        await peer.search(values)
    client = time.process_time() - asking
    theirs.append(peer.cpu_seconds())
    await peer.plan_by(plans.batched)
    for many in batched:
        await peer.search_many(many)
    theirs.append(peer.cpu_seconds())
    spent = (*_between(times), *_between(theirs), client)
    return Costs(tuple(seconds / len(alone) * 1e6 for seconds in spent), latencies)


def _between(moments: Sequence[float]) -> Iterator[float]:
    return (after - before for before, after in pairwise(moments))


async def _agreement(
    directory: Snapshot,
    peer: PostGis,
    asked: Sequence[SearchRequest],
    services: Sequence[Service],
    reports: Mapping[str, CapacityReportedData],
    decided: SearchRules,
    size: int,
) -> Figures:
    """The part of the searches to which all give the same candidates in the same order, and how many were held so."""
    plain = _plain_search(services, reports, decided)
    together = [places.service_ids for places in places_of_many(directory, asked)]
    ranked = [[one.service_id for one in found.candidates] for found in search_many(directory, asked)]
    parameters = [peer.parameters(one) for one in asked]
    theirs_together = await peer.search_many(parameters)
    agreed = found = 0
    for number, one in enumerate(asked):
        [places] = places_of_many(directory, [one])
        ours = places.service_ids
        others = [together[number], ranked[number], theirs_together[number], await peer.search(parameters[number])]
        if number < PLAINLY.get(size, 20):
            others.append(plain(one))
        if all(ours == other for other in others):
            agreed += 1
        else:
            print("these do not agree:", one, ours, *others, sep="\n  ", file=sys.stderr)
        found += len(ours)
    return {
        "agreement": round(agreed / len(asked), 6),
        "held_against_postgis": len(asked),
        "held_against_the_plain_search": min(len(asked), PLAINLY.get(size, 20)),
        "candidates_a_search": round(found / len(asked), 1),
    }


def _plain_search(
    services: Sequence[Service], reports: Mapping[str, CapacityReportedData], decided: SearchRules
) -> Callable[[SearchRequest], list[str]]:
    """The plain search of the tests, which are no package that is installed, on this directory."""
    plainly: Any = importlib.import_module("tests.plain_asking")
    site = plainly.site_of(decided, HOLIDAYS)
    return lambda one: plainly.ids(services, reports, one, site)


def main() -> None:
    """Run, write the result, and fail where an answer differs."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", default=",".join(map(str, ASKED)), help="services, apart by commas")
    given = options.parse_args()
    busy_before = os.getloadavg()[0]
    figures = uvloop.run(measure([int(size) for size in given.sizes.split(",")]))
    figures["load_average_before"] = round(busy_before, 2)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(RESULT.read_text())
    if figures["agreement"] < 1:
        sys.exit("not all answers agree: the run counts for nothing")


if __name__ == "__main__":
    main()
