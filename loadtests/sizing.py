"""`python -m loadtests.sizing`: past this machine, on paper. Writes docs/sizing.md from what was measured.

`python -m loadtests.sizing --measure` measures what a referral costs (build/bench/costs.json): CPU by process, bytes on
the log and in the database. The model is arithmetic: what one core does, how much headroom is kept, how long things are
kept. It says where figures come from, and nothing that it was not told.
"""

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from string import Template
from typing import Any

import uvloop

COSTS = Path("build") / "bench" / "costs.json"
PAGE = Path("docs") / "sizing.md"
REFERRALS = 20_000

ENGLAND_A_DAY = 140_000
"""Published demand: e-RS 44,000, 999 30,000, 111 62,000 a day, urgent community response 2,400, rounded up."""

PEAK_BESIDE_MEAN = 2.5
"""The busiest minute beside the mean of a day. Assumed: the hours' weights of `englands-day.toml` give 1.7 at most."""

HEADROOM = 0.4
"""How busy a core is at the peak: the rest is for a lost replica, a rebalance and a restart."""

FEWEST_REPLICAS = 2
LOG_DAYS, DATABASE_DAYS = 35, 365
"""The first as deploy/topics.yaml says; nothing deletes from the database, so a year of it is shown."""

BROKERS, COPIES = 3, 3
DATABASE_COPIES = 2
PARTITIONS = 12


@dataclass(frozen=True)
class Costs:
    """What a referral costs, as measured."""

    cpu_ms: Mapping[str, float]
    """By process: the services by worker, kafka, postgres."""
    log_bytes: float
    database_bytes: float
    measured: str
    """When, of how many, and by which command."""

    @classmethod
    def read(cls, file: Path) -> "Costs":
        """From a file that `--measure` wrote."""
        return cls(**json.loads(file.read_text()))


@dataclass(frozen=True)
class Size:
    """What so many referrals a second at the peak need."""

    peak: float
    replicas: Mapping[str, int]
    kafka_cores: float
    postgres_cores: float
    log_gb: float
    database_gb: float
    partitions: int
    a_partition: float
    """Referrals a second of the busiest partition."""


def size(costs: Costs, times: float) -> Size:
    """So many times England's demand."""
    mean = ENGLAND_A_DAY * times / 86_400
    peak = mean * PEAK_BESIDE_MEAN
    cores = {name: peak * cpu / 1000 / HEADROOM for name, cpu in costs.cpu_ms.items()}
    services = {name: core for name, core in cores.items() if name not in ("kafka", "postgres")}
    # A Python process computes on one core.
    replicas = {name: max(FEWEST_REPLICAS, ceil(core)) for name, core in services.items()}
    a_day = ENGLAND_A_DAY * times
    return Size(
        peak=peak,
        replicas=replicas,
        kafka_cores=cores["kafka"] * COPIES / BROKERS,
        postgres_cores=cores["postgres"],
        log_gb=a_day * LOG_DAYS * costs.log_bytes * COPIES / 1e9,
        database_gb=a_day * DATABASE_DAYS * costs.database_bytes / 1e9,
        partitions=max(PARTITIONS, *replicas.values()),
        a_partition=peak / PARTITIONS,
    )


def limits(costs: Costs) -> list[tuple[str, float, str]]:
    """What breaks, at how many referrals a second, and what to change then; the first first."""
    by_process = [
        (
            f"one process of {name}: a core",
            1000 / cpu,
            f"another replica, up to {PARTITIONS}: each takes some partitions",
        )
        for name, cpu in costs.cpu_ms.items()
        if name not in ("kafka", "postgres")
    ]
    database = 16 * HEADROOM * 1000 / costs.cpu_ms["postgres"]
    return sorted(
        [
            *by_process,
            ("one PostgreSQL of 16 cores", database, "a server for each service: each has one schema and shares none"),
            (
                f"{PARTITIONS} replicas of the dearest service",
                PARTITIONS * HEADROOM * 1000 / max(one for name, one in costs.cpu_ms.items() if name not in _SERVERS),
                "one service a process rather than two; then more partitions, which no topic may change: new topics, "
                "filled until the old ones are drained",
            ),
        ],
        key=lambda one: one[1],
    )


_SERVERS = ("kafka", "postgres")

TEXT = Template("""# Past this machine, on paper

Written by `python -m loadtests.sizing` from measured costs. Nothing here was run at these sizes.

## What was measured

$measured. A referral with all that follows from it, until its history is whole:

| what | cost |
|---|---|
$costs

Services by the process that hosts them (`edge`: gateway, triage, pathways and all routes; `settle`: booking,
notification; `record`: referrals). Bytes on the log are of one copy; bytes in the database are with their indexes.

These are a burst's, whose batches are large. At low rates a referral is a batch of its own, and polling costs what it
costs: at 50 answered transactions a second a referral took 21 ms of all processes together, at 100 a second 15, HTTP
and what an idle system takes included (29 November 2026, [performance.md](performance.md)). England's peak would then
keep a third of one core busy, most of it with polling: what it needs is replicas that may fail and room on disks, not
cores.

## What is assumed

$assumed

## Sizes

| | England | ten times England |
|---|---|---|
$sizes

## What breaks first, and what to change then

By the measured costs alone, in referrals a second:

| what is full | at | then |
|---|---|---|
$limits

What no replica helps against, because it is done by one at a time:

- **The feed's positions** come from one row, which is locked from a batch's last statement to its commit. Batches grow
  with the load, so it costs one commit for each batch; on a disk that needs 5 ms a commit that is 200 batches a second.
  Then: a feed for each group of organisations, each with a row of its own.
- **The outboxes and the dispatcher of messages** each have one drainer, so that order holds. Then: one for each group
  of partitions.
- **One hot diary** takes one batch at a time. It is the lock that keeps a slot from being given twice; a service that a
  whole country wants at once is served batch by batch.
- **Storage** grows by the day and nothing deletes it: long before any of the above, somebody decides how long facts are
  kept in the database, and partitions its tables by time.
""")


