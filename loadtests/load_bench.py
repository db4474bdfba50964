"""`python -m loadtests.load_bench [part …]`: how fast, beside what users would pick; into build/bench/load.json.

Each part runs by itself in some minutes, and what it finds is merged into what is there. Rounds of all that is compared
alternate; medians are given, with every round beside them. Nothing counts that does not add up.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import uvloop

from loadtests import account, material, memory, streams, system, transaction
from loadtests.account import Account
from loadtests.client import Client
from loadtests.history import History
from loadtests.journal import Journal
from loadtests.material import Body, EventTemplate
from loadtests.peers.turns import turns
from loadtests.run import Asked, Run, closed_loop, run
from loadtests.sampling import cores, names_in, usage_of
from loadtests.scenario import Constant, Load, Timing, file_of, read
from loadtests.schedules import Schedule
from loadtests.target import Target
from loadtests.witness import Witness
from services.invariants.check import check

RESULT = Path("build") / "bench" / "load.json"
ROUNDS = 5
PATIENCE_SECONDS = 30.0
BURST, BURST_OF_MESSAGES = 40_000, 2_000
WARM = 1_000
SENDERS = 128
CLOSED_SECONDS, CLOSED_WARM_SECONDS = 8.0, 3.0
TRANSACTIONS_A_SECOND, WATCHED_A_SECOND, OPEN_SECONDS = 100.0, 200.0, 10.0
GROWTH_BURST, GROWTH_BURSTS, GROWTH_FROM, GROWTH_TO = 10_000, 5, 1_000, 1_000_000
GROWTH_SECONDS = 1_200.0
"""How long it may take to store so many; fewer are stored where that is too short, and the result says how many."""

AROUND = Load(
    name="bench", kind="event", where="Nottingham", schedule=Timing(constant=Constant(per_second=1.0, seconds=1.0))
)
Figures = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """What came of a burst."""

    per_second: float
    stored_per_second: float
    """Until its history was whole; the same for a peer, which has it with the rest."""
    cpu_us: Mapping[str, float]
    """CPU a referral until then, in microseconds, by process: what is read afterwards does not count."""
    account: Account


async def burst(target: Target, templates: Sequence[EventTemplate], count: int) -> Ended:
    """So many submissions on their topic at once, until the last message is told, by the log's own times; and until
    the history is whole."""
    with _journal() as journal:
        history = None if target.prefix else await History.at_its_end(target.database_url)
        witness = await Witness.begin(target.kafka, target.prefix, "afterwards")
        try:
            async with streams.publisher(target) as publisher:
                began, before = time.time(), _cpu(target)
                sending = streams.Events(journal, "burst", publisher, templates)
                await sending.send(Schedule.burst(count).moments(1), began, lambda: False)
                await witness.wait_for(journal.entries, patience=PATIENCE_SECONDS)
            told = stored = max(one.told for one in witness.seen.values() if one.messages)
            if history is not None:
                stored = max(told, await history.whole(count, sum(len(one.messages) for one in witness.seen.values())))
            used = {name: (cpu - before[name]) / count * 1e6 for name, cpu in _cpu(target).items() if name in before}
            held = await account.held(target, journal.entries, witness)
            return Ended(count / (told - began), count / (stored - began), used, held)
        finally:
            if history is not None:
                await history.close()
            await witness.close()


@contextmanager
def _journal() -> Iterator[Journal]:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.begin(Path(folder) / "journal.jsonl")
        try:
            yield journal
        finally:
            journal.close()


async def bursts() -> Figures:
    """Bursts from the topic: Onward, (b) and (c); and (a), which is asked over HTTP by as many as keep it busy."""
    names = ("onward", "batched", "monolith", "messages")
    rates: dict[str, list[float]] = {name: [] for name in names}
    stored: list[float] = []
    lost = doubled = 0
    async with turns(*names[1:]) as measured:
        own = measured.target("onward")
        templates = streams.templates(AROUND, 1, 4_000, own)
        bodies = [Body.of(one.submission) for one in material.incidents(AROUND, 1, 4_000)]

        async def one(name: str, *, warm: bool = False) -> tuple[float, Account]:
            with measured.alone(name) as target:
                if name == "monolith":
                    asked = await closed(target, bodies, CLOSED_WARM_SECONDS if warm else CLOSED_SECONDS)
                    return asked.until_told, asked.account
                count = WARM if warm else BURST_OF_MESSAGES if name == "messages" else BURST
                ended = await burst(target, templates, count)
                if name == "onward" and not warm:
                    stored.append(round(ended.stored_per_second, 1))
                return ended.per_second, ended.account

        for name in names:
            await one(name, warm=True)
        begun = datetime.now(UTC)
        for number in range(ROUNDS):
            begun = datetime.now(UTC)
            for name in (*names[number % 4 :], *names[: number % 4]):
                rate, held = await one(name)
                rates[name].append(round(rate, 1))
                lost, doubled = lost + held.lost, doubled + held.doubled
                print(f"round {number + 1}, {name}: {rate:,.0f} a second; {held.faults[:1] or 'adds up'}", flush=True)
        with measured.alone("onward"):
            await _must_hold(own, begun)
    middle = {name: median(found) for name, found in rates.items()}
    return {
        "burst_referrals_per_second": middle["onward"],
        "ratio_to_monolith": round(middle["onward"] / middle["monolith"], 2),
        "ratio_to_batched_monolith": round(middle["onward"] / middle["batched"], 2),
        "ratio_to_messages": round(middle["onward"] / middle["messages"], 2),
        "burst_of_each_round": rates,
        "burst_stored_per_second_of_each_round": stored,
        "lost": lost,
        "doubled": doubled,
    }


async def _must_hold(target: Target, since: datetime) -> None:
    """`onward check`, of facts since then. Raises DoesNotHold."""
    checked = await check(target.kafka, target.database_url, since=since)
    if not checked.holds:
        raise DoesNotHold([one.sentence for one in checked.findings if one.broken])


class DoesNotHold(Exception):
    """An invariant does not hold: the figures count for nothing."""


@dataclass(frozen=True)
class ClosedLoop:
    """What came of a closed loop."""

    answered: float
    """Answers a second, while it was asked."""
    until_told: float
    """Referrals a second, until the provider had the last message."""
    account: Account


async def closed(target: Target, bodies: Sequence[Body], seconds: float) -> ClosedLoop:
    """So many senders that wait for their answers; held against the tables."""
    with _journal() as journal:
        witness = await Witness.begin(target.kafka, target.prefix, "afterwards")
        try:
            began = time.time()
            async with Client.open(target.url, target.headers()) as client:
                rate = await closed_loop(journal, client, bodies, seconds, SENDERS)
            if odd := [one for one in journal.entries if one.fate != "answered"]:
                raise transaction.Failed("POST /referrals", odd[0].status)
            if target.prefix:  # a monolith tells nothing on topics
                await _all_accepted(target)
            else:
                await witness.wait_for(journal.entries, patience=PATIENCE_SECONDS)
            until_told = len(journal.entries) / (time.time() - began)
            held = await account.held(target, journal.entries, None if target.prefix else witness)
            return ClosedLoop(rate, until_told, held)
        finally:
            await witness.close()


DUE = "select count(*) from notification.batches where state = 'due'"


async def _all_accepted(target: Target) -> None:
    """Return once the provider has every message."""
    connection = await asyncpg.connect(target.database_url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await connection.fetchval(DUE):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def closed_loops() -> Figures:
    """The single transaction over HTTP with 128 senders: Onward and (a) in turns."""
    names = ("onward", "monolith")
    rates: dict[str, list[float]] = {name: [] for name in names}
    lost = doubled = 0
    async with turns("monolith") as measured:
        bodies = [Body.of(one.submission) for one in material.incidents(AROUND, 2, 4_000)]
        begun = datetime.now(UTC)
        for number in range(ROUNDS + 1):
            for name in names if number % 2 else reversed(names):
                with measured.alone(name) as target:
                    asked = await closed(target, bodies, CLOSED_SECONDS if number else CLOSED_WARM_SECONDS)
                rate, held = asked.answered, asked.account
                if number:  # the first is to warm up
                    rates[name].append(round(rate, 1))
                lost, doubled = lost + held.lost, doubled + held.doubled
                print(f"round {number}, {name}: {rate:,.0f} a second; {held.faults[:1] or 'adds up'}", flush=True)
        with measured.alone("onward") as own:
            await _must_hold(own, begun)
    middle = {name: median(found) for name, found in rates.items()}
    return {
        "closed_loop_per_second": middle["onward"],
        "closed_loop_ratio_to_monolith": round(middle["onward"] / middle["monolith"], 2),
        "closed_loop_of_each_round": rates,
        "lost": lost,
        "doubled": doubled,
    }


async def transactions() -> Figures:
    """The single transaction, open loop, beside (d), the bare echo over the same Kafka."""
    under_load = await asyncio.to_thread(system.start)
    try:
        began = datetime.now(UTC)
        found = await transaction.in_turns(
            under_load, per_second=TRANSACTIONS_A_SECOND, seconds=OPEN_SECONDS, rounds=ROUNDS
        )
        await _must_hold(Target.local(under_load), began)
    finally:
        system.stop()
    both = {"transaction": found.transaction, "echo": found.echo}
    figures: Figures = {}
    for name, rounds in both.items():
        for percentile in (50, 99):
            of_each = [round(transaction.overall([one], percentile / 100), 2) for one in rounds]
            figures[f"{name}_p{percentile}_ms"] = median(of_each)
            figures[f"{name}_p{percentile}_ms_of_each_round"] = of_each
    for percentile in (50, 99):
        ratio = figures[f"transaction_p{percentile}_ms"] / figures[f"echo_p{percentile}_ms"]
        figures[f"transaction_ratio_p{percentile}"] = round(ratio, 2)
    return figures


async def watched() -> Figures:
    """From a submission over HTTP to its last message seen on the topic by a reader downstream, 200 a second."""
    under_load = await asyncio.to_thread(system.start)
    try:
        return await _watched(Target.local(under_load))
    finally:
        system.stop()


async def _watched(target: Target) -> Figures:
    bodies = [Body.of(one.submission) for one in material.incidents(AROUND, 3, 4_000)]
    rounds: list[list[float]] = []
    lost = doubled = 0
    began = datetime.now(UTC)
    for number in range(ROUNDS + 1):
        with _journal() as journal:
            witness = await Witness.begin(target.kafka, "", "along")
            try:
                async with Client.open(target.url, target.headers()) as client:
                    asking = streams.transactions(journal, "watch", client, bodies)
                    schedule = Schedule.constant(WATCHED_A_SECOND, OPEN_SECONDS, "poisson")
                    await asking.send(schedule.moments(number), time.time(), lambda: False)
                await witness.wait_for(journal.entries, patience=PATIENCE_SECONDS)
                held = await account.held(target, journal.entries, witness)
            finally:
                await witness.close()
        lost, doubled = lost + held.lost, doubled + held.doubled
        latencies = [witness.seen[one.referral].told - one.due for one in journal.entries if one.fate == "answered"]
        print(f"round {number}: {len(latencies):,} answered, {held.refused} refused, {held.failed} failed", flush=True)
        if number:  # the first is to warm up
            rounds.append([latency * 1000 for latency in latencies])
    await _must_hold(target, began)
    figures: Figures = {"lost": lost, "doubled": doubled}
    for percentile in (50, 99):
        of_each = [round(transaction.overall([one], percentile / 100), 2) for one in rounds]
        figures[f"watch_200_p{percentile}_ms"] = median(of_each)
        figures[f"watch_200_p{percentile}_ms_of_each_round"] = of_each
    return figures


async def scenario(name: str) -> Run:
    """A shipped scenario on a system of its own."""
    written = read(file_of(name))
    wanted = written.directory
    under_load = await asyncio.to_thread(
        system.start, services=wanted.services, room=wanted.room, horizon_days=wanted.horizon_days
    )
    try:
        with _journal() as journal:
            done = await run(Run(written, Asked(), Target.local(under_load), Path(), journal))
    finally:
        system.stop()
    print(done.account.verdict, flush=True)
    if not done.account.adds_up:
        raise DoesNotHold(done.account.verdict)
    return done


async def englands_day() -> Figures:
    """England's day, until the last message is told."""
    from loadtests.figures import last_told

    done = await scenario("englands-day")
    return {
        "england_day_s": round(last_told(done), 1),
        "england_day_events": done.account.sent,
        "lost": done.account.lost,
        "doubled": done.account.doubled,
    }


