"""`make bench`: the burst, the single transaction and an overload, into build/bench/pipeline.json."""

import json
import os
import sys
from pathlib import Path
from statistics import median

import uvloop

from loadtests import memory, pipeline, system, transaction
from loadtests.overload import overload
from services.cli.local import LocalSystem

RESULT = Path("build") / "bench" / "pipeline.json"
SUBMISSIONS = 20_000
WARM_SUBMISSIONS = 1_000
BURSTS = 5


async def measure(under_load: LocalSystem) -> dict[str, float | int | list[float]]:
    """The figures, flat; spreads beside them."""
    await pipeline.burst(under_load, WARM_SUBMISSIONS, seed=1)
    latencies = await transaction.in_turns(under_load)
    bursts = []
    for number in range(BURSTS):
        bursts.append(await pipeline.burst(under_load, SUBMISSIONS, seed=100 + number))
        print(f"burst {number + 1}: {bursts[-1].per_second:.0f}/s, {bursts[-1]}")
    told = await overload(under_load)
    echo_p50 = transaction.overall(latencies.echo, 0.5)
    transaction_p50 = transaction.overall(latencies.transaction, 0.5)
    return {
        "referrals_per_second": round(median(one.per_second for one in bursts), 1),
        "referrals_per_second_of_each_burst": [round(one.per_second, 1) for one in bursts],
        "stored_seconds_of_each_burst": [round(one.stored_seconds, 1) for one in bursts],
        "told_seconds_of_each_burst": [round(one.seconds, 1) for one in bursts],
        "transaction_p50_ms": round(transaction_p50, 2),
        "transaction_p99_ms": round(transaction.overall(latencies.transaction, 0.99), 2),
        "echo_p50_ms": round(echo_p50, 2),
        "echo_p99_ms": round(transaction.overall(latencies.echo, 0.99), 2),
        "transaction_ratio_p50": round(transaction_p50 / echo_p50, 2),
        "transaction_p50_ms_of_each_round": [round(transaction.overall([r], 0.5), 2) for r in latencies.transaction],
        "echo_p50_ms_of_each_round": [round(transaction.overall([r], 0.5), 2) for r in latencies.echo],
        "submitted": sum(one.submitted for one in bursts),
        "outcomes": sum(one.outcomes for one in bursts),
        "placed": sum(one.placed for one in bursts),
        "messages": sum(one.messages for one in bursts),
        "lost": sum(one.lost for one in bursts),
        "doubled": sum(one.doubled for one in bursts),
        "taken_in_until_no_room": told.taken_in,
        "first_refusal_ms": round(told.first_refusal_ms, 2),
        "refusal_p99_ms": round(told.refusal_p99_ms, 2),
        "room_again_seconds": round(told.room_again_seconds, 2),
    }


def main() -> None:
    """Run, write the result, and fail when something was lost or doubled."""
    busy_before = os.getloadavg()[0]
    system.clear()
    with memory.in_use(system.FOLDER.parent):
        under_load = system.start()
        try:
            figures = uvloop.run(measure(under_load))
        finally:
            system.stop()
    figures["load_average_before"] = round(busy_before, 2)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    print(RESULT.read_text())
    if figures["lost"] or figures["doubled"]:
        sys.exit("the run does not add up: it counts for nothing")


if __name__ == "__main__":
    main()