def page(costs: Costs) -> str:
    """docs/sizing.md."""
    one, ten = size(costs, 1), size(costs, 10)
    rows = [f"| CPU of {name}, ms | {cpu:.2f} |" for name, cpu in costs.cpu_ms.items()]
    rows += [
        f"| bytes on the log | {costs.log_bytes:,.0f} |",
        f"| bytes in the database | {costs.database_bytes:,.0f} |",
    ]
    sizes = [
        ("referrals a day", f"{ENGLAND_A_DAY:,}", f"{10 * ENGLAND_A_DAY:,}"),
        ("referrals a second, peak", f"{one.peak:.1f}", f"{ten.peak:.1f}"),
        *((f"replicas of {name}", f"{one.replicas[name]}", f"{ten.replicas[name]}") for name in one.replicas),
        ("partitions", f"{one.partitions}", f"{ten.partitions}"),
        ("referrals a second of one partition, peak", f"{one.a_partition:.2f}", f"{ten.a_partition:.2f}"),
        (f"cores of each of {BROKERS} brokers", f"{one.kafka_cores:.2f}", f"{ten.kafka_cores:.2f}"),
        (f"log, {LOG_DAYS} days in {COPIES} copies, GB", f"{one.log_gb:,.0f}", f"{ten.log_gb:,.0f}"),
        ("cores of PostgreSQL", f"{one.postgres_cores:.2f}", f"{ten.postgres_cores:.2f}"),
        (f"database, {DATABASE_DAYS} days, GB a copy", f"{one.database_gb:,.0f}", f"{ten.database_gb:,.0f}"),
    ]
    assumed = [
        f"{ENGLAND_A_DAY:,} referrals a day: the published figures in `loadtests/scenarios/englands-day.toml`.",
        f"The busiest minute has {PEAK_BESIDE_MEAN:g} times the mean of the day.",
        f"At the peak a core is {HEADROOM:.0%} busy; every process has at least {FEWEST_REPLICAS} replicas.",
        f"Facts stay {LOG_DAYS} days on the log, in {COPIES} copies, as `deploy/topics.yaml` says. Nothing "
        f"deletes from the database, which has {DATABASE_COPIES} copies.",
        "A core does there what it does here, where all share two; a network between them costs latency, not CPU.",
    ]
    return TEXT.substitute(
        measured=costs.measured,
        costs="\n".join(rows),
        assumed="\n".join(f"- {one}" for one in assumed),
        sizes="\n".join(f"| {' | '.join(row)} |" for row in sizes),
        limits="\n".join(f"| {what} | {at:,.0f} | {then} |" for what, at, then in limits(costs)),
    )


async def measure() -> dict[str, Any]:
    """What a referral costs, on a system of its own: after a warm-up, over a burst."""
    import asyncio
    from datetime import UTC, datetime

    import asyncpg
    import psutil

    from loadtests import streams, system
    from loadtests.load_bench import AROUND, burst
    from loadtests.sampling import usage_of
    from loadtests.target import Target

    under_load = await asyncio.to_thread(system.start)
    try:
        target = Target.local(under_load)
        templates = streams.templates(AROUND, 7, 4_000, target)

        async def stored() -> tuple[dict[str, float], int, int]:
            used = {name: usage_of(pid) for name, pid in target.processes.items()}
            connection = await asyncpg.connect(target.database_url)
            try:
                size = await connection.fetchval("select pg_database_size(current_database())")
            finally:
                await connection.close()
            logs = sum(file.stat().st_size for file in (system.FOLDER / "kafka").rglob("*.log"))
            return {name: one.cpu_s for name, one in used.items() if one is not None}, size, logs

        await burst(target, templates, 1_000)
        cpu, database, log = await stored()
        ended = await burst(target, templates, REFERRALS)
        assert not ended.account.faults, ended.account.faults[0]
        cpu_after, database_after, log_after = await stored()
    finally:
        system.stop()
    said = (
        f"`python -m loadtests.sizing --measure` on {psutil.cpu_count()} cores that all share, "
        f"{datetime.now(UTC):%d %B %Y}: a burst of {REFERRALS:,} after one of 1,000, "
        f"with a load average of {os.getloadavg()[0]:.0f}"
    )
    return {
        "cpu_ms": {name: round((cpu_after[name] - cpu[name]) / REFERRALS * 1000, 3) for name in cpu},
        "log_bytes": round((log_after - log) / REFERRALS),
        "database_bytes": round((database_after - database) / REFERRALS),
        "measured": said,
    }


def main() -> None:
    """Measure, or write the page from what was measured."""
    arguments = argparse.ArgumentParser(prog="python -m loadtests.sizing", description=__doc__)
    arguments.add_argument("--measure", action="store_true", help="measure first")
    if arguments.parse_args().measure:
        COSTS.parent.mkdir(parents=True, exist_ok=True)
        COSTS.write_text(json.dumps(uvloop.run(measure()), indent=1) + "\n")
    PAGE.write_text(page(Costs.read(COSTS)))


if __name__ == "__main__":
    main()