async def overloads() -> Figures:
    """Overload: what is answered at three times the capacity, beside the most that was answered at any step."""
    from loadtests.figures import described

    done = await scenario("overload")
    steps = described(done, [])["streams"][0]["steps"]
    goodput = [step["goodput_per_second"] for step in steps]
    return {
        "overload_goodput_ratio": round(goodput[3] / max(goodput[:4]), 2),
        "overload_capacity_per_second": round(done.capacity or 0.0, 1),
        "overload_refused_p99_ms": steps[3]["refused_p99_ms"],
        "overload_normal_after_s": steps[4]["normal_after_s"],
        "overload_steps": steps,
        "overload_cores_at_three_times": _cores_between(done, steps[3]["begins_s"], steps[4]["begins_s"]),
        "lost": done.account.lost,
        "doubled": done.account.doubled,
    }


def _cores_between(done: Run, begins: float, ends: float) -> Figures:
    """How many cores each process used on average, the sender among them, between two moments of a run."""
    used: dict[str, list[float]] = {
        name: [much for at, much in cores(done.samples, name) if begins < at - done.began <= ends]
        for name in names_in(one.usage for one in done.samples)
    }
    return {name: round(sum(much) / len(much), 2) for name, much in used.items() if much}


async def growth() -> Figures:
    """CPU a referral, of services, Kafka and PostgreSQL together, with few and with many referrals stored."""
    under_load = await asyncio.to_thread(system.start)
    try:
        target = Target.local(under_load)
        templates = streams.templates(AROUND, 5, 4_000, target)
        stored, lost, doubled = 0, 0, 0

        async def one(count: int) -> Mapping[str, float]:
            nonlocal stored, lost, doubled
            ended = await burst(target, templates, count)
            stored, lost, doubled = stored + count, lost + ended.account.lost, doubled + ended.account.doubled
            return ended.cpu_us

        await one(GROWTH_FROM)
        few = [await one(GROWTH_BURST) for _ in range(GROWTH_BURSTS)]
        deadline = time.monotonic() + GROWTH_SECONDS
        while stored < GROWTH_TO and time.monotonic() < deadline:
            await one(BURST)
            print(f"{stored:,} stored", flush=True)
        many = [await one(GROWTH_BURST) for _ in range(GROWTH_BURSTS)]
    finally:
        system.stop()
    of_few, of_many = ([sum(one.values()) / 1000 for one in bursts] for bursts in (few, many))
    return {
        "cpu_growth": round(median(of_many) / median(of_few) - 1, 3),
        "cpu_growth_stored": stored,
        "cpu_ms_a_referral_few": [round(one, 3) for one in of_few],
        "cpu_ms_a_referral_many": [round(one, 3) for one in of_many],
        "cpu_us_by_process_few": {name: round(median(one[name] for one in few)) for name in few[0]},
        "cpu_us_by_process_many": {name: round(median(one[name] for one in many)) for name in many[0]},
        "lost": lost,
        "doubled": doubled,
    }


