"""`make bench-pathways`: the search of the directory beside PostGIS, in the same run, into build/bench/pathways.json.

In process: one search at a time, and a hundred together, in towns and in the country, at each size of directory. What
is compared is what PostGIS answers too: who, in which order, how far. What the reasons, near misses and proposals cost
besides is measured apart. Every answer of some searches is held against PostGIS, and against the plain search of the
tests. Then over HTTP.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from contracts.directory import CapacityReportedData, Service
from loadtests.lookups import over_http
from loadtests.open_loop import percentile
from loadtests.peers.postgis import PostGis, postgis
from loadtests.searches import dense, index_of, reports_on, rules, rural, searches, services_of
from services.pathways.index import Snapshot
from services.pathways.request import SearchRequest
from services.pathways.search import places_of_many, search_many
from services.pathways.search_rules import SearchRules

RESULT = Path("build") / "bench" / "pathways.json"
SIZES = (1_000, 10_000, 100_000)
BAR_SIZE = 10_000
"""The size for which the bars are set."""
BATCH = 100
ROUNDS = 3
PLAINLY = {1_000: 100, 10_000: 20, 100_000: 2}
"""How many searches of each size are held against the plain search, which is slow."""

Figures = dict[str, float | int]


async def measure(sizes: Sequence[int], queries: int) -> Figures:
    """The figures, flat; those without a size are of 10,000 services, or of the largest size there is."""
    figures: Figures = {}
    decided = rules()
    async with postgis(decided) as peer:
        for size in sizes:
            named = await _of_size(size, queries, peer, decided)
            figures |= {f"{name}_{size}": value for name, value in named.items()}
            print(json.dumps(named))
    shown = BAR_SIZE if BAR_SIZE in sizes else max(sizes)
    figures |= {name: figures[f"{name}_{shown}"] for name in ("single_ratio_to_postgis", "batched_ratio_to_postgis")}
    figures["p99_ms"] = figures[f"p99_ms_{shown}"]
    figures["agreement"] = min(figures[f"agreement_{size}"] for size in sizes)
    for smaller, larger in pairwise(sizes):
        growth = figures[f"single_us_{larger}"] / figures[f"single_us_{smaller}"]
        figures[f"growth_{smaller}_to_{larger}"] = round(growth, 2)
    return figures


async def _of_size(size: int, queries: int, peer: PostGis, decided: SearchRules) -> Figures:
    services = services_of(size)
    reports = reports_on(services)
    organisations = sorted({service.organisation for service in services})
    began = time.perf_counter()
    index = index_of(services, reports)
    directory = index.snapshot
    figures: Figures = {"read_and_built_s": round(time.perf_counter() - began, 2)}
    await peer.fill(services, reports)
    await peer.prepare()

    wide = searches([*dense(), *rural()], queries, 3, organisations, in_turn=False)
    figures |= await _agreement(directory, peer, wide, services, reports, decided, size)

    latencies: list[float] = []
    for kind, where in (("dense", dense()), ("rural", rural())):
        asked = searches(where, queries, 4, organisations, in_turn=True)
        ours, theirs, single = await _single(directory, peer, asked)
        ours_many, theirs_many, with_reasons = await _batched(directory, peer, asked)
        latencies += single
        figures |= {
            f"{kind}_single_us": round(ours, 1),
            f"{kind}_postgis_single_us": round(theirs, 1),
            f"{kind}_single_ratio": round(theirs / ours, 2),
            f"{kind}_batched_us": round(ours_many, 1),
            f"{kind}_postgis_batched_us": round(theirs_many, 1),
            f"{kind}_batched_with_reasons_us": round(with_reasons, 1),
            # Asked one by one, PostGIS may be the faster: what it does best counts.
            f"{kind}_batched_ratio": round(min(theirs_many, theirs) / ours_many, 2),
        }
    figures["single_us"] = round((figures["dense_single_us"] + figures["rural_single_us"]) / 2, 1)
    figures["single_ratio_to_postgis"] = min(figures["dense_single_ratio"], figures["rural_single_ratio"])
    figures["batched_ratio_to_postgis"] = min(figures["dense_batched_ratio"], figures["rural_batched_ratio"])
    figures["p99_ms"] = round(percentile(latencies, 0.99), 3)
    asked = searches([*dense(), *rural()], queries, 6, organisations, in_turn=True)
    return figures | await over_http(services, reports, asked)


async def _single(
    directory: Snapshot, peer: PostGis, asked: Sequence[SearchRequest]
) -> tuple[float, float, list[float]]:
    """Microseconds a search of ours and of PostGIS, the medians of rounds in turns; and our latencies in ms."""
    parameters = [peer.parameters(one) for one in asked]
    ours, theirs, latencies = [], [], []
    for number in range(ROUNDS + 1):
        single = []
        for one in asked:
            began = time.perf_counter()
            places_of_many(directory, [one])
            single.append(time.perf_counter() - began)
        began = time.perf_counter()
        for values in parameters:
            await peer.search(values)
        if number:  # the first round warms both
            theirs.append((time.perf_counter() - began) / len(asked) * 1e6)
            ours.append(sum(single) / len(asked) * 1e6)
            latencies += [one * 1000 for one in single]
    return median(ours), median(theirs), latencies


async def _batched(directory: Snapshot, peer: PostGis, asked: Sequence[SearchRequest]) -> tuple[float, float, float]:
    """Microseconds a search, a hundred together: ours, of PostGIS, and ours with all that a caller is told."""
    batches = [asked[n : n + BATCH] for n in range(0, len(asked), BATCH)]
    parameters = [[peer.parameters(one) for one in batch] for batch in batches]
    ours, theirs, with_reasons = [], [], []
    for number in range(ROUNDS + 1):
        before = time.perf_counter()
        for batch in batches:
            search_many(directory, batch)
        began = time.perf_counter()
        for batch in batches:
            places_of_many(directory, batch)
        between = time.perf_counter()
        for values in parameters:
            await peer.search_many(values)
        if number:
            ours.append((between - began) / len(asked) * 1e6)
            theirs.append((time.perf_counter() - between) / len(asked) * 1e6)
            with_reasons.append((began - before) / len(asked) * 1e6)
    return median(ours), median(theirs), median(with_reasons)


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
    together = [[one.service_id for one in places] for places in places_of_many(directory, asked)]
    ranked = [[one.service_id for one in found.candidates] for found in search_many(directory, asked)]
    parameters = [peer.parameters(one) for one in asked]
    theirs_together = await peer.search_many(parameters)
    agreed = found = 0
    for number, one in enumerate(asked):
        [places] = places_of_many(directory, [one])
        ours = [place.service_id for place in places]
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
    site = plainly.site_of(decided)
    return lambda one: plainly.ids(services, reports, one, site)


def main() -> None:
    """Run, write the result, and fail where an answer differs."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", default=",".join(map(str, SIZES)), help="services, in thousands apart by commas")
    options.add_argument("--queries", type=int, default=400, help="searches of each kind")
    given = options.parse_args()
    busy_before = os.getloadavg()[0]
    figures = uvloop.run(measure([int(size) for size in given.sizes.split(",")], given.queries))
    figures["load_average_before"] = round(busy_before, 2)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(RESULT.read_text())
    if figures["agreement"] < 1:
        sys.exit("not all answers agree: the run counts for nothing")


if __name__ == "__main__":
    main()