def _cpu(target: Target) -> Mapping[str, float]:
    """Seconds by process, since each began."""
    used = {name: usage_of(pid) for name, pid in target.processes.items()}
    return {name: one.cpu_s for name, one in used.items() if one is not None}


PARTS: Mapping[str, Callable[[], Awaitable[Figures]]] = {
    "burst": bursts,
    "closed": closed_loops,
    "transaction": transactions,
    "watch": watched,
    "england": englands_day,
    "overload": overloads,
    "growth": growth,
}


def merged(found: Mapping[str, Mapping[str, Any]]) -> Figures:
    """The figures of all parts, flat; what was lost and doubled is of all together."""
    flat: Figures = {"lost": 0, "doubled": 0}
    for figures in found.values():
        for name, value in figures.items():
            flat[name] = flat[name] + value if name in ("lost", "doubled") else value
    return flat


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts, merge what they find, and fail when something was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.load_bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="all of them if none is named")
    parts = parser.parse_args(arguments).part or list(PARTS)
    by_part: dict[str, Figures] = json.loads(RESULT.read_text())["parts"] if RESULT.exists() else {}
    for part in parts:
        busy, began = os.getloadavg()[0], time.monotonic()
        system.clear()
        with memory.in_use(system.FOLDER.parent):
            figures = uvloop.run(_figures(PARTS[part]))
        at, took = f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", round(time.monotonic() - began)
        by_part[part] = figures | {f"{part}_load_before": round(busy, 2), f"{part}_at": at, f"{part}_took_s": took}
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(merged(by_part) | {"parts": by_part}, indent=1) + "\n")
        print(json.dumps(figures, indent=1), flush=True)
    whole = merged(by_part)
    if whole["lost"] or whole["doubled"]:
        sys.exit("the run does not add up: it counts for nothing")


async def _figures(part: Callable[[], Awaitable[Figures]]) -> Figures:
    return await part()


if __name__ == "__main__":
    main()
